"""Whatever an archive's limit of results: all is found, or an error says that it is not."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse.identifiers import answer
from p2d.dimse.status import CutShort, OutOfResources
from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.capped import SUSPICIOUS, Capped, Whole
from p2d.pacs.counted import Row
from p2d.pacs.hierarchy import HIERARCHICAL, RELATIONAL, WORDS, Ask, Finder, Question, Way
from p2d.pacs.port import Query
from p2d.testing.archive_index import ArchiveIndex, tag_of
from p2d.testing.datasets import ct
from p2d.testing.holdings import HeldInstance

Sizes = list[tuple[int, list[int]]]
"""Of each study its day and the sizes of its series."""

SIZES = st.lists(
    st.tuples(st.integers(0, 4000), st.lists(st.integers(1, 6), min_size=1, max_size=4)),
    min_size=1,
    max_size=8,
)


def index_of(studies: Sizes) -> ArchiveIndex:
    return ArchiveIndex(
        HeldInstance(
            {
                "PatientID": "P-1",
                "StudyInstanceUID": f"1.{s}",
                "StudyDate": f"{date(2005, 1, 1) + timedelta(days=day):%Y%m%d}" if day >= 0 else "",
                "SeriesInstanceUID": f"1.{s}.{n}",
                "SOPInstanceUID": f"1.{s}.{n}.{i}",
            },
            ct,
        )
        for s, (day, series) in enumerate(studies)
        for n, size in enumerate(series)
        for i in range(size)
    )


def capped(index: ArchiveIndex, most: int, *, told: bool) -> tuple[Ask, list[Question]]:
    """An archive that answers with *most* rows at most, and what it was asked."""
    asked: list[Question] = []

    def ask(questions: Sequence[Question]) -> list[list[Row]]:
        return [one(question) for question in questions]

    def one(question: Question) -> list[Row]:
        asked.append(question)
        level = WORDS[question.level]
        names = {tag_of(name): name for name in _NAMES}
        keys = {names[int(path, 16)]: value for path, value in question.keys.items() if value}
        found = index.entities(level, keys)
        if told and len(found) > most:
            raise CutShort("pacs", "status 0xFE00")
        tags = tuple(sorted(int(path, 16) for path in question.identifier))
        return [answer(index.answer(level, row, tags)) for row in found[:most]]

    return ask, asked


_NAMES = (
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate", "AccessionNumber",
)  # fmt: skip


def found(ask: Ask, level: Level, way: Way, most_rows: int | None = None) -> list[IdentifiedHeader]:
    return Finder(Whole(ask, most_rows), Query(level, PatientId("P-1")), way).headers()


def largest_piece(studies: Sizes) -> int:
    """The most rows of a question that cannot be split."""
    days = [day for day, _ in studies]
    of_studies = [len(series) for _, series in studies]
    return max(*map(days.count, days), *of_studies, *(size for _, series in studies for size in series))


@pytest.mark.parametrize("way", [HIERARCHICAL, RELATIONAL], ids=["hierarchical", "relational"])
@given(studies=SIZES, spare=st.integers(0, 10))
def test_a_limit_that_is_told_and_leaves_room_for_each_series_hides_nothing(
    way: Way, studies: Sizes, spare: int
) -> None:
    index = index_of(studies)
    ask, _ = capped(index, largest_piece(studies) + spare, told=True)

    headers = found(ask, Level.INSTANCE, way)

    assert len(headers) == len({one.sop_instance_uid for one in headers}) == len(index)
    assert all(one.study_instance_uid and one.series_instance_uid for one in headers)


@pytest.mark.parametrize("way", [HIERARCHICAL, RELATIONAL], ids=["hierarchical", "relational"])
@given(studies=SIZES, short=st.integers(1, 3))
def test_a_limit_that_is_told_and_leaves_no_room_is_an_error(way: Way, studies: Sizes, short: int) -> None:
    most = largest_piece(studies) - short
    ask, _ = capped(index_of(studies), max(most, 0), told=True)

    with pytest.raises((ProtocolViolation, Unavailable)):
        found(ask, Level.INSTANCE, way)


@given(studies=SIZES)
def test_a_silent_limit_that_is_known_hides_nothing(studies: Sizes) -> None:
    index = index_of(studies)
    most = largest_piece(studies) + 1
    ask, _ = capped(index, most, told=False)

    assert len(found(ask, Level.INSTANCE, RELATIONAL, most)) == len(index)


@given(studies=SIZES)
def test_a_silent_limit_shows_by_the_archives_own_counts(studies: Sizes) -> None:
    """As long as each study is listed."""
    index = index_of(studies)
    ask, _ = capped(index, max(largest_piece(studies), len(studies)), told=False)

    assert len(found(ask, Level.INSTANCE, RELATIONAL)) == len(index)


def test_a_known_limit_of_one_series_is_told_by_us() -> None:
    ask, _ = capped(index_of([(0, [9])]), 5, told=False)

    with pytest.raises(Capped, match="5 rows"):
        found(ask, Level.INSTANCE, HIERARCHICAL, 5)


def test_nothing_is_asked_twice_where_nothing_is_missing() -> None:
    ask, asked = capped(index_of([(0, [3, 4]), (7, [5])]), 1000, told=True)

    found(ask, Level.INSTANCE, RELATIONAL)

    assert len(asked) == 3


@pytest.mark.parametrize("number", sorted(SUSPICIOUS)[:6])
def test_as_many_studies_as_limits_have_are_compared_and_found_once(number: int) -> None:
    ask, asked = capped(index_of([(n * 5, [1]) for n in range(number)]), 100_000, told=True)

    assert len(found(ask, Level.STUDY, HIERARCHICAL)) == number
    assert len(asked) == 3


def test_an_archive_in_trouble_is_not_asked_day_by_day() -> None:
    """It says of every answer that it is out of resources: that is no limit of results."""
    asked: list[Question] = []

    def ask(questions: Sequence[Question]) -> list[list[Row]]:
        asked.extend(questions)
        raise OutOfResources("pacs", "status 0xA700")

    with pytest.raises(OutOfResources):
        found(ask, Level.INSTANCE, RELATIONAL)

    assert len(asked) < 12


def test_studies_without_a_date_are_missed_by_days_and_told_by_the_archives_count() -> None:
    ask, _ = capped(index_of([(-1, [1]) if n % 2 else (n, [1]) for n in range(20)]), 6, told=True)

    with pytest.raises(ProtocolViolation, match="10 studies are not found by their dates"):
        found(ask, Level.STUDY, HIERARCHICAL)
