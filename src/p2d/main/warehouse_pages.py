"""Joins the pages to the warehouse: cohorts through the audited desk, studies from what was extracted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI

from p2d.flows.research.cohort import Asker, CohortDesk
from p2d.flows.research.search_line import SearchLine, search_line
from p2d.flows.research.viewing import (
    Archive,
    CohortAnswer,
    QueryRead,
    SeriesEntry,
    StudyEntry,
)
from p2d.model.errors import Refused
from p2d.warehouse.browse import SeriesLine, StudyLine
from p2d.warehouse.port import ResearchWarehouse
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.nodes import Query
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.completion import Completion
from p2d.warehouse.query.text_form.writer import as_line
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import Research, Role
from p2d.web.research.pages.router import LONGEST_LINE, Pages, install_pages

_SHOWN: Final = {
    "Patients": "patients",
    "Cases": "cases",
    "Studies": "studies",
    "Series": "series",
    "Images": "instances",
}


@dataclass(frozen=True, slots=True)
class PageCohorts:
    """The pages' view of the warehouse: every query in the name of the signed-in user."""

    desk: CohortDesk
    warehouse: ResearchWarehouse

    def run(self, user: str, query: Mapping[str, object], rows: int, question: str = "") -> CohortAnswer:
        """Run *query* in the name of *user*; the answer shows at most *rows* rows.

        Whom an operator's link signed in is an approved researcher. Its parts bear the name *question* one
        after the other.
        """
        asker = Asker(user, str(Role.APPROVED), question)
        counts = self.desk.count(query, asker)
        table = self.desk.preview(query, asker)
        return CohortAnswer(
            counts={title: counts[name] for title, name in _SHOWN.items()},
            columns=table.columns,
            rows=table.rows[:rows],
            total=table.total,
            patients=self.desk.patients(query, asker),
            note=_coverage(counts),
        )

    def read(self, user: str, query: str | Mapping[str, object]) -> QueryRead:
        """Return *query*, a search line or JSON, in all the ways that it is written; nobody is counted."""
        line = self._line(user)
        found = line.read_text(query) if isinstance(query, str) else line.read_json(query)
        return QueryRead(query_json(found.query), _search_line(found.query), found.words)

    def complete(self, user: str, line: str, cursor: int) -> Sequence[Completion]:
        """Return what may come next at *cursor* of a search line."""
        return self._line(user).complete(line, cursor)

    def _line(self, user: str) -> SearchLine:
        values = Upkeep(self.warehouse).common_values
        return search_line(self.desk, Asker(user, str(Role.APPROVED)), values)

    def studies_of(self, user: str, patient: str) -> Sequence[StudyEntry]:
        """Return the studies and series that the warehouse itself knows of *patient*, audited."""
        with self.desk.audit.query(
            action="page.studies", user=user, session="", subject={"patient": patient}
        ) as entry:
            lines = self.warehouse.studies_of(patient)
            entry.outcome(studies=len(lines))
        return [_study(line) for line in lines]


def add_pages(app: FastAPI, archive: Archive | None) -> None:
    """Add the pages to the warehouse's application; without *archive* they show lists only."""
    research: Research = app.state.research

    def admit_operator(secret: str, source: str) -> None:
        if research.door.role(secret, source) is not Role.OPERATOR:
            raise Refused("Authorization", "only the operator may do this", "send the operator's secret")

    install_pages(
        app,
        Pages(
            cohorts=PageCohorts(research.desk, research.warehouse),
            archive=archive,
            admit_operator=admit_operator,
            check_query=parse,
            record=lambda action, user: research.desk.audit.record(action, user=user),
            example=PAPER,
            rows=research.desk.rows_per_preview,
        ),
    )


def _search_line(query: Query) -> str:
    """Return *query* for the search line; nothing where a browser's line would change or cut it."""
    line = as_line(query)
    return "" if len(line) > LONGEST_LINE or any(sign in line for sign in "\r\n") else line


def _coverage(counts: Mapping[str, int | None]) -> str:
    basic, extended, everyone = (counts[f"{name}_patients"] for name in ("basic", "extended", "all"))
    if basic is None or extended is None or everyone is None:
        return ""
    return (
        f"Image headers are known of {basic:,} of {everyone:,} patients in the warehouse, "
        f"extended ones of {extended:,}."
    )


def _study(line: StudyLine) -> StudyEntry:
    day = line.study_date.isoformat() if line.study_date else ""
    series = tuple(_series(entry) for entry in line.series)
    gone = f" (no longer in archive {', '.join(line.gone_from)})" if line.gone_from else ""
    return StudyEntry(
        study=line.study, day=day, description=f"{line.description or ''}{gone}".strip(), series=series
    )


def _series(line: SeriesLine) -> SeriesEntry:
    return SeriesEntry(
        series=line.series,
        modality=line.modality or "",
        number="" if line.number is None else str(line.number),
        description=line.description or "",
        body_part=line.body_part or "",
        images=str(line.instances),
    )
