"""What an export holds can be loaded again: the loader reads OMOP, FHIR and i2b2 as the exports write them.

Documents are named anew and dates that OMOP and i2b2 must fill are known here, so both sides are compared by
what they say. What a form has no place for is named where it is taken out of the comparison.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from p2d.clinical.formats import open_source
from p2d.testing.exchanging import SMALL_RANGE, filled, small_hospital
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.warehouse_rows import accession_psn, batch, case_psn, patient_psn, uid
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.exchange.fhir.form import Fhir
from p2d.warehouse.exchange.form import Form, run
from p2d.warehouse.exchange.i2b2.form import I2b2
from p2d.warehouse.exchange.omop.form import Omop
from p2d.warehouse.exchange.publication import publication
from p2d.warehouse.exchange.sinks import FILES
from p2d.warehouse.exchange.source import DuckDbSource
from p2d.warehouse.exchange.workbench import workbench
from p2d.warehouse.intake.intake import Intake

_DAY = date(2021, 5, 4)
_PATIENT, _CASE, _LETTER, _REPORT, _ORDER = patient_psn(900), case_psn(900), uid(900), uid(901), uid(902)
_ALONE = patient_psn(901)
_FORMS: dict[str, tuple[Form, str]] = {
    "omop": (Omop(), "csv"),
    "fhir": (Fhir(), "ndjson"),
    "i2b2": (I2b2(), "csv"),
}
SAID = ("patient", "case", "attribute", "date", "number", "code", "text", "unit")


def with_bounds() -> Any:
    """Return a batch of numbers that are bounds, and of facts beside and within documents."""
    placed = {"patient": _PATIENT, "case": _CASE, "date": _DAY}
    pressure = {**placed, "document": _ORDER, "group": uid(930), "unit": "mmHg"}
    bounds = [
        {"attribute": "Troponin", "number": 0.3, "text": "<", "unit": "ng/ml"},
        {"attribute": "CRP", "number": 5.0, "text": "<=", "unit": "mg/l"},
        {"attribute": "GFR", "number": 90.0, "text": ">", "unit": "ml/min"},
        {"attribute": "NTproBNP", "number": 35000.5, "text": ">="},
        {"attribute": "CRP", "number": -2.0, "unit": "mg/l"},
    ]
    return batch(
        {
            "patient": [{"patient": _PATIENT, "sex": "F", "birth_year": 1950}, {"patient": _ALONE}],
            "case": [{"patient": _PATIENT, "case": _CASE, "start": _DAY, "end": _DAY, "type": "inpatient"}],
            "document": [
                {**placed, "document": _LETTER, "kind": "discharge_letter", "text": "NYHA III"},
                {
                    **placed,
                    "document": _REPORT,
                    "kind": "radiology_report",
                    "text": "Rundherd, Durchmesser < 5 mm",
                    "accession": accession_psn(900),
                },
                {**placed, "document": _ORDER, "kind": "laboratory"},
            ],
            "fact": [
                *(
                    {**placed, "document": _ORDER, "group": uid(910 + n), **one}
                    for n, one in enumerate(bounds)
                ),
                {**pressure, "attribute": "RRsys", "number": 120.0},
                {**pressure, "attribute": "RRdia", "number": 80.0},
                {**placed, "document": _LETTER, "attribute": "NYHA", "number": 3.0},
                {
                    **placed,
                    "document": _LETTER,
                    "attribute": "ICD10",
                    "code": "I50.1",
                    "text": "Linksherzinsuff.",
                },
                {
                    **placed,
                    "document": _REPORT,
                    "attribute": "Diameter",
                    "number": 5.0,
                    "text": "<",
                    "unit": "mm",
                },
                {**placed, "attribute": "OPS", "code": "5-572.1", "text": "Zystostomie"},
                {**placed, "attribute": "Remark", "text": "< 5 Zigaretten"},
                {"patient": _PATIENT, "attribute": "Weight", "number": 71.5, "unit": "kg"},
                {**placed, "attribute": "ATC", "code": "C07AB02"},
                {**placed, "attribute": "ATC", "code": "C07AB07", "text": "Bisoprolol"},
                {**placed, "attribute": "ICD10", "code": "I51"},
                {**placed, "attribute": "ICDO3", "code": "8140/3", "text": "Adenokarzinom"},
                {**placed, "document": _LETTER, "attribute": "AccessionNumber", "text": "not one"},
                {**placed, "attribute": "DICOM", "code": "X", "text": "clinical"},
                {"patient": _ALONE, "attribute": "Finding", "text": ("Rundherd. " * 35).strip()},
                {"patient": _ALONE, "attribute": "ICD10", "code": "I51", "text": "one name"},
                {"patient": _ALONE, "attribute": "ICD10", "code": "I51", "text": "another name"},
            ],
        },
        "bounds",
        "clinical",
        "c",
    )


@pytest.fixture(scope="module")
def hospital() -> Iterator[DuckDbWarehouse]:
    with filled([*small_hospital(5, max_images=6), with_bounds()]) as made:
        yield made


@pytest.fixture(scope="module", params=list(_FORMS))
def read_back(
    request: pytest.FixtureRequest, hospital: DuckDbWarehouse, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, MemoryWarehouse, Intake]:
    name = str(request.param)
    form, kind = _FORMS[name]
    folder = tmp_path_factory.mktemp(name)
    with hospital.reading() as state, workbench(None) as bench:
        source = DuckDbSource(state)
        with publication(folder, name, source.data_version, datetime.now(UTC)) as made:
            run(form, source, bench, FILES[kind](made), weight=SMALL_RANGE)
            shown = made.publish({})
    found, intake = MemoryWarehouse(), Intake(open_source(shown, name))
    for one in intake.batches:
        found.load(one)
    return name, found, intake


def original(hospital: DuckDbWarehouse, statement: str) -> list[dict[str, Any]]:
    with hospital.reading() as state:
        return list(state.sql(statement).to_arrow_table().to_pylist())


def facts(hospital: DuckDbWarehouse) -> list[dict[str, Any]]:
    return original(
        hospital,
        'SELECT p.patient, c."case", d.kind, d."text" AS told, f.* FROM fact f '
        "JOIN patient p USING (patient_key) "
        "LEFT JOIN clinical_case c ON c.case_key = f.case_key LEFT JOIN document d USING (document_key)",
    )


def said(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> list[str]:
    return sorted(repr([row[column] for column in columns]) for row in rows)


def test_nothing_is_set_aside(read_back: tuple[str, MemoryWarehouse, Intake]) -> None:
    _, _, intake = read_back

    assert intake.set_aside == []


def test_every_fact_says_the_same_and_a_bound_stays_a_bound(
    hospital: DuckDbWarehouse, read_back: tuple[str, MemoryWarehouse, Intake]
) -> None:
    name, found, _ = read_back
    before, after = facts(hospital), found.rows("fact")
    if name == "omop":  # a code has one name there, a text 60 characters
        before, after = ([row for row in rows if row["patient"] != _ALONE] for rows in (before, after))
        before = [{**row, "text": "one"} if row["code"] == "I51" else row for row in before]
        after = [{**row, "text": "one"} if row["code"] == "I51" else row for row in after]

    assert said(after, SAID) == said(before, SAID)
    assert {row["text"] for row in found.rows("fact") if row["number"] is not None} >= {"<", "<=", ">", ">="}


def test_a_fact_stays_with_its_document(
    hospital: DuckDbWarehouse, read_back: tuple[str, MemoryWarehouse, Intake]
) -> None:
    name, found, _ = read_back
    documents = {row["document"]: row for row in found.rows("document")}
    columns = ("patient", "attribute", "number", "code", "kind", "told")

    after = [
        {
            **row,
            "kind": documents[row["document"]]["kind"] if row["document"] else None,
            "told": documents[row["document"]]["text"] if row["document"] else None,
        }
        for row in found.rows("fact")
    ]
    before = facts(hospital)
    if name == "omop":  # what has no text is no note
        before = [{**row, "kind": row["kind"] if row["told"] else None} for row in before]
    assert said(after, columns) == said(before, columns)


def test_documents_keep_kind_text_and_accession(
    hospital: DuckDbWarehouse, read_back: tuple[str, MemoryWarehouse, Intake]
) -> None:
    name, found, _ = read_back
    before = original(hospital, "SELECT p.patient, d.* FROM document d JOIN patient p USING (patient_key)")
    columns = ("patient", "kind", "date", "accession", "text")

    if name == "omop":
        before = [row for row in before if row["text"]]
    assert said(found.rows("document"), columns) == said(before, columns)
    assert any(row["accession"] for row in found.rows("document"))


def test_patients_and_cases_are_the_same(
    hospital: DuckDbWarehouse, read_back: tuple[str, MemoryWarehouse, Intake]
) -> None:
    _, found, _ = read_back
    patients = original(hospital, "SELECT * FROM patient")
    cases = original(
        hospital, "SELECT p.patient, c.* FROM clinical_case c JOIN patient p USING (patient_key)"
    )

    of_patient, of_case = ("patient", "sex", "birth_year"), ("patient", "case", "start", "end", "type")
    assert said(found.rows("patient"), of_patient) == said(patients, of_patient)
    assert said(found.rows("case"), of_case) == said(cases, of_case)


def test_values_of_one_group_stay_one_group_in_omop(
    read_back: tuple[str, MemoryWarehouse, Intake],
) -> None:
    name, found, _ = read_back
    groups = {row["attribute"]: row["group"] for row in found.rows("fact") if row["patient"] == _PATIENT}

    assert (groups["RRsys"] == groups["RRdia"]) == (name == "omop")
    assert groups["Troponin"] != groups["GFR"]
