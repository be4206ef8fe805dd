"""Connects the governor that settings describe."""

import stat
from pathlib import Path

from p2d.model.errors import Misconfigured
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.machine import MachineGovernor
from p2d.pacs.governor.port import Governor
from p2d.settings.governor import Governing


def connect_governor(archive: str, settings: Governing, state_dir: Path) -> Governor:
    """Return *archive*'s governor, shared as *settings* say; nobody is asked yet.

    Raises:
        Misconfigured: the file with the connection string cannot be used, or the extra is not installed.

    """
    switch = kill_switch(archive, settings, state_dir)
    if settings.database is None or settings.shared == "machine":
        return MachineGovernor(archive, settings, switch, state_dir)
    try:
        from p2d.pacs.governor.postgres import PostgresGovernor  # noqa: PLC0415 - its driver is an extra
    except ImportError:
        raise Misconfigured(
            "pacs.governor.shared",
            "needs PostgreSQL's driver, which is not installed",
            "pip install 'p2d[postgresql]'",
        ) from None
    return PostgresGovernor(archive, settings, switch, _dsn(settings.database))


def kill_switch(archive: str, settings: Governing, state_dir: Path) -> KillSwitch:
    """Return the files that stop *archive*."""
    return KillSwitch(archive, state_dir, [settings.stop_file] if settings.stop_file else [])


def _dsn(file: Path) -> str:
    try:
        is_open = file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        dsn = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured("pacs.governor.database", f"file {file} is not readable") from None
    if is_open:
        raise Misconfigured("pacs.governor.database", f"file {file} is open to others", f"chmod 0400 {file}")
    if not dsn:
        raise Misconfigured(
            "pacs.governor.database", f"file {file} is empty", "write PostgreSQL's connection string there"
        )
    return dsn
