"""Bring a ledger's tables to this version: numbered files of SQL, each applied once, in order."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Final

from p2d.jobs import totals
from p2d.jobs.store import Db
from p2d.model.errors import Misconfigured

LATEST: Final = 5
_TOTALS_CAME: Final = 3
_SQLITE: Final = {"SERIAL_KEY": "INTEGER PRIMARY KEY AUTOINCREMENT"}
_POSTGRESQL: Final = {
    "SERIAL_KEY": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    " STRICT, WITHOUT ROWID": "",
    " STRICT": "",
    "INTEGER": "BIGINT",
    "REAL": "DOUBLE PRECISION",
}
_SQLITE_ONLY: Final = re.compile(r"^.*-- SQLite only$", re.MULTILINE)


def migrate(db: Db, version: int, *, is_sqlite: bool) -> None:
    """Apply to a ledger of *version* (0: empty) what came since, in the transaction that *db* is.

    Raises:
        Misconfigured: the ledger is of a later version than this program.

    """
    if version > LATEST:
        raise Misconfigured("ledger", f"is of version {version}, later than this program", "update P2D")
    for number, script in _scripts():
        if number <= version:
            continue
        for statement in _statements(script, is_sqlite=is_sqlite):
            db.rows(statement)
    if 0 < version < _TOTALS_CAME:
        for (run_id,) in db.rows("SELECT run_id FROM run"):
            totals.rewrite(db, str(run_id))


def _scripts() -> Iterator[tuple[int, str]]:
    folder = files("p2d.jobs").joinpath("migrations")
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".sql"):
            yield int(file.name[:4]), file.read_text(encoding="utf-8")


def _statements(script: str, *, is_sqlite: bool) -> Iterator[str]:
    words: Mapping[str, str] = _SQLITE if is_sqlite else _POSTGRESQL
    text = script if is_sqlite else _SQLITE_ONLY.sub("", script)
    text = re.sub(r"--.*$", "", text, flags=re.MULTILINE)
    for word, own in words.items():
        text = text.replace(word, own)
    yield from (statement for part in text.split(";") if (statement := part.strip()))
