"""The studies of a day: what is asked, what is taken of the answers, what an archive cuts off."""

import logging
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse.status import CutShort, OutOfResources
from p2d.model.errors import InvalidRequest, ProtocolViolation, Unavailable
from p2d.model.header import Element, text_of
from p2d.model.level import Level
from p2d.pacs.counted import Row
from p2d.pacs.days import DAY_KEYS, MOST_DAYS, checked_days, studies_of_day, taken
from p2d.pacs.hierarchy import Question

DAY = date(2026, 3, 29)


def row(number: int, *, patient: str = "P-1", day: str = "20260329", **more: str) -> Row:
    texts = {"00100020": patient, "0020000D": f"1.2.{number}" if number else "", "00080020": day, **more}
    return {path: Element(path, "LO", tuple(text.split("\\"))) for path, text in texts.items() if text}


def at(number: int, time: str) -> Row:
    return row(number, **{"00080030": time})


class Archive:
    """Answers by StudyTime, at most *most* rows at a time; else *fails*, or cuts silently."""

    def __init__(self, rows: list[Row], most: int, fails: type[Exception] | None) -> None:
        self.rows, self.most, self.fails = rows, most, fails
        self.asked: list[Question] = []

    def __call__(self, questions: Sequence[Question]) -> list[list[Row]]:
        (question,) = questions
        self.asked.append(question)
        first, _, last = question.keys.get("00080030", "").partition("-")
        found = [
            one
            for one in self.rows
            if not first or (text_of(one, "00080030") and first <= text_of(one, "00080030") <= last)
        ]
        if len(found) > self.most and self.fails:
            raise self.fails("pacs", "ended early")
        return [found[: self.most]]


def uids(archive: Archive) -> list[str]:
    return sorted(one.study_instance_uid for one in studies_of_day(archive, DAY, "", "main"))


def test_one_day_is_one_query_without_a_name_among_its_keys() -> None:
    archive = Archive([row(1), row(2, patient="P-2")], 100, None)

    assert len(uids(archive)) == 2
    (question,) = archive.asked
    assert question.level is Level.STUDY
    assert question.identifier["00080020"] == "20260329-20260329"
    assert not {path for path in question.identifier if path.startswith("0010")} - {"00100020"}
    assert set(question.identifier) == {*DAY_KEYS}


def test_what_is_of_another_day_or_nobodys_is_not_taken_but_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [row(1), row(2, day="20260328"), row(3, day=""), row(4, patient=""), row(0), row(1)]

    with caplog.at_level(logging.WARNING):
        found = list(taken(rows, DAY, "", "main"))

    assert [one.study_instance_uid for one in found] == ["1.2.1"]
    assert "4 row(s)" in caplog.text
    assert "P-1" not in caplog.text


def test_one_study_of_two_patients_is_two_answers() -> None:
    assert len(list(taken([row(1), row(1, patient="P-2")], DAY, "", "main"))) == 2


def test_an_archive_that_does_not_match_modalities_is_filtered_here() -> None:
    rows = [row(1, **{"00080061": "CT\\SR"}), row(2, **{"00080061": "MR"}), row(3)]

    assert [one.study_instance_uid for one in taken(rows, DAY, "CT", "main")] == ["1.2.1", "1.2.3"]


@pytest.mark.parametrize("fails", [CutShort, OutOfResources])
def test_a_day_that_is_cut_short_is_asked_for_in_parts(
    fails: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [at(number, f"{number % 24:02}{number % 60:02}30.5") for number in range(1, 121)]

    assert len(uids(Archive(rows, 7, fails))) == 120
    assert "without StudyTime" in caplog.text


def test_a_silent_limit_is_noticed_by_its_number() -> None:
    rows = [at(number, f"{number % 24:02}{number % 60:02}00") for number in range(1, 121)]

    assert len(uids(Archive(rows, 50, None))) == 120


def test_a_number_that_looks_like_a_limit_and_is_none_costs_two_queries() -> None:
    rows = [at(number, f"{number % 24:02}0000") for number in range(1, 49)]
    archive = Archive([*rows, row(98), row(99)], 50, None)

    assert len(uids(archive)) == 50
    assert len(archive.asked) == 3


@pytest.mark.parametrize("fails", [CutShort, OutOfResources])
def test_a_minute_that_is_cut_short_stays_an_error(fails: type[Exception]) -> None:
    with pytest.raises((ProtocolViolation, Unavailable)):
        uids(Archive([at(number, "101530") for number in range(9)], 5, fails))


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(-40, 400))
def test_a_range_is_bounded(first: date, days: int) -> None:
    last = date.fromordinal(first.toordinal() + days)
    if 0 <= days < MOST_DAYS:
        found = checked_days(first, last, "CT")
        assert (found[0], found[-1], len(found)) == (first, last, days + 1)
    else:
        with pytest.raises(InvalidRequest):
            checked_days(first, last, "CT")
