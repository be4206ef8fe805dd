"""Where an export is computed: a private DuckDB beside the warehouse, and the numbers it has given out.

Forms with whole numbers as ids (OMOP, i2b2, the AttrID of EAV) need numbers of 32 bits that stay the same
from export to export. They are kept in one file: a number belongs to a domain (person, visit …), an owner
  (the
person's own number, 0 where there is none) and a key, is given once and never again to another.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from p2d.model.errors import Misconfigured, Unavailable
from p2d.warehouse.exchange.source import BY_PATIENT, PatientRange, Source

LARGEST: Final = 2**31 - 1
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
}
_KNOWN: Final = """
CREATE TABLE IF NOT EXISTS given (domain VARCHAR NOT NULL, owner BIGINT NOT NULL, "key" VARCHAR NOT NULL,
  id BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS last_given (domain VARCHAR NOT NULL, id BIGINT NOT NULL);
"""

# moment: a timestamp of a date and a DICOM or clinical time of day; midnight where the time is not readable.
# as_text: a number as it is written, without an exponent or a needless ".0".
_MACROS: Final = r"""
CREATE TEMP MACRO moment(d, t) AS CASE
  WHEN d IS NULL THEN NULL
  WHEN regexp_full_match(replace(coalesce(t, ''), ':', ''), '([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9].*')
    THEN d + (substr(replace(t, ':', ''), 1, 2) || ':' || substr(replace(t, ':', ''), 3, 2) || ':'
      || substr(replace(t, ':', ''), 5, 2))::TIME
  ELSE d::TIMESTAMP END;
CREATE TEMP MACRO as_text(n) AS CASE
  WHEN n IS NULL THEN NULL
  WHEN abs(n) < 1e15 AND n = trunc(n) THEN n::BIGINT::VARCHAR
  ELSE n::VARCHAR END;
"""


class Workbench:
    """A DuckDB with the canonical rows of one range of patients as views, and the ids as tables."""

    def __init__(self, ids: duckdb.DuckDBPyConnection) -> None:
        self._db = ids
        self._db.execute(_MACROS)
        self._db.execute("CREATE TEMP TABLE held_patient (patient VARCHAR)")

    @contextmanager
    def holding(self, source: Source, patients: PatientRange) -> Iterator[None]:
        """Offer the rows of *patients* under the names of ``BY_PATIENT`` until the block ends."""
        for table in BY_PATIENT:
            self._db.register(table, source.read(table, patients))
        self._db.execute("INSERT INTO held_patient SELECT patient FROM patient")
        try:
            yield
        finally:
            for table in BY_PATIENT:
                self._db.unregister(table)

    def offer(self, name: str, rows: pa.Table) -> None:
        """Offer *rows* as the view *name*."""
        self._db.register(name, rows)

    def table(self, statement: str) -> pa.Table:
        """Return what *statement*, text of ours, selects."""
        return self._db.sql(statement).to_arrow_table()

    def run(self, statement: str) -> None:
        """Run *statement*, text of ours."""
        self._db.execute(statement)

    def number(self, domain: str, keys: str, first: int = 1) -> None:
        """Give numbers in *domain* to what *keys* selects and offer all of them as ``<domain>_id``.

        *keys* is a SELECT of (owner, key) of ours. The view has the columns owner, key, id. *first* is the
        lowest number ever given in the domain.

        Raises:
            Unavailable: the domain has no numbers of 32 bits left.

        """
        db = self._db
        db.execute(
            f"CREATE OR REPLACE TEMP TABLE asked AS SELECT DISTINCT owner::BIGINT AS owner, "  # noqa: S608 - text of ours
            f'"key"::VARCHAR AS "key" FROM ({keys})'
        )
        db.execute(
            "CREATE OR REPLACE TEMP TABLE held AS SELECT g.* FROM given g JOIN asked a "
            'ON g.owner = a.owner AND g."key" = a."key" WHERE g.domain = $1 AND g.owner BETWEEN '
            "(SELECT min(owner) FROM asked) AND (SELECT max(owner) FROM asked)",
            [domain],
        )
        row = db.execute("SELECT max(id) FROM last_given WHERE domain = $1", [domain]).fetchall()[0]
        last = first - 1 if row[0] is None else int(row[0])
        db.execute(
            'INSERT INTO held SELECT $1, owner, "key", $2 + row_number() OVER (ORDER BY owner, "key") '
            'FROM (SELECT owner, "key" FROM asked EXCEPT SELECT owner, "key" FROM held)',
            [domain, last],
        )
        most = db.execute("SELECT max(id) FROM held").fetchall()[0][0]
        if most is not None and most > LARGEST:
            raise Unavailable(f"ids.{domain}", "has no numbers of 32 bits left", "start a new file of ids")
        db.begin()
        db.execute("INSERT INTO given SELECT * FROM held WHERE id > $1", [last])
        if most is not None and most > last:
            db.execute("DELETE FROM last_given WHERE domain = $1", [domain])
            db.execute("INSERT INTO last_given VALUES ($1, $2)", [domain, most])
        db.commit()
        db.execute(
            f'CREATE OR REPLACE TEMP TABLE {domain}_id AS SELECT owner, "key", id::INTEGER AS id FROM held'  # noqa: S608 - a name of ours
        )

    def forget_others(self) -> None:
        """Forget persons that no range held, and what was theirs; their numbers are not given again.

        Called after all ranges, so that who was erased from the warehouse leaves the file of ids, too.
        """
        self._db.begin()
        self._db.execute(
            "CREATE OR REPLACE TEMP TABLE gone AS SELECT id FROM given WHERE domain = 'person' "
            'AND "key" NOT IN (SELECT patient FROM held_patient)'
        )
        self._db.execute("DELETE FROM given WHERE domain = 'person' AND id IN (SELECT id FROM gone)")
        self._db.execute("DELETE FROM given WHERE owner IN (SELECT id FROM gone)")
        self._db.commit()


@contextmanager
def workbench(ids: Path | None) -> Iterator[Workbench]:
    """Yield a workbench whose numbers are kept in the DuckDB file *ids*; None forgets them.

    Raises:
        Misconfigured: the file is not one of ids, or open in another process.

    """
    try:
        if ids is not None:
            ids.parent.mkdir(parents=True, exist_ok=True)
        db = duckdb.connect(":memory:" if ids is None else str(ids), config=_CONFIG)
        if ids is not None:
            ids.chmod(0o600)
        db.execute(_KNOWN)
    except (duckdb.Error, OSError) as error:
        problem = f"the file of ids cannot be opened ({type(error).__name__})"
        raise Misconfigured(
            "exchange.directory", problem, "stop the other process, or see permissions"
        ) from None
    try:
        yield Workbench(db)
    finally:
        db.close()
