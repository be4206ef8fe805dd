"""Ask the warehouse for a cohort: numbers, a preview, a table, its patients. Every question is audited.

The audit keeps who asked, a digest of the query and the numbers that came back, not the query itself: its
texts are free, and somebody may have typed a name. Researchers and operators may ask alike; a preview shows
pseudonyms, so both may also have the list of patients that a session needs.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from p2d.audit.log import AuditLog, Entry
from p2d.audit.refusals import marked
from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.warehouse.query.nodes import Query
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.results import MOST_ROWS, CohortEngine, Counts, ResultTable


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a name for the audit, and the role it was admitted with."""

    user: str
    role: str


@dataclass(frozen=True, slots=True)
class CohortDesk:
    """The use cases over one engine; safe to share between threads."""

    engine: CohortEngine
    audit: AuditLog
    rows_per_preview: int = 10

    def count(self, source: object, asker: Asker) -> Counts:
        """Return the numbers of the query *source* (JSON-like).

        Raises:
            InvalidRequest: the query is malformed or names what the warehouse does not hold.
            Unavailable: it took too long, or the audit cannot be written.

        """
        query = parse(source)
        with self._audited("cohort.count", query, asker) as entry:
            counts = self.engine.count(query)
            entry.outcome(patients=counts.patients, studies=counts.studies, series=counts.series)
        return counts

    def preview(self, source: object, asker: Asker) -> ResultTable:
        """Return the first rows of the query's table; errors as ``count``."""
        return self._table("cohort.preview", source, asker, self.rows_per_preview)

    def table(self, source: object, asker: Asker) -> ResultTable:
        """Return the query's whole table; errors as ``count``.

        Raises:
            InvalidRequest: it has more than a million rows; nothing is cut off silently.

        """
        table = self._table("cohort.table", source, asker, MOST_ROWS + 1)
        if table.total > MOST_ROWS:
            raise InvalidRequest("level", f"makes more than {MOST_ROWS} rows", "choose a coarser level")
        return table

    def patients(self, source: object, asker: Asker) -> tuple[Pseudonym, ...]:
        """Return the pseudonyms of the query's patients, in order; errors as ``count``."""
        query = parse(source)
        with self._audited("cohort.patients", query, asker) as entry:
            patients = self.engine.cohort(query)
            entry.outcome(patients=len(patients))
        return patients

    def _table(self, action: str, source: object, asker: Asker, limit: int) -> ResultTable:
        query = parse(source)
        with self._audited(action, query, asker) as entry:
            table = self.engine.table(query, limit)
            entry.outcome(rows=len(table.rows), total=table.total)
        return table

    @contextmanager
    def _audited(self, action: str, query: Query, asker: Asker) -> Iterator[Entry]:
        subject = {"role": asker.role, "query": _fingerprint(query), "level": str(query.level)}
        with (
            marked(),
            self.audit.query(action=action, user=asker.user, session="", subject=subject) as entry,
        ):
            yield entry


_FINGERPRINT: Final = 32


def _fingerprint(query: Query) -> str:
    canonical = json.dumps(query.as_json(), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_FINGERPRINT]
