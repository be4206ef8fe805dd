"""The door: nothing but pseudonyms, and an error that shows where but never what."""

from datetime import UTC, date, datetime

import pytest

from p2d.model.errors import InvalidRequest
from p2d.testing.warehouse_rows import Row, accession_psn, batch, case_psn, patient_psn, small_study, uid
from p2d.warehouse.batch import Batch
from p2d.warehouse.check import check

PATIENT: Row = {"patient": patient_psn(1)}
HEADER: Row = {
    **PATIENT,
    "study": uid(1),
    "series": uid(2),
    "instance": uid(3),
    "path": "00080070",
    "keyword": "Manufacturer",
    "vr": "LO",
    "item": 0,
    "text": "ACME",
}
YEAR = datetime.now(tz=UTC).year


def test_pseudonyms_pass() -> None:
    check(batch({**small_study(), "header": [HEADER]}))


@pytest.mark.parametrize(
    ("table", "row", "column"),
    [
        ("patient", {"patient": "Mustermann"}, "patient"),
        ("patient", {"patient": None}, "patient"),
        ("patient", {**PATIENT, "birth_year": YEAR - 100}, "birth_year"),
        ("patient", {**PATIENT, "birth_year": YEAR + 50}, "birth_year"),
        ("patient", {**PATIENT, "sex": "F Mustermann"}, "sex"),
        ("case", {**PATIENT, "case": "4711"}, "case"),
        ("case", {**PATIENT, "case": accession_psn(1)}, "case"),
        ("case", {**PATIENT, "case": case_psn(1), "start": date(1850, 1, 1)}, "start"),
        ("case", {**PATIENT, "case": case_psn(1), "start": date(2020, 2, 1), "end": date(2020, 1, 1)}, "end"),
        ("document", {**PATIENT, "document": "DOC-4711", "kind": "letter"}, "document"),
        ("document", {**PATIENT, "document": uid(1)}, "kind"),
        ("document", {**PATIENT, "document": uid(1), "kind": "letter", "accession": "RX1"}, "accession"),
        ("fact", {**PATIENT, "attribute": "LVEF", "group": "4711"}, "group"),
        ("fact", {**PATIENT, "attribute": "LVEF", "number": float("nan")}, "number"),
        ("fact", {**PATIENT, "attribute": "<script>"}, "attribute"),
        ("study", {**PATIENT, "study": "1.2.3"}, "study"),
        ("study", {**PATIENT, "study": uid(1), "case": "4711"}, "case"),
        ("series", {**PATIENT, "study": uid(1), "series": "1.2.3"}, "series"),
        ("header", {**HEADER, "path": "0008,0070"}, "path"),
        ("header", {**HEADER, "path": "00091001"}, "path"),
        ("header", {**HEADER, "path": "00400275[0].00091001"}, "path"),
        ("header", {**HEADER, "path": "00100030", "keyword": "PatientBirthDate", "text": "19010101"}, "path"),
        ("header", {**HEADER, "path": "00400275[0].00100030", "date": date(1901, 1, 1)}, "path"),
        ("header", {**HEADER, "vr": "PN", "text": "Mustermann^Erika"}, "text"),
        ("header", {**HEADER, "path": "00100020", "keyword": "PatientID", "text": "4711"}, "text"),
        ("header", {**HEADER, "path": "00080018", "keyword": "SOPInstanceUID", "text": "1.2.3"}, "text"),
        ("header", {**HEADER, "path": "00080050", "keyword": "AccessionNumber", "text": "RX1"}, "text"),
        ("header", {**HEADER, "path": "00100010", "keyword": "", "text": "Mustermann"}, "text"),
        ("header", {**HEADER, "path": "0020000D", "keyword": "", "text": "1.2.3"}, "text"),
        ("header", {**HEADER, "path": "00080050", "keyword": "", "text": "RX1"}, "text"),
        ("header", {**HEADER, "vr": "lo"}, "vr"),
    ],
)
def test_anything_else_is_refused_by_table_column_and_row(table: str, row: Row, column: str) -> None:
    with pytest.raises(InvalidRequest, match="row 1") as caught:
        check(batch({table: [row]}))

    assert caught.value.field == f"{table}.{column}"
    shown = [value for value in row.values() if isinstance(value, str) and "4711" in value]
    assert not any(value in str(caught.value) for value in (*shown, "Mustermann"))


@pytest.mark.parametrize(
    "row",
    [
        {**HEADER, "vr": "PN", "text": patient_psn(1)},
        {**HEADER, "vr": "PN", "text": ""},
        {**HEADER, "vr": "PN", "text": None},
        {**HEADER, "path": "00100030", "keyword": "PatientBirthDate", "vr": "DA", "text": None},
        {**HEADER, "path": "00080018", "keyword": "SOPInstanceUID", "vr": "UI", "text": uid(5)},
        {**HEADER, "path": "00080016", "keyword": "SOPClassUID", "vr": "UI", "text": "1.2.840.113619.4.2"},
        {**HEADER, "path": "00080050", "keyword": "AccessionNumber", "vr": "SH", "text": accession_psn(1)},
    ],
)
def test_a_deidentified_header_passes(row: Row) -> None:
    check(batch({"header": [row]}))


def test_the_error_counts_the_rows() -> None:
    rows = [PATIENT, {"patient": "x1"}, {"patient": "x2"}]

    with pytest.raises(InvalidRequest, match=r"row 2: .*2 row\(s\) in all"):
        check(batch({"patient": rows}))


def test_two_rows_with_one_key_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="row 3: repeats"):
        check(batch({"patient": [PATIENT, {"patient": patient_psn(2)}, PATIENT]}))


def test_a_foreign_form_of_pseudonyms_is_taken_where_the_site_states_it() -> None:
    foreign = batch({"patient": [{"patient": "PSN-0001"}]})

    check(foreign, r"PSN-[0-9]{4}")

    with pytest.raises(InvalidRequest):
        check(foreign)


@pytest.mark.parametrize(("batch_id", "source"), [("", "basic"), ("a b", "basic"), ("b1", "guessed")])
def test_batch_id_and_source_have_their_form(batch_id: str, source: str) -> None:
    with pytest.raises(InvalidRequest):
        check(batch({}, batch_id, source))


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="unknown table"):
        check(Batch("b1", "basic", "r1", {"people": batch({"patient": [PATIENT]}).tables["patient"]}))
