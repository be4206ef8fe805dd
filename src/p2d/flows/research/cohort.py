"""Ask the warehouse for a cohort: numbers, a preview, a table, its patients. Every question is audited.

The audit keeps who asked, a digest of the query and the numbers that came back, not the query itself: its
texts are free, and somebody may have typed a name. Researchers and operators may ask alike; a preview shows
pseudonyms, so both may also have the list of patients that a session needs.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Final

from p2d.audit.log import AuditLog, Entry
from p2d.audit.refusals import marked
from p2d.flows.research.disclosure import Disclosure
from p2d.flows.research.saved_cohorts import SavedCohorts, refuse_lists
from p2d.model.errors import InvalidRequest, NotFound
from p2d.model.ids import Pseudonym
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.facet_form import read_facet_request
from p2d.warehouse.query.json_fields import read_list, read_object
from p2d.warehouse.query.nodes import Frame, Query
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.results import MOST_ROWS, CohortEngine, Counts, Reason, ResultTable
from p2d.warehouse.query.stopping import Questions
from p2d.warehouse.query.tally import Tally


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a name for the audit, and the role it was admitted with.

    ``question`` is the name that the asker gave this question, by which it can be cancelled.
    """

    user: str
    role: str
    question: str = ""


Number = int | None
"""A number as it is shown; None is one that is not."""


