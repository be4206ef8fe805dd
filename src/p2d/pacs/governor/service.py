"""A local governor served to other processes of the same user: a Unix socket, one line of JSON a request."""

import contextlib
import fcntl
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from p2d.model.errors import P2DError, Unavailable
from p2d.pacs.governor.local import LocalGovernor
from p2d.pacs.governor.wire import answer_out, ask_in, load_out, report_in

LONGEST_LINE: Final = 65_536
_MOST_CLIENTS: Final = 64
_CREDENTIALS: Final = struct.Struct("3i")


def claimed(lock_file: Path) -> int | None:
    """Return a descriptor that makes this process the archive's governor, or None: another one is.

    The kernel gives the claim back when the process ends, however it ends.

    Raises:
        Unavailable: the file cannot be made.

    """
    try:
        lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable(
            "governor", f"its lock file cannot be opened ({error.strerror})", "check state_dir"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a name of *path* that fits into a socket address (107 bytes), however deep its folder lies."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def user_of(peer: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel knows it."""
    return int(
        _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    )


class Service:
    """Serves *governor* at *path*; a client's leases end with its connection."""

    def __init__(self, governor: LocalGovernor, path: Path) -> None:
        """Listen; what an earlier process left at *path* is removed.

        Raises:
            Unavailable: the socket cannot be made.

        """
        self._governor = governor
        self._path = path
        self._lock = threading.Lock()
        self._clients: dict[str, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            path.unlink(missing_ok=True)
            with short_path(path) as name:
                self._listener.bind(name)
            path.chmod(0o600)
            self._listener.listen(_MOST_CLIENTS)
        except OSError as error:
            self._listener.close()
            raise Unavailable(
                "governor", f"its socket cannot be made ({error.strerror})", "check state_dir"
            ) from None
        threading.Thread(target=self._accept, name="governor", daemon=True).start()

    def close(self) -> None:
        """Hang up; clients find another governor or become one."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                is_welcome = len(self._clients) < _MOST_CLIENTS and user_of(client) in {os.geteuid(), 0}
                holder = os.urandom(8).hex()
                if is_welcome:
                    self._clients[holder] = client
            if is_welcome:
                threading.Thread(target=self._serve, args=(client, holder), daemon=True).start()
            else:
                client.close()

    def _serve(self, client: socket.socket, holder: str) -> None:
        try:
            with client, client.makefile("rwb") as stream:
                while line := stream.readline(LONGEST_LINE):
                    stream.write(json.dumps(self._answer(line, holder)).encode("ascii") + b"\n")
                    stream.flush()
        except OSError:  # hung up in the middle
            pass
        finally:
            with self._lock:
                del self._clients[holder]
            self._governor.drop(holder)

    def _answer(self, line: bytes, holder: str) -> dict[str, Any]:
        try:
            return self._done(json.loads(line), holder)
        except P2DError as error:
            return {"error": error.field, "problem": error.problem, "remedy": error.remedy}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"error": "governor", "problem": "was asked something it does not understand"}

    def _done(self, request: dict[str, Any], holder: str) -> dict[str, Any]:
        match request["do"]:
            case "ask":
                return answer_out(self._governor.ask(ask_in(request), holder))
            case "report":
                pause = self._governor.report(str(request["lease"]), report_in(request), holder)
                return {"pause": pause}
            case "load":
                return load_out(self._governor.load())
        raise ValueError("do")
