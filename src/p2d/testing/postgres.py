"""A private PostgreSQL for tests: a cluster of its own on a Unix socket, stopped and started at will.

It does not wait for the disk: what it was told outlives its own end, not the machine's.

PostgreSQL refuses to run as root, so root runs it as the unprivileged user of Debian's package.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

_USERS: Final = ("postgres", "nobody")
_SETTINGS: Final = """
listen_addresses = ''
max_connections = 40
shared_buffers = 32MB
fsync = off
log_min_messages = fatal
"""


def _binaries() -> Path:
    """Return the folder of the newest installed PostgreSQL's programs.

    Raises:
        FileNotFoundError: there is none.

    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise FileNotFoundError("no PostgreSQL below /usr/lib/postgresql; apt-get install postgresql")
    return found[-1]


@dataclass(frozen=True)
class Postgres:
    """A running server; ``dsn`` names its database ``p2d`` by a Unix socket that only its owner may enter."""

    folder: Path
    user: str

    @property
    def dsn(self) -> str:
        """The connection string of the database ``p2d``."""
        return f"host={self.folder} user={self.user} dbname=p2d"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._control("start", "-w", "-o", f"-k {self.folder}", "-l", str(self.folder / "log"))

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server: clients are disconnected; *at_once* leaves recovery to the next start."""
        self._control("stop", "-w", "-m", "immediate" if at_once else "fast")

    @property
    def is_running(self) -> bool:
        """Whether the server runs."""
        return self._run("pg_ctl", "-D", str(self.folder / "data"), "status", check=False).returncode == 0

    def database(self, name: str, *, template: str = "template1") -> str:
        """Make a database *name*, a copy of *template*, and return its connection string."""
        with self._administration() as db:
            db.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return f"host={self.folder} user={self.user} dbname={name}"

    def has_database(self, name: str) -> bool:
        """Whether there is a database *name*."""
        with self._administration() as db:
            return bool(db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchall())

    def _administration(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(f"host={self.folder} user={self.user} dbname=postgres", autocommit=True)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(_binaries() / program), *arguments],
            check=check,
            user=self.user if os.geteuid() == 0 else None,
            group=pwd.getpwnam(self.user).pw_gid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )

    def create(self) -> None:
        """Make the cluster and its database, and start it."""
        data = self.folder / "data"
        self._run(
            "initdb",
            "-D",
            str(data),
            "-U",
            self.user,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        )
        with (data / "postgresql.conf").open("a", encoding="ascii") as stream:
            stream.write(_SETTINGS)
        self.start()
        self.database("p2d")


@contextmanager
def postgres(folder: Path | None = None) -> Iterator[Postgres]:
    """Run a PostgreSQL of its own until the block ends; what it kept is removed.

    The cluster lies below the system's folder for temporary files, because a socket's path is short (107
    bytes) and its owner must be able to reach it; *folder* gets the server's log.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.

    """
    home = Path(tempfile.mkdtemp(prefix="p2d-pg-"))
    user = next(u for u in _USERS if _exists(u)) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        os.chown(home, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    server = Postgres(home, user)
    try:
        server.create()
        yield server
    finally:
        with suppress(subprocess.SubprocessError):
            if server.is_running:
                server.stop(at_once=True)
        if folder is not None and (home / "log").exists():
            shutil.copy(home / "log", folder / "postgres.log")
        shutil.rmtree(home, ignore_errors=True)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
