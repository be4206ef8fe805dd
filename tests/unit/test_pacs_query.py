"""Keys that reach an archive, and what is decided about its answers without it."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.errors import InvalidRequest
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.port import Query
from p2d.pacs.query import KEYS, UNIQUE, checked, checked_study, date_range, is_uid, is_within


def study(day: str, accession: str = "") -> IdentifiedHeader:
    elements = {
        "00080020": Element("00080020", "DA", (day,)),
        "00080050": Element("00080050", "SH", (accession,)),
    }
    return IdentifiedHeader(Level.STUDY, elements)


@given(st.text(max_size=80))
def test_a_key_that_passes_is_one_exact_value(text: str) -> None:
    try:
        checked(Query(Level.STUDY, PatientId(text)))
    except InvalidRequest:
        return

    assert 1 <= len(text.strip()) <= len(text) <= 64
    assert not set(text) & set("*?\\\n\r\t\0\x1b")


def test_a_refusal_does_not_repeat_the_key() -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked(Query(Level.STUDY, PatientId("SECRET-77*")))

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("uid", ["1.2.*", "1..2", "1.2\\1.3", "abc", "1." * 40 + "1", "../../x"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    with pytest.raises(InvalidRequest):
        checked(Query(Level.STUDY, PatientId("P"), study_instance_uid=uid))
    with pytest.raises(InvalidRequest):
        checked_study(uid, "")

    assert not is_uid(uid)


def test_an_accession_number_is_exact_too() -> None:
    with pytest.raises(InvalidRequest):
        checked(Query(Level.STUDY, PatientId("P"), accession_number="ACC*"))


def test_ranges_are_open_where_no_bound_is_stated() -> None:
    first, last = date(2020, 1, 2), date(2021, 12, 31)

    assert date_range(first, last) == "20200102-20211231"
    assert date_range(first, None) == "20200102-"
    assert date_range(None, last) == "-20211231"
    assert date_range(None, None) == ""


@given(st.dates(), st.dates(), st.dates())
def test_a_study_is_within_its_days_both_inclusive(day: date, first: date, last: date) -> None:
    query = Query(Level.STUDY, PatientId("P"), first_day=first, last_day=last)

    assert is_within(study(f"{day.year:04}{day:%m%d}"), query) is (first <= day <= last)


@pytest.mark.parametrize("day", ["", "2020", "2020.01.02", "20201301", "abcdefgh"])
def test_a_study_without_a_whole_date_is_outside_every_range(day: str) -> None:
    assert not is_within(study(day), Query(Level.STUDY, PatientId("P"), first_day=date(1900, 1, 1)))
    assert is_within(study(day), Query(Level.STUDY, PatientId("P")))


def test_another_accession_number_is_outside() -> None:
    query = Query(Level.STUDY, PatientId("P"), accession_number="A-1")

    assert is_within(study("20200101", "A-1"), query)
    assert not is_within(study("20200101", "A-2"), query)
    assert not is_within(IdentifiedHeader(Level.STUDY, {}), query)


@pytest.mark.parametrize("level", list(Level))
def test_every_level_asks_for_its_own_key_and_the_patient(level: Level) -> None:
    assert {UNIQUE[level], "00100020"} <= set(KEYS[level])
    assert len(KEYS[level]) == len(set(KEYS[level]))