@dataclass(frozen=True, slots=True)
class CohortDesk:
    """The use cases over one engine; safe to share between threads.

    Numbers pass *disclosure* where there is one, and who sees shielded numbers only sees no single patient.
    The audit keeps numbers as they are, and how many took another set's answer (``near``). With *saved*
    queries may name saved cohorts.
    """

    engine: CohortEngine
    audit: AuditLog
    rows_per_preview: int = 10
    disclosure: Disclosure | None = None
    saved: SavedCohorts | None = None
    questions: Questions = field(default_factory=Questions)

    def count(self, source: object, asker: Asker) -> dict[str, Number]:
        """Return the numbers of the query *source* (JSON-like) by the names of ``results.Counts``.

        Raises:
            InvalidRequest: the query is malformed or names what the warehouse does not hold.
            Unavailable: it took too long, or the audit cannot be written.

        """
        query = self._query(source, asker)
        with self._asked("cohort.count", query, asker) as (entry, shown):
            counts = self.engine.count(query)
            entry.outcome(
                patients=counts.patients.number, studies=counts.studies.number, series=counts.series.number
            )
            return {one.name: shown(getattr(counts, one.name), one.name) for one in fields(Counts)}

    def attrition(self, source: object, asker: Asker) -> list[dict[str, object]]:
        """Return the parts of the outermost ``all``, alone and with those before; errors as ``count``."""
        query = self._query(source, asker)
        with self._asked("cohort.attrition", query, asker) as (entry, shown):
            steps = self.engine.attrition(query)
            entry.outcome(steps=len(steps), patients=steps[-1].together.number)
            return [
                {"places": list(s.places), "alone": shown(s.alone), "together": shown(s.together)}
                for s in steps
            ]

    def widen(self, source: object, asker: Asker) -> list[dict[str, object]]:
        """Return for every imaging frame how many patients each choice finds; errors as ``count``."""
        query = self._query(source, asker)
        with self._asked("cohort.widen", query, asker) as (entry, shown):
            widenings = self.engine.widen(query)
            entry.outcome(frames=len(widenings))
            return [
                {
                    "places": list(widening.places),
                    "frame": str(widening.frame),
                    "explicit": widening.is_explicit,
                    "patients": {str(f): shown(t) for f, t in widening.patients.items()},
                }
                for widening in widenings
            ]

    def facet(self, source: object, asker: Asker) -> dict[str, object]:
        """Return the facet of ``{"query": ..., "facet": ...}``; errors as ``count``.

        A cell whose number is not shown is left out, label and all.
        """
        written, asked = _with_query(source, "facet")
        query, request = self._query(written, asker), read_facet_request(asked)
        with self._asked("cohort.facet", query, asker, request) as (entry, shown):
            found = self.engine.facet(query, request)
            entry.outcome(cells=len(found.cells), things=found.total.number)
            kind = _KINDS.get(request.level, str(request.level))
            cells = [(labels, shown(tally, kind)) for labels, tally in found.cells]
            if self.is_shielded(asker):  # the order of the numbers behind would say more
                cells.sort(key=lambda cell: (-(cell[1] or 0), str(cell[0])))
            return {
                "level": str(request.level),
                "cells": [{"labels": list(labels), "number": n} for labels, n in cells if n is not None],
                "hidden": None if self.is_shielded(asker) else 0,
                "others": shown(found.others, kind),
                "missing": shown(found.missing, kind),
                "total": shown(found.total, kind),
            }

    def reasons(self, source: object, asker: Asker) -> tuple[Reason, ...]:
        """Return what speaks for patients: ``{"query": ..., "patients": [...]}``; errors as ``count``."""
        self.check_patients(asker)
        written, listed = _with_query(source, "patients")
        query, texts = self._query(written, asker), read_list(listed, "patients", MOST_REASONED)
        patients = [Pseudonym.parse(str(text), f"patients[{i}]") for i, text in enumerate(texts)]
        with self._audited("cohort.reasons", query, asker) as entry:
            found = self.engine.reasons(query, patients)
            entry.outcome(patients=len({reason.patient for reason in found}), reasons=len(found))
        return found

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
        self.check_patients(asker)
        query = self._query(source, asker)
        with self._audited("cohort.patients", query, asker) as entry:
            patients = self.engine.cohort(query)
            entry.outcome(patients=len(patients))
        return patients

    def cancel(self, name: str, asker: Asker) -> None:
        """End *asker*'s question *name*, which hears that it was cancelled.

        Raises:
            NotFound: there is none of that name under way.

        """
        with self.audit.query(
            action="cohort.cancel", user=asker.user, session="", subject={"role": asker.role}
        ):
            if not self.questions.cancel(name, asker.user):
                raise NotFound("question", "is not under way", "it has ended, or was asked by somebody else")

    def _table(self, action: str, source: object, asker: Asker, limit: int) -> ResultTable:
        self.check_patients(asker)
        query = self._query(source, asker)
        with self._audited(action, query, asker) as entry:
            table = self.engine.table(query, limit)
            entry.outcome(rows=len(table.rows), total=table.total)
        return table

    def _query(self, source: object, asker: Asker) -> Query:
        """Return the query of *source* with saved cohorts in place of their names."""
        query = parse(source)
        if self.saved is not None:
            query = self.saved.replaced(query, asker.user)
        if self.is_shielded(asker):
            refuse_lists(query.where)
        return query

    def is_shielded(self, asker: Asker) -> bool:
        """Whether *asker* sees shielded numbers only."""
        return self.disclosure is not None and self.disclosure.is_for(asker.role)

    def check_patients(self, asker: Asker) -> None:
        """Return if *asker* may see single patients.

        Raises:
            Refused: numbers only.

        """
        if self.disclosure is not None:
            self.disclosure.check_patients(asker.role)

    @contextmanager
    def _asked(
        self, action: str, query: Query, asker: Asker, more: object = None
    ) -> Iterator[tuple[Entry, Callable[..., Number]]]:
        """Run a question for numbers: yield its entry and what shows a number of it."""
        disclosure = self.disclosure
        if disclosure is None or not disclosure.is_for(asker.role):
            with self._audited(action, query, asker) as entry:
                yield entry, lambda tally, _="patients": tally.number
            return
        near = 0

        def shown(tally: Tally, kind: str = "patients") -> Number:
            nonlocal near
            number = disclosure.shield.shown(tally, kind)
            near += disclosure.shield.is_close(tally, kind)
            return number

        with self._audited(action, query, asker) as entry:
            disclosure.spend(asker.user, asker.role, f"{action} {_fingerprint(query)} {more}")
            yield entry, shown
            entry.outcome(near=near)

    @contextmanager
    def _audited(self, action: str, query: Query, asker: Asker) -> Iterator[Entry]:
        subject = {"role": asker.role, "query": _fingerprint(query), "level": str(query.level)}
        with (
            marked(),
            self.audit.query(action=action, user=asker.user, session="", subject=subject) as entry,
            self.questions.named(asker.question, asker.user),
        ):
            yield entry


_KINDS: Final = {frame: f"{frame}s" for frame in Frame} | {
    Frame.SERIES: "series",
    Frame.STUDY: "studies",
}
"""What things of a frame are called in ``Counts``, so that a facet's total is the count."""
MOST_REASONED: Final = 100
"""Patients whose reasons are shown at once."""

_FINGERPRINT: Final = 32


def _with_query(source: object, name: str) -> tuple[object, object]:
    """Return the query in *source* and what it holds beside it under *name*."""
    given: Mapping[str, object] = read_object(source, "body", ("query", name))
    return given.get("query"), given.get(name)


def _fingerprint(query: Query) -> str:
    canonical = json.dumps(query_json(query), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_FINGERPRINT]
