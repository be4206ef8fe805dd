"""Composition root of the ledger: the engine that the settings name."""

from pathlib import Path

from p2d.jobs.ledger import Ledger
from p2d.model.errors import Misconfigured
from p2d.settings.jobs import Jobs, read_dsn


def open_ledger(settings: Jobs, state: Path, *, patience_seconds: float) -> Ledger:
    """Return the ledger: in the *state* folder, or in the database that *settings* name.

    While that database is away a change waits up to *patience_seconds*.

    Raises:
        Misconfigured: a file or the database's tables are not as they must be.
        Unavailable: the database cannot be reached.

    """
    if settings.engine == "ledger":
        return Ledger(state / "ledger.sqlite")
    _need_driver()
    from p2d.jobs.postgresql import PostgresStore  # noqa: PLC0415 - its driver is an extra

    return Ledger(PostgresStore(read_dsn(settings).get_secret_value(), patience_seconds=patience_seconds))


def migrate(settings: Jobs) -> str:
    """Make or bring to this version the tables of ledger and queue; return what was done, as a sentence.

    Raises:
        Misconfigured, Unavailable: as ``open_ledger``.

    """
    if settings.engine == "ledger":
        return "The engine is 'ledger': its file is brought to this version whenever it is opened."
    _need_driver()
    from p2d.jobs.postgresql import migrate_postgresql  # noqa: PLC0415 - as above
    from p2d.jobs.queue import migrate_queue  # noqa: PLC0415 - as above

    dsn = read_dsn(settings).get_secret_value()
    before = migrate_postgresql(dsn)
    migrate_queue(dsn)
    return f"Ledger and queue are of this version (the ledger was of version {before})."


def _need_driver() -> None:
    try:
        import procrastinate  # noqa: F401, PLC0415 - only whether it is there
        import psycopg  # noqa: F401, PLC0415 - as above
    except ImportError:
        raise Misconfigured(
            "jobs.engine", "is 'postgresql', whose driver is not installed", "pip install 'p2d[postgresql]'"
        ) from None
