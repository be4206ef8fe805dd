"""The governor of another process of this machine, over its Unix socket."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from p2d.model.errors import Unavailable
from p2d.pacs.governor.port import Ask, Lease, Load, Report, Wait
from p2d.pacs.governor.service import LONGEST_LINE, short_path, user_of
from p2d.pacs.governor.wire import answer_in, ask_out, load_in, report_out

T = TypeVar("T")
_SECONDS: Final = 5.0


class SocketClient:
    """One connection to a ``Service``, for all threads of this process.

    Raises (on construction):
        Unavailable: nobody listens at *path*, or not a process of ours.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_SECONDS)
        try:
            with short_path(path) as name:
                self._socket.connect(name)
            is_ours = user_of(self._socket) in {os.geteuid(), 0}
        except OSError as error:
            self._socket.close()
            raise _unreachable(str(error.strerror)) from None
        if not is_ours:
            self._socket.close()
            raise _unreachable("its socket belongs to another user")
        self._stream = self._socket.makefile("rwb")

    def ask(self, ask: Ask) -> Lease | Wait:
        """Return a lease or how long to wait; see ``Governor``."""
        return self._read(answer_in, {"do": "ask", **ask_out(ask)})

    def report(self, lease_id: str, report: Report) -> float:
        """Settle what was used; see ``Governor``."""
        request = {"do": "report", "lease": lease_id, **report_out(report)}
        return self._read(lambda answer: float(answer["pause"]), request)

    def load(self) -> Load:
        """Return the load now; see ``Governor``."""
        return self._read(load_in, {"do": "load"})

    def close(self) -> None:
        """Hang up: leases of this process end."""
        with contextlib.suppress(OSError):  # a last flush may find nobody
            self._stream.close()
        self._socket.close()

    def _read(self, reader: Callable[[dict[str, Any]], T], request: dict[str, Any]) -> T:
        """Return what *reader* makes of the answer to *request*; raises as ``_exchange``."""
        answer = self._exchange(request)
        try:
            return reader(answer)
        except (KeyError, TypeError, ValueError, AttributeError):  # of another version
            raise _unreachable("its answer makes no sense") from None

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to *request*.

        Raises:
            ConnectionError: the service is gone.
            Unavailable: it says so, or answers what makes no sense.

        """
        line = json.dumps(request).encode("ascii") + b"\n"
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
                answer = self._stream.readline(LONGEST_LINE)
            except (OSError, ValueError) as error:  # ValueError: closed by another thread
                raise ConnectionError(type(error).__name__) from None
        if not answer.endswith(b"\n"):
            raise ConnectionError("hung up")
        try:
            values = json.loads(answer)
            if not isinstance(values, dict):
                raise _unreachable("its answer makes no sense")
        except ValueError:
            raise _unreachable("its answer makes no sense") from None
        if "error" in values:
            raise Unavailable(
                str(values["error"]), str(values.get("problem", "")), str(values.get("remedy", ""))
            )
        return values


def _unreachable(why: str) -> Unavailable:
    return Unavailable("governor", f"cannot be reached ({why})", "nothing is asked of the archive without it")
