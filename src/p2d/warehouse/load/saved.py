"""Saved cohorts in the tables ``cohort`` and ``cohort_member``.

The column ``owner`` holds the user; of a shared cohort it holds an asterisk before it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC
from typing import Any, Final

import pyarrow as pa

from p2d.warehouse.load.staging import Staging
from p2d.warehouse.saved import SavedCohort
from p2d.warehouse.statements import Statements

_SHARED: Final = "*"
_COLUMNS: Final = (
    "SELECT c.name, c.owner, c.query, c.created_at, (SELECT count(*) FROM cohort_member m "
    "WHERE m.name = c.name AND m.owner = c.owner) FROM cohort c"
)


class CohortTables:
    """The port over an engine's transactions: *reading* opens one that looks, *writing* one that commits."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Statements]],
        writing: Callable[[], AbstractContextManager[Staging]],
    ) -> None:
        self._reading = reading
        self._writing = writing

    def save(self, cohort: SavedCohort) -> None:
        """See ``CohortStore``."""
        owner = f"{_SHARED if cohort.is_shared else ''}{cohort.owner}"
        with self._writing() as session:
            _forget(session, cohort.name, cohort.owner)
            session.rows(
                "INSERT INTO cohort VALUES ($name, $owner, $query, $at)",
                name=cohort.name,
                owner=owner,
                query=cohort.query,
                at=cohort.created_at.astimezone(UTC).replace(tzinfo=None),
            )
            if cohort.patients:
                session.receive("listed", pa.table({"patient": pa.array(cohort.patients, pa.string())}))
                session.rows(
                    "INSERT INTO cohort_member "
                    "SELECT DISTINCT CAST($name AS VARCHAR), CAST($owner AS VARCHAR), patient FROM listed",
                    name=cohort.name,
                    owner=owner,
                )

    def find(self, name: str) -> tuple[SavedCohort, ...]:
        """See ``CohortStore``."""
        with self._reading() as session:
            rows = session.rows(f"{_COLUMNS} WHERE c.name = $name", name=name)
            members = session.rows(
                "SELECT owner, patient FROM cohort_member WHERE name = $name ORDER BY patient", name=name
            )
        found = (_cohort(row, [p for owner, p in members if owner == row[1]]) for row in rows)
        return tuple(sorted(found, key=lambda cohort: cohort.owner))

    def listed(self) -> tuple[SavedCohort, ...]:
        """See ``CohortStore``."""
        with self._reading() as session:
            rows = session.rows(_COLUMNS)
        return tuple(sorted(map(_cohort, rows), key=lambda cohort: (cohort.name, cohort.owner)))

    def delete(self, name: str, owner: str) -> bool:
        """See ``CohortStore``."""
        with self._writing() as session:
            return _forget(session, name, owner)


def _forget(session: Staging, name: str, owner: str) -> bool:
    deleted = 0
    for stored in _spellings(owner):
        for table in ("cohort_member", "cohort"):
            statement = f"DELETE FROM {table} WHERE name = $name AND owner = $owner"  # noqa: S608 - two constants
            count = session.changed(statement, name=name, owner=stored)
            deleted += count if table == "cohort" else 0
    return deleted > 0


def _spellings(owner: str) -> Iterator[str]:
    yield owner
    yield f"{_SHARED}{owner}"


def _cohort(row: tuple[Any, ...], patients: list[str] | None = None) -> SavedCohort:
    name, owner, query, created_at, size = row
    return SavedCohort(
        name,
        owner.removeprefix(_SHARED),
        owner.startswith(_SHARED),
        query,
        created_at.replace(tzinfo=UTC),
        int(size),
        tuple(patients or ()),
    )
