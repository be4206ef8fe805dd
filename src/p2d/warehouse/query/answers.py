"""Answers to queries over any engine that opens sessions: one snapshot each, criteria cached between them."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import numpy as np
import sqlglot
from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.warehouse.query.attributes import Catalogue, resolve
from p2d.warehouse.query.catalogue_reading import Branches, no_branches, read_catalogue
from p2d.warehouse.query.criterion_cache import CriterionCache
from p2d.warehouse.query.evaluation import EVERYBODY, Evaluation
from p2d.warehouse.query.facets import read_facet
from p2d.warehouse.query.frames import Placement
from p2d.warehouse.query.holders import ROW
from p2d.warehouse.query.matching import matching
from p2d.warehouse.query.nodes import Frame, Node, Patients, Query
from p2d.warehouse.query.reasons import read_reasons
from p2d.warehouse.query.relations import column, key_of, rows_of
from p2d.warehouse.query.results import (
    MOST_ROWS,
    Counts,
    Facet,
    FacetRequest,
    Reason,
    ResultTable,
    Step,
    Widening,
)
from p2d.warehouse.query.session import Session
from p2d.warehouse.query.sums import read_tally
from p2d.warehouse.query.tables import read_table
from p2d.warehouse.query.tally import Tally, tally_of

_COUNTED: Final = {
    "cases": Frame.CASE,
    "studies": Frame.STUDY,
    "series": Frame.SERIES,
    "instances": Frame.INSTANCE,
}
_COVERED: Final = "SELECT DISTINCT patient_key FROM coverage WHERE source = '{source}'"


class Answers(ABC):
    """A warehouse that answers queries, see ``results.CohortEngine``; an engine adds how a session is opened.

    *branches* tells the attributes below each node of the catalogue's tree. Safe to share between threads.

    What shows patients themselves asks each criterion of those who are left; what shows numbers, also to
    those who see shielded ones, asks each of everybody.
    """

    def __init__(self, cache: CriterionCache | None = None, branches: Branches = no_branches) -> None:
        self._cache = CriterionCache() if cache is None else cache
        self._branches = branches
        self._catalogue_lock = threading.Lock()
        self._catalogue: tuple[int, Catalogue] | None = None

    @abstractmethod
    def session(self) -> AbstractContextManager[Session]:
        """Open a snapshot for one question.

        Raises:
            Unavailable: the engine does not answer.

        """

    def catalogue(self) -> Catalogue:
        """Return what can be asked for."""
        with self.session() as session:
            return self._catalogue_of(session)

    def count(self, query: Query) -> Counts:
        """Return the numbers of *query*."""
        with self._asked(query) as (asked, where):
            patients = asked.patients(where)
            is_of_cohort = asked.restricted(patients, "cohort")
            found = {
                name: self._number(asked, where, frame, is_of_cohort) for name, frame in _COUNTED.items()
            }
            for source in ("basic", "extended"):
                covered = asked.session.keys(_parsed(_COVERED.format(source=source)), {})
                found[f"{source}_patients"] = tally_of(covered)
            found["all_patients"] = tally_of(asked.patients(EVERYBODY))
        return Counts(patients=tally_of(patients), **found)

    def table(self, query: Query, limit: int) -> ResultTable:
        """Return the first *limit* rows of *query*, in order of pseudonyms.

        Raises:
            InvalidRequest: besides what it cannot answer to, a table of more than a million rows.

        """
        with self._asked(query, narrows=True) as (asked, where):
            patients = asked.patients(where)
            total = len(patients)
            if query.level is not Frame.PATIENT:
                is_of_cohort = asked.restricted(patients, "cohort")
                total = self._number(asked, where, query.level, is_of_cohort).number
            if min(total, limit) > MOST_ROWS:
                problem = f"makes a table of more than {MOST_ROWS} rows"
                raise InvalidRequest("level", problem, "choose a coarser level")
            return read_table(asked, query, where, patients, limit, total)

    def cohort(self, query: Query) -> tuple[Pseudonym, ...]:
        """Return the pseudonyms of all patients of *query*, in order."""
        with self._asked(query, narrows=True) as (asked, where):
            patients = asked.patients(where)
            is_of_cohort = asked.restricted(patients, "cohort")
            place = column("patient", ROW)
            listed = exp.select(place).from_(rows_of("patient", ROW))
            listed = listed.where(is_of_cohort(column(key_of(Frame.PATIENT), ROW)))
            ordered = listed.order_by(asked.session.dialect.by_code_point(place.copy()))
            names = asked.session.names(ordered, {})
        return tuple(map(Pseudonym, names))

    def attrition(self, query: Query) -> tuple[Step, ...]:
        """Return the parts of the outermost ``all``, in the order of the query."""
        with self.session() as session:
            asked = self._evaluation(session, query)
            steps, left = [], None
            for places, node in Placement(asked.catalogue).steps(query.where):
                alone = asked.patients(node)
                left = alone if left is None else np.intersect1d(left, alone, assume_unique=True)
                steps.append(Step(places, tally_of(alone), tally_of(left)))
        return tuple(steps)

    def facet(self, query: Query, request: FacetRequest) -> Facet:
        """Return how often values occur among what *query* finds."""
        with self._asked(query) as (asked, where):
            return read_facet(asked, where, request)

    def widen(self, query: Query) -> tuple[Widening, ...]:
        """Return, for every imaging frame of *query*, how many patients each choice of frame finds."""
        with self.session() as session:
            asked = self._evaluation(session, query)
            found = Placement(asked.catalogue)
            found.place(query.where, Frame.PATIENT)
            widenings = []
            for number, frame in enumerate(found.frames):
                patients = {}
                for choice in frame.choices:
                    placement = Placement(asked.catalogue, {number: choice})
                    patients[choice] = tally_of(asked.patients(placement.place(query.where, Frame.PATIENT)))
                widenings.append(Widening(frame.places, frame.frame, frame.is_explicit, patients))
        return tuple(widenings)

    def reasons(self, query: Query, patients: Sequence[Pseudonym]) -> tuple[Reason, ...]:
        """Return what speaks for *patients*, as far as they are of the cohort."""
        with self._asked(query, narrows=True) as (asked, where):
            listed = asked.patients(Patients(frozenset(patients)))
            shown = np.intersect1d(asked.patients(where), listed, assume_unique=True)
            return read_reasons(asked, query.where, shown)

    @contextmanager
    def _asked(self, query: Query, *, narrows: bool = False) -> Iterator[tuple[Evaluation, Node]]:
        with self.session() as session:
            asked = self._evaluation(session, query, narrows=narrows)
            yield asked, Placement(asked.catalogue).place(query.where, Frame.PATIENT)

    def _evaluation(self, session: Session, query: Query, *, narrows: bool = False) -> Evaluation:
        catalogue = self._catalogue_of(session)
        resolve(query, catalogue)
        return Evaluation(session, catalogue, self._cache, narrows)

    def _catalogue_of(self, session: Session) -> Catalogue:
        with self._catalogue_lock:
            known = self._catalogue
        if known is not None and known[0] == session.version:
            return known[1]
        catalogue = read_catalogue(session, self._branches)
        with self._catalogue_lock:
            self._catalogue = (session.version, catalogue)
        return catalogue

    def _number(
        self, asked: Evaluation, where: Node, level: Frame, is_of_cohort: Callable[[exp.Expr], exp.Expr]
    ) -> Tally:
        compiler = asked.compiler()
        return read_tally(asked.session, compiler, matching(compiler, where, level, is_of_cohort), level)


def _parsed(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect="duckdb")
