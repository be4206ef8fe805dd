"""Objects on their way from the threads of our Storage SCP to the retrieve that asked for them.

What has arrived and was not yet taken is bounded: a retrieve that is slow to take holds the archive back, as
no C-STORE is answered before its object found room.
"""

import threading
import time
from collections import deque
from typing import Final

from p2d.dimse.awaited import OUT_OF_RESOURCES, Arrived, Awaited
from p2d.dimse.status import MISMATCH, SUCCESS

AHEAD_BYTES: Final = 64 << 20
"""Bytes of objects that may wait to be taken; a single larger one is let in when nothing else waits."""


class Delivery:
    """The objects of one open retrieve; safe to share between threads.

    ``message_id`` is that of its C-MOVE, once it was sent. An object that finds no room within
    *room_seconds* is answered with 0xA700 and counts as missing.
    """

    def __init__(
        self, awaited: Awaited, *, ahead_bytes: int = AHEAD_BYTES, room_seconds: float = 60.0
    ) -> None:
        self.awaited = awaited
        self.message_id: int | None = None
        self._ahead_bytes = ahead_bytes
        self._room_seconds = room_seconds
        self._waiting: deque[Arrived] = deque()
        self._bytes = 0
        self._is_open = True
        self._changed = threading.Condition()

    def limit(self, *, ahead_bytes: int, room_seconds: float) -> None:
        """Change how much may wait to be taken, and how long the archive is held back for it."""
        self._ahead_bytes, self._room_seconds = ahead_bytes, room_seconds

    def put(self, one: Arrived) -> int:
        """Hand *one* on, from the thread that received it; return the status of its C-STORE."""
        length = len(one.content)
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(length), self._room_seconds):
                return OUT_OF_RESOURCES
            if not self._is_open:
                return MISMATCH
            self._waiting.append(one)
            self._bytes += length
            self.awaited.delivered(one.sop_instance_uid)
            self._changed.notify_all()
            return SUCCESS

    def _has_room(self, length: int) -> bool:
        return not self._is_open or not self._waiting or self._bytes + length <= self._ahead_bytes

    def take(self, seconds: float) -> Arrived | None:
        """Return the next object, waiting for it; None when *seconds* pass, or when all have arrived."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting or self.awaited.is_complete or not self._is_open, seconds
            )
            if not self._waiting:
                return None
            one = self._waiting.popleft()
            self._bytes -= len(one.content)
            self._changed.notify_all()
            return one

    def rest(self, grace_seconds: float) -> list[Arrived]:
        """Return what still comes after the final response, until nothing has come for *grace_seconds*."""
        found: list[Arrived] = []
        deadline = time.monotonic() + grace_seconds
        while (left := deadline - time.monotonic()) > 0:
            one = self.take(left)
            if one is not None:
                found.append(one)
                deadline = time.monotonic() + grace_seconds
            elif self.awaited.is_complete:
                break
        return found

    def close(self) -> None:
        """Take nothing more: what waits to be put is refused, what was not taken is forgotten."""
        with self._changed:
            self._is_open = False
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()
