from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.identity.port import Ambiguous, Domain, Identifier, Invalid, NotFound
from p2d.identity.wire import (
    decode_identifier,
    decode_line,
    encode_identifier,
    encode_line,
    failure_of,
    status_of,
)
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId

TEXTS = st.text(max_size=70)
DAYS = st.none() | st.dates()
IDENTIFIERS: dict[Domain, st.SearchStrategy[Identifier]] = {
    Domain.PATIENT: st.builds(PatientId, TEXTS),
    Domain.ACCESSION: st.builds(AccessionNumber, TEXTS),
    Domain.STUDY: st.builds(InstanceUid, TEXTS),
    Domain.CASE: st.builds(CaseStay, TEXTS, st.builds(PatientId, TEXTS), DAYS, DAYS),
}


@given(st.data(), st.sampled_from(list(Domain)))
def test_what_is_sent_is_what_arrives_on_one_line(data: st.DataObject, domain: Domain) -> None:
    identifier = data.draw(IDENTIFIERS[domain])

    line = encode_line(encode_identifier(identifier))

    assert line.count(b"\n") == 1
    assert decode_identifier(domain, decode_line(line)) == identifier


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_value_error(line: bytes) -> None:
    try:
        item = decode_line(line)
    except ValueError:
        return

    assert isinstance(item, dict)


@pytest.mark.parametrize("failure", [NotFound(), Invalid(), Ambiguous()])
def test_failures_have_one_word_each(failure: NotFound | Invalid | Ambiguous) -> None:
    assert failure_of(status_of(failure)) == failure


@pytest.mark.parametrize("status", ["", "value", "NOT_FOUND", None, 1, [], {}])
def test_other_words_are_no_failures(status: object) -> None:
    with pytest.raises(ValueError, match="status"):
        failure_of(status)


def test_a_day_that_is_none_is_refused() -> None:
    item = {"admission_id": "F1", "patient_id": "1", "start": "2024-02-30", "end": None}

    with pytest.raises(ValueError, match="day"):
        decode_identifier(Domain.CASE, item)


def test_a_stay_shows_no_value() -> None:
    assert "KANARI" not in repr(CaseStay("KANARI", PatientId("KANARI"), date(2024, 1, 1), None))
