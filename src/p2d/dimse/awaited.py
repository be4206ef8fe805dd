"""What one retrieve waits for, and how its objects are taken as they arrive: by C-GET or C-MOVE alike.

Only objects that were asked for are kept, each once. The data set has to name the instance and class that the
command names. Counts say what was not kept; UIDs are compared, never used as a name or path.
"""

import re
import threading
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Final

from p2d.dicom.arriving import first_values
from p2d.dicom.walk import Syntax
from p2d.dimse.command import Command
from p2d.dimse.pdu import Context
from p2d.dimse.spool import (
    IN_MEMORY_BYTES,
    OBJECT_BYTES,
    RETRIEVE_BYTES,
    Allowance,
    OutOfSpace,
    Spool,
    TooManyBytes,
)
from p2d.dimse.status import MISMATCH, NOT_AUTHORISED, SUCCESS
from p2d.dimse.tap import LONGEST_HEADER, HeaderTap, Unreadable, syntax_of

OUT_OF_RESOURCES: Final = 0xA700  # PS3.4 B.2.3
CANNOT_UNDERSTAND: Final = 0xC000  # PS3.4 B.2.3
INVALID_UID: Final = 0x0117  # PS3.7 C.5.6, invalid SOP instance

_UID: Final = re.compile(r"[0-9.]{1,64}")
_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_PATIENT_ID: Final = 0x00100020
_SAMPLE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Arrived:
    """An object that arrived whole: its data set, with or without its pixel data."""

    sop_instance_uid: str = field(repr=False)
    sop_class_uid: str
    transfer_syntax_uid: str
    content: bytes | mmap = field(repr=False)
    is_cut: bool = False
    dropped_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes for one object, for all objects of a retrieve, for a header, and in memory before a file is made.

    ``folder`` is a folder on tmpfs for such files; without one they are memfds.
    """

    object_bytes: int = OBJECT_BYTES
    retrieve_bytes: int = RETRIEVE_BYTES
    header_bytes: int = LONGEST_HEADER
    in_memory_bytes: int = IN_MEMORY_BYTES
    folder: Path | None = None


@dataclass(slots=True)
class Counts:
    """Objects of one retrieve that were not kept.

    ``refused`` were not asked for; ``mismatched`` name another instance or class than their command, or no
    patient, or failed the retrieve's own check; ``unreadable`` are no data sets; ``duplicates`` had arrived
    before, ``conflicts`` of them with other bytes; ``unkept`` found no room; ``overlong`` broke a limit.
    """

    refused: int = 0
    mismatched: int = 0
    unreadable: int = 0
    duplicates: int = 0
    conflicts: int = 0
    unkept: int = 0
    overlong: int = 0


class ObjectWriter:
    """Takes one object; ``status`` is what its C-STORE is answered with, ``arrived`` the object if kept."""

    __slots__ = ("_allowance", "arrived", "status")

    def __init__(self, status: int, allowance: Allowance | None = None) -> None:
        self.status = status
        self.arrived: Arrived | None = None
        self._allowance = allowance

    def write(self, view: memoryview, last: bool) -> None:  # noqa: ARG002, FBT001 - p2d.dimse.messages.Writer
        """Drop the fragment: this object is not wanted; its octets count for the retrieve all the same.

        Raises:
            TooManyBytes: for the retrieve.

        """
        if self._allowance is not None:
            self._allowance.take(len(view))

    def abort(self) -> None:
        """Forget the object: the rest will not come."""


class Awaited:
    """The instances of one retrieve and which of them have arrived; safe to share between threads.

    Without *pixels* objects are cut before their pixel data. *check* looks at an object before it counts as
    arrived; an object for which it returns False is refused as mismatched.
    """

    def __init__(
        self,
        uids: Iterable[str],
        *,
        pixels: bool = True,
        limits: Limits | None = None,
        check: Callable[[Arrived], bool] | None = None,
    ) -> None:
        self.counts = Counts()
        self.pixels = pixels
        self.limits = limits or Limits()
        self.allowance = Allowance(self.limits.retrieve_bytes)
        self.unwanted = Allowance(self.limits.retrieve_bytes)  # apart: what is refused is no sign of progress
        self.check = check
        self._missing = dict.fromkeys(uids)
        self._coming: set[str] = set()
        self._seen: dict[str, int] = dict.fromkeys(self._missing, -1)
        self._lock = threading.Lock()

    @property
    def octets(self) -> int:
        """Bytes of objects that came, wanted or not."""
        return 2 * self.limits.retrieve_bytes - self.allowance.left - self.unwanted.left

    @property
    def missing(self) -> list[str]:
        """UIDs that have not arrived, in the order asked for."""
        with self._lock:
            return [uid for uid in self._seen if uid in self._missing or uid in self._coming]

    @property
    def is_complete(self) -> bool:
        """Whether all have arrived, and none is on its way from the thread that received it."""
        with self._lock:
            return not self._missing and not self._coming

    def holds(self, uid: str) -> bool:
        """Whether *uid* was asked for."""
        return uid in self._seen

    def lacks(self, uid: str) -> bool:
        """Whether *uid* was asked for and has not arrived."""
        return uid in self._missing

    def count(self, name: str) -> None:
        """Add one to the count *name*."""
        with self._lock:
            setattr(self.counts, name, getattr(self.counts, name) + 1)

    def writer(
        self, context: Context, command: Command, deliver: Callable[[Arrived], int] | None = None
    ) -> ObjectWriter:
        """Return what takes the object that *command* announces; never None, so that none is collected.

        *deliver* hands an object on before its C-STORE is answered, and says so by ``delivered``; any status
        but 0 makes it missing again.
        """
        uid = command.sop_instance_uid
        if not _UID.fullmatch(uid):
            self.count("refused")
            return ObjectWriter(INVALID_UID, self.unwanted)
        if not self.holds(uid):
            self.count("refused")
            return ObjectWriter(NOT_AUTHORISED, self.unwanted)
        if command.sop_class_uid != context.abstract_syntax:
            self.count("mismatched")
            return ObjectWriter(MISMATCH, self.unwanted)
        try:
            return _KeepingWriter(self, context, command, deliver)
        except Unreadable:
            self.count("unreadable")
            return ObjectWriter(CANNOT_UNDERSTAND, self.unwanted)

    def settle(self, one: Arrived, *, is_handed_on: bool) -> bool:
        """Note that *one* has arrived; False, and counted, when it had before.

        What *is_handed_on* is on its way until it was ``delivered`` or given back.
        """
        sample = _sample(one)
        with self._lock:
            if one.sop_instance_uid in self._missing:
                del self._missing[one.sop_instance_uid]
                if is_handed_on:
                    self._coming.add(one.sop_instance_uid)
                self._seen[one.sop_instance_uid] = sample
                return True
            self.counts.duplicates += 1
            self.counts.conflicts += sample != self._seen[one.sop_instance_uid]
            return False

    def delivered(self, uid: str) -> None:
        """Note that the object *uid* was handed on."""
        with self._lock:
            self._coming.discard(uid)

    def give_back(self, uid: str) -> None:
        """Note that the object *uid* found no room after all."""
        with self._lock:
            self._coming.discard(uid)
            self._missing[uid] = None
            self.counts.unkept += 1


class _KeepingWriter(ObjectWriter):
    """Takes an object that was asked for, whole or up to its pixel data."""

    __slots__ = ("_awaited", "_command", "_context", "_deliver", "_received", "_spool", "_syntax", "_tap")

    def __init__(
        self,
        awaited: Awaited,
        context: Context,
        command: Command,
        deliver: Callable[[Arrived], int] | None,
    ) -> None:
        super().__init__(SUCCESS, awaited.unwanted)
        limits = awaited.limits
        self._awaited = awaited
        self._context = context
        self._command = command
        self._deliver = deliver
        self._received = 0
        self._syntax = syntax_of(context.transfer_syntax)
        self._tap = None if awaited.pixels else HeaderTap(context.transfer_syntax, limits.header_bytes)
        self._spool = Spool(
            limit=limits.object_bytes,
            in_memory=limits.in_memory_bytes,
            allowance=awaited.allowance,
            folder=limits.folder,
        )

    def write(self, view: memoryview, last: bool) -> None:  # noqa: FBT001 - p2d.dimse.messages.Writer
        """Take the next fragment.

        Raises:
            TooManyBytes: for the object or its retrieve; the association is not worth keeping.

        """
        if self.status:
            super().write(view, last)
            return
        try:
            if self._tap is None:
                self._spool.write(view)
            else:
                self._spool.count(len(view))
                self._tap.write(view, last=last)
            if last:
                self._complete()
        except TooManyBytes:
            self._awaited.count("overlong")
            raise
        except OutOfSpace:
            self._fail(OUT_OF_RESOURCES, "unkept")
        except Unreadable:
            self._fail(CANNOT_UNDERSTAND, "unreadable")

    def abort(self) -> None:
        """Forget what was taken of the object."""
        self._spool.discard()
        self._tap = None
        self.arrived = None

    def _fail(self, status: int, count: str) -> None:
        self.status = status
        self._awaited.count(count)
        self.abort()

    def _complete(self) -> None:
        tap = self._tap
        content = self._spool.content() if tap is None else tap.header or b""
        one = Arrived(
            self._command.sop_instance_uid,
            self._command.sop_class_uid,
            self._context.transfer_syntax,
            content,
            is_cut=tap is not None and bool(tap.cut_at),
            dropped_bytes=0 if tap is None else tap.dropped_bytes,
        )
        if not _is_announced(one, self._syntax) or not (
            self._awaited.check is None or self._awaited.check(one)
        ):
            self._fail(MISMATCH, "mismatched")
        elif self._awaited.settle(one, is_handed_on=self._deliver is not None):
            if self._deliver is not None:
                self.status = self._deliver(one)
            if self.status:
                self._awaited.give_back(one.sop_instance_uid)
            else:
                self.arrived = one


def _is_announced(one: Arrived, syntax: Syntax) -> bool:
    """Whether the data set names the class and instance that its command named, and a patient at all.

    PatientID may be empty (type 2 of PS3.3), not absent.
    """
    found = first_values(one.content, syntax, _PATIENT_ID)

    def names(tag: int) -> str:
        begin, end = found[tag]
        return one.content[begin:end].rstrip(b"\0 ").decode("latin-1")

    return (
        _PATIENT_ID in found
        and _SOP_INSTANCE_UID in found
        and names(_SOP_INSTANCE_UID) == one.sop_instance_uid
        and (_SOP_CLASS_UID not in found or names(_SOP_CLASS_UID) == one.sop_class_uid)
    )


def _sample(one: Arrived) -> int:
    """Return a check sum of length, begin and end of an object, to tell the same object from another."""
    length = len(one.content)
    begin = zlib.crc32(one.content[:_SAMPLE], length + one.dropped_bytes & 0xFFFFFFFF)
    return zlib.crc32(one.content[max(0, length - _SAMPLE) :], begin)
