"""Whether an engine gives the answers of the obvious evaluator: the suite of every cohort engine.

An engine's test loads what ``random_batches`` yields, draws questions to it with ``drawn`` and calls these.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from p2d.model.errors import InvalidRequest
from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_questions import ALL_BRANCHES, EVERY, question
from p2d.testing.warehouse_rows import Rows, accession_psn, batch, patient_psn, small_study, uid
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.query.attributes import resolve
from p2d.warehouse.query.nodes import Frame, Query, Reduce
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.results import CohortEngine, Dimension, FacetRequest

LEVELS: Final = tuple(Frame)
"""What random questions ask a table of."""
_EVERY_CELL: Final = 1000
MIXED: Final[Mapping[str, frozenset[str]]] = {
    "Person": frozenset({"sex", "birth_year", "LVEF"}),
    "Study": frozenset({"StudyDescription", "NumberOfStudyRelatedSeries", "LVEF", "ICD10"}),
    "Series": frozenset({"SeriesNumber", "Modality", "KVP"}),
}
"""Branches of columns and facts that are numbers and of such that are texts."""
_OPERANDS: Final = ("LVEF", "KVP", "Modality", "ICD10", "NumberOfStudyRelatedSeries", "SeriesNumber")
LINKS: Final = (
    "SELECT s.study, d.document FROM study_document l JOIN study s USING (study_key)"
    " JOIN document d USING (document_key)"
)
"""The study and document of every link, by pseudonyms."""
COUNTED = (Frame.PATIENT, Frame.CASE, Frame.STUDY, Frame.SERIES, Frame.INSTANCE)


class CohortWarehouse(CohortEngine, Protocol):
    """A cohort engine that takes batches, too."""

    def load(self, batch: Batch) -> Receipt:
        """Take *batch*."""
        ...


def check_patients(engine: CohortEngine, oracle: CohortOracle, query: Query) -> None:
    """Return if the patients of *query* are those of *oracle*, or both refuse to say.

    Raises:
        AssertionError: they are not.

    """
    try:
        expected = oracle.patients(query)
    except ValueError:  # an event whose criteria do not agree on a frame
        try:
            engine.cohort(query)
        except InvalidRequest:
            return
        raise
    found = [str(pseudonym) for pseudonym in engine.cohort(query)]
    assert found == expected, query  # noqa: S101 - a suite for pytest


def check_cohort(engine: CohortEngine, oracle: CohortOracle, query: Query) -> None:
    """Return if the patients of *query* and the number of everything are those of *oracle*.

    Raises:
        AssertionError: they are not.

    """
    check_patients(engine, oracle, query)
    counts, expected = engine.count(query), oracle.counts(query)
    tallies = (counts.patients, counts.cases, counts.studies, counts.series, counts.instances)
    numbers = tuple(tally.number for tally in tallies)
    assert numbers == tuple(expected[frame] for frame in COUNTED), query  # noqa: S101 - as above


def check_table(engine: CohortEngine, oracle: CohortOracle, query: Query) -> None:
    """Return if the table of *query*, and its first half, are those of *oracle*.

    Rows of one name may come in any order.

    Raises:
        AssertionError: it is not.

    """
    table, expected = engine.table(query, 10_000), oracle.table(query)
    names = len(table.columns) - len(query.columns)
    assert [row[:names] for row in table.rows] == [row[:names] for row in expected], query  # noqa: S101 - as above
    assert sorted(table.rows, key=repr) == sorted(expected, key=repr), query  # noqa: S101 - as above
    assert table.total == len(expected), query  # noqa: S101 - as above
    half = engine.table(query, len(expected) // 2)
    shown = expected[: len(expected) // 2]
    assert [row[:names] for row in half.rows] == [row[:names] for row in shown], query  # noqa: S101 - as above
    left = list(expected)
    for row in half.rows:
        assert row in left, query  # noqa: S101 - as above
        left.remove(row)
    assert half.total == len(expected), query  # noqa: S101 - as above


def check_facet(engine: CohortEngine, oracle: CohortOracle, query: Query, request: FacetRequest) -> None:
    """Return if the facet of *query* is that of *oracle*.

    Raises:
        AssertionError: it is not.

    """
    found, expected = engine.facet(query, request), oracle.facet(query, request)
    cells = {labels: (tally.number, tally.patients) for labels, tally in found.cells}
    assert cells == expected.cells, (query, request)  # noqa: S101 - as above
    for tally, numbers in (
        (found.others, expected.others),
        (found.missing, expected.missing),
        (found.total, expected.total),
    ):
        assert (tally.number, tally.patients) == numbers, (query, request)  # noqa: S101 - as above


def check_some_facets(engine: CohortEngine, oracle: CohortOracle, first: int, count: int) -> None:
    """Return if the facets of *count* questions, by one or two attributes at some level, are the oracle's.

    Raises:
        AssertionError: one is not.

    """
    for place, query in drawn(engine, first, count):
        dice = random.Random(first + place)
        names = dice.sample(EVERY, dice.choice([1, 1, 2]))
        by = tuple(Dimension(name, dice.choice(["value", "value", "year"])) for name in names)
        level, top = dice.choice(list(Frame)), dice.choice([_EVERY_CELL, _EVERY_CELL, 2])
        check_facet(engine, oracle, query, FacetRequest(by, level, top))


def check_mixed(engine: CohortEngine, oracle: CohortOracle) -> None:
    """Return if reductions over branches of numbers and texts (``MIXED``) choose as *oracle* does.

    Raises:
        AssertionError: one does not, or hardly any finds somebody.

    """
    reductions = [Reduce.FIRST, Reduce.LAST, Reduce.MIN, Reduce.MAX]
    some = 0
    for branch, name, reduce in itertools.product(MIXED, _OPERANDS, reductions):
        where = {"branch": branch, "equals": {"attribute": name}, "reduce": reduce}
        query = parse({"version": 2, "where": where})
        check_patients(engine, oracle, query)
        some += bool(oracle.patients(query))
    assert some > len(_OPERANDS)  # noqa: S101 - a suite for pytest


def check_header_of_a_study_that_comes_later(warehouse: CohortWarehouse) -> None:
    """Return if the empty *warehouse* finds an element at a study that came after it was asked for at series.

    Raises:
        AssertionError: it does not.

    """
    first, later = small_study(1, 100), small_study(2, 200)
    element = {"path": "00081080", "keyword": "AdmittingDiagnosesDescription", "vr": "LO", "item": 0}
    series = {name: first["series"][0][name] for name in ("patient", "study", "series")}
    study = {name: later["study"][0][name] for name in ("patient", "study")}
    patients = [{"patient": patient_psn(number)} for number in (1, 2)]
    query = parse({"version": 2, "where": {"attribute": "AdmittingDiagnosesDescription", "equals": "Angina"}})

    warehouse.load(batch({"patient": patients}, "patients", "clinical"))
    warehouse.load(batch({**first, "header": [{**series, **element, "text": "Angina"}]}, "first", "extended"))
    assert [str(one) for one in warehouse.cohort(query)] == [patient_psn(1)]  # noqa: S101 - a suite for pytest

    warehouse.load(batch({**later, "header": [{**study, **element, "text": "Angina"}]}, "later", "extended"))
    assert [str(one) for one in warehouse.cohort(query)] == [patient_psn(1), patient_psn(2)]  # noqa: S101 - as above


def check_links_follow_accessions(
    warehouse: CohortWarehouse, links: Callable[[], list[tuple[object, ...]]]
) -> None:
    """Return if reports of the empty *warehouse* find their study by accession, also where that changes.

    *links* returns the study and document of every row of ``study_document``.

    Raises:
        AssertionError: they do not.

    """
    patient, study = patient_psn(1), small_study(1, 100)
    first, other = accession_psn(1), accession_psn(2)

    def report(number: int, accession: str, batch_id: str) -> None:
        document = {"patient": patient, "document": uid(number), "kind": "report", "accession": accession}
        rows: Rows = {"patient": [{"patient": patient}], "document": [document]}
        warehouse.load(batch(rows, batch_id, "clinical"))

    def images(accession: str, batch_id: str) -> None:
        rows: Rows = {**study, "study": [{**study["study"][0], "accession": accession}]}
        warehouse.load(batch(rows, batch_id))

    def check(*documents: int) -> None:
        expected = [(uid(100), uid(document)) for document in documents]
        assert sorted(links(), key=str) == expected  # noqa: S101 - a suite for pytest

    report(900, first, "report")
    check()
    images(first, "study")
    check(900)
    report(901, first, "another")
    check(900, 901)
    report(900, other, "moved")
    check(901)
    images(other, "renamed")
    check(900)
    images(other, "again")
    check(900)


def random_batches(rows: Rows) -> Iterator[Batch]:
    """Yield the clinical side of *rows*, then its images."""
    for source, names in (
        ("clinical", ("patient", "case", "document", "fact")),
        ("extended", ("study", "series", "instance", "header")),
    ):
        yield batch({name: rows.get(name, []) for name in names}, source, source)


def drawn(engine: CohortEngine, first: int, count: int) -> Iterator[tuple[int, Query]]:
    """Draw *count* numbered questions to *engine*; one of a unit that it never has is no question to it.

    Raises:
        AssertionError: there are not so many among four times as many.

    """
    catalogue, found = engine.catalogue(), 0
    for number in range(first, first + 4 * count):
        query = question(number, LEVELS, ALL_BRANCHES)
        try:
            resolve(query, catalogue)
        except InvalidRequest:
            continue
        yield found, query
        found += 1
        if found == count:
            return
    raise AssertionError(f"only {found} of {count} queries are questions to this warehouse")


def check_some(engine: CohortEngine, oracle: CohortOracle, first: int, count: int) -> None:
    """Return if *count* questions have the patients of *oracle*, and every third its numbers or its table.

    Raises:
        AssertionError: one has not.

    """
    for place, query in drawn(engine, first, count):
        check_patients(engine, oracle, query)
        if place % 6 == 0:
            check_cohort(engine, oracle, query)
        if place % 6 == 3:
            check_table(engine, oracle, query)
