"""`[jobs]` of the gateway: where runs are kept and how they are worked."""

import stat
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from p2d.model.errors import Misconfigured
from p2d.settings.file import FilePath, Strict


class Jobs(Strict):
    """`[jobs]`: ``ledger`` is a file of this machine, ``postgresql`` a database that several machines share.

    ``dsn`` is a file with the connection string (libpq), a secret. ``processes`` is how many workers ``p2d
    worker`` starts. One without a sign of life for ``lease_seconds`` loses its patients to others. While a
    peer is down ``p2d extract`` waits for ``outage_seconds`` before it gives patients up; ``p2d worker``
    waits on. A job of the queue covers ``patients_per_job``.
    """

    engine: Literal["ledger", "postgresql"] = "ledger"
    dsn: FilePath | None = None
    processes: int = Field(2, ge=1, le=64)
    lease_seconds: float = Field(60.0, ge=2, le=3600)
    outage_seconds: float = Field(300.0, ge=0, le=86_400)
    patients_per_job: int = Field(100, ge=1, le=10_000)


def read_dsn(settings: Jobs) -> SecretStr:
    """Return the connection string that *settings* name.

    Raises:
        Misconfigured: none is named, or the file is absent, empty or open to others.

    """
    path: Path | None = settings.dsn
    remedy = "write it, readable by its owner only: (umask 077; echo 'host=… dbname=…' > FILE)"
    if path is None:
        raise Misconfigured("jobs.dsn", "is missing, but engine is 'postgresql'", f"name a file; {remedy}")
    try:
        mode = path.stat().st_mode
        dsn = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured("jobs.dsn", f"file {path} is not readable", remedy) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured("jobs.dsn", f"file {path} is open to others", f"chmod 0400 {path}")
    if not dsn:
        raise Misconfigured("jobs.dsn", f"file {path} is empty", remedy)
    return SecretStr(dsn)
