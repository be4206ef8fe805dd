"""Any JSON that calls itself FHIR, and any cells of i2b2 and OMOP: rows or reasons, never a fault of P2D."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from p2d.clinical.formats import open_source
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.warehouse_rows import patient_psn, uid
from p2d.warehouse.intake import Intake

P1 = patient_psn(1)
KEYS = st.sampled_from(
    [
        "id",
        "identifier",
        "value",
        "type",
        "coding",
        "code",
        "system",
        "display",
        "text",
        "div",
        "status",
        "name",
        "family",
        "given",
        "telecom",
        "address",
        "line",
        "birthDate",
        "gender",
        "period",
        "start",
        "end",
        "class",
        "subject",
        "reference",
        "encounter",
        "context",
        "partOf",
        "category",
        "presentedForm",
        "data",
        "contentType",
        "conclusion",
        "content",
        "attachment",
        "section",
        "title",
        "result",
        "basedOn",
        "component",
        "valueQuantity",
        "unit",
        "comparator",
        "valueCodeableConcept",
        "valueString",
        "valueBoolean",
        "valueInteger",
        "valueDateTime",
        "effectiveDateTime",
        "recordedDate",
        "performedDateTime",
        "date",
        "evidence",
        "detail",
        "report",
        "derivedFrom",
        "related",
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        [P1, f"Patient/{P1}", "2020-01-01", "2020", "ICD10", uid(3), "PGI+", "http://loinc.org", "\ud800"]
    ),
)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)
RESOURCES = st.builds(
    lambda kind, body: {**body, "resourceType": kind},
    st.sampled_from(
        [
            "Patient",
            "Encounter",
            "Condition",
            "Procedure",
            "Observation",
            "DiagnosticReport",
            "DocumentReference",
            "Composition",
            "ServiceRequest",
            "Device",
        ]
    ),
    st.dictionaries(KEYS, NODES, max_size=9),
)
CELLS = st.one_of(
    st.just(""),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=6),
    st.sampled_from(
        ["1", "2", "@", "N", "T", "B", "E", "LE", "5.5", "2020-01-01", "2020-02-30", P1, "LAB:X", "0"]
    ),
)
OBSERVED = [
    "encounter_num",
    "patient_num",
    "concept_cd",
    "start_date",
    "provider_id",
    "modifier_cd",
    "instance_num",
    "valtype_cd",
    "tval_char",
    "nval_num",
    "units_cd",
    "observation_blob",
    "sourcesystem_cd",
]
MEASURED = [
    "measurement_id",
    "person_id",
    "measurement_concept_id",
    "measurement_date",
    "measurement_datetime",
    "measurement_source_value",
    "value_as_number",
    "operator_concept_id",
    "value_source_value",
    "unit_source_value",
    "visit_occurrence_id",
]


def settle(folder: Path, form: str) -> None:
    """Load *folder*: the account adds up, and what is loaded the warehouse takes."""
    warehouse, intake = MemoryWarehouse(), Intake(open_source(folder, form))
    for batch in intake.batches:
        warehouse.load(batch)
    account = intake.account()
    assert account["read"] + account["several"] == (
        account["skipped"] + account["set_aside"] + account["loaded"]
    )


def write(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])


@settings(max_examples=30, deadline=None)
@given(st.lists(RESOURCES, max_size=6))
def test_any_fhir_resource_is_a_row_or_a_reason(resources: list[dict[str, object]]) -> None:
    with TemporaryDirectory() as name:
        lines = [json.dumps(one) for one in [{"resourceType": "Patient", "id": P1}, *resources]]
        (Path(name) / "all.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")

        settle(Path(name), "fhir")


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=len(OBSERVED), max_size=len(OBSERVED)), min_size=1, max_size=8))
def test_any_observation_of_i2b2_is_a_row_or_a_reason(rows: list[list[str]]) -> None:
    with TemporaryDirectory() as name:
        write(Path(name) / "patient_dimension.csv", ["patient_num"], [["1"], [P1]])
        write(Path(name) / "observation_fact.csv", OBSERVED, rows)

        settle(Path(name), "i2b2")


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=len(MEASURED), max_size=len(MEASURED)), min_size=1, max_size=8))
def test_any_measurement_of_omop_is_a_row_or_a_reason(rows: list[list[str]]) -> None:
    with TemporaryDirectory() as name:
        people = [["1", "1950", P1]]
        write(Path(name) / "person.csv", ["person_id", "year_of_birth", "person_source_value"], people)
        write(Path(name) / "measurement.csv", MEASURED, rows)

        settle(Path(name), "omop")
