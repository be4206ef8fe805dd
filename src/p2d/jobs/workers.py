"""Names of workers, by which others on the same machine can tell that one has died."""

import os
import secrets
import socket
from functools import cache
from pathlib import Path
from typing import Final

_START: Final = 19
"""Where a process's start stands in /proc/PID/stat, counted after the command's closing bracket (proc(5))."""


def this_worker() -> str:
    """Return a name for one worker of this process: host, machine, process, its start, and a random part."""
    pid = os.getpid()
    return f"{_host()}/{_machine()}/{pid}/{_started(pid)}/{secrets.token_hex(4)}"


def is_dead(worker: str) -> bool:
    """Whether *worker* surely has died: it ran on this machine and its process is gone."""
    parts = worker.split("/")
    if len(parts) != 5 or parts[1] != _machine() or not parts[2].isdigit() or not parts[3]:  # noqa: PLR2004 - as above
        return False
    return _started(int(parts[2])) != parts[3]


@cache
def _host() -> str:
    return socket.gethostname().replace("/", "-")[:64]


@cache
def _machine() -> str:
    """Return what tells this boot of this machine (or container) from others; empty where nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:13]}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when the process began, in clock ticks since boot; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    after = stat.rpartition(")")[2].split()
    return "" if after[0] in {"Z", "X"} else after[_START]
