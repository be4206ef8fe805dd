"""What is broken, foreign or identified is told by file, row and field, and the rest goes in."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from p2d.clinical.formats import open_source
from p2d.clinical.mapping import IntakeMapping
from p2d.model.errors import InvalidRequest
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.warehouse_rows import accession_psn, case_psn, patient_psn, uid
from p2d.warehouse.intake import Intake

P1, P2, C1 = patient_psn(1), patient_psn(2), case_psn(1)
NAME = "Vogelsang"
PEOPLE: dict[str, Any] = {
    "version": 1,
    "files": {"delimiter": ";", "decimal": ",", "dates": ["%d.%m.%Y"]},
    "table": [
        {
            "into": "patient",
            "file": "p.csv",
            "columns": {"patient": "ID", "birth": "GEB", "sex": {"column": "SEX", "values": {"w": "F"}}},
        },
        {
            "into": "fact",
            "file": "f.csv",
            "columns": {"patient": "ID", "date": "DAT", "attribute": "A", "number": "Z", "unit": "E"},
        },
    ],
    "limit": [{"attribute": "LVEF", "units": ["%"], "least": 1, "most": 99}],
}


def files(folder: Path, content: Mapping[str, str | bytes]) -> Path:
    for name, text in content.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def loaded(folder: Path, form: str, mapping: object = None) -> tuple[MemoryWarehouse, Intake]:
    """Load *folder*; whatever is in it, the account adds up and no value is shown."""
    warehouse = MemoryWarehouse()
    intake = Intake(open_source(folder, form, IntakeMapping.model_validate(mapping) if mapping else None))
    for batch in intake.batches:
        warehouse.load(batch)
    account = intake.account()
    assert account["read"] + account["several"] == (
        account["skipped"] + account["set_aside"] + account["loaded"]
    )
    assert NAME not in repr(intake)
    return warehouse, intake


def reasons(intake: Intake) -> list[tuple[str, int, str, str]]:
    return [(one.file, one.row, one.field, one.problem) for one in intake.set_aside]


def csv_rows(patients: Iterable[str] = (), facts: Iterable[str] = ()) -> dict[str, str]:
    return {
        "p.csv": "\n".join(["ID;GEB;SEX", f"{P1};1950;w", *patients]) + "\n",
        "f.csv": "\n".join(["ID;DAT;A;Z;E", f"{P1};01.02.2020;LVEF;35,5;%", *facts]) + "\n",
    }


@pytest.mark.parametrize(
    ("patients", "facts", "reason"),
    [
        (["4711;1950;w"], [], ("p.csv", 2, "patient", "is not a pseudonym")),
        ([f"{P2};17.04.1958;w"], [], ("p.csv", 2, "birth_year", "says more than the year")),
        ([f"{P2};1958;x"], [], ("p.csv", 2, "sex", "is not among the values of the mapping")),
        ([f"{P2};Apr;w"], [], ("p.csv", 2, "birth_year", "is not a date in a format of the mapping")),
        ([f"{P1};1950;w"], [], ("p.csv", 2, "patient", "repeats an earlier row")),
        ([], [f"{P2};01.02.2020;LVEF;35;%"], ("f.csv", 2, "patient", "names a patient that is not loaded")),
        (
            [],
            [f"{P1};2020-02-01;LVEF;35;%"],
            ("f.csv", 2, "date", "is not a date in a format of the mapping"),
        ),
        (
            [],
            [f"{P1};01.02.2020;LVEF;35.5;%"],
            ("f.csv", 2, "number", "is not a number in the notation of the mapping"),
        ),
        (
            [],
            [f"{P1};01.02.2020;LVEF;36;mm"],
            ("f.csv", 2, "unit", "has a unit that the mapping does not allow for its attribute"),
        ),
        (
            [],
            [f"{P1};01.02.2020;LVEF;136;%"],
            ("f.csv", 2, "number", "is outside the limits of its attribute"),
        ),
        ([], [f"{P1};01.02.2020;1 2;3;"], ("f.csv", 2, "attribute", "does not have the form of its kind")),
    ],
)
def test_a_bad_row_of_a_mapped_file_is_set_aside(
    tmp_path: Path, patients: list[str], facts: list[str], reason: tuple[str, int, str, str]
) -> None:
    warehouse, intake = loaded(files(tmp_path, csv_rows(patients, facts)), "csv", PEOPLE)

    assert reasons(intake) == [reason]
    assert [row["number"] for row in warehouse.rows("fact")] == [35.5]


def test_a_row_without_a_value_is_skipped_and_counted(tmp_path: Path) -> None:
    _, intake = loaded(files(tmp_path, csv_rows(facts=[f"{P1};01.02.2020;LVEF;;%"])), "csv", PEOPLE)

    assert intake.source.tallies["fact"].skipped == {("f.csv", "holds no value"): 1}
    assert intake.set_aside == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.csv", "ID;GEB\n", r"p\.csv line 1: lacks column SEX"),
        ("p.csv", "ID;GEB;SEX;SEX\n", r"p\.csv line 1: has a column twice"),
        ("p.csv", "", r"p\.csv line 1: has no header"),
        ("p.csv", f"ID;GEB;SEX\n{P1};1950\n", r"p\.csv row 1: has 2 cells instead of 3"),
        ("p.csv", f'ID;GEB;SEX\n{P1};1950;"w\n{P2};1950;w\n', r"p\.csv: ends inside a quoted cell"),
        ("p.csv", b"ID;GEB;SEX\n\xe4;1950;w\n", r"p\.csv after row 0: is not CSV in utf-8"),
        ("p.csv", b"\xff\xfe\x00", r"p\.csv after row 0: is not CSV in utf-8"),
    ],
)
def test_a_broken_file_stops_the_load_and_is_named(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    files(tmp_path, {**csv_rows(), name: content})

    with pytest.raises(InvalidRequest, match=said):
        loaded(tmp_path, "csv", PEOPLE)


def test_a_quote_inside_a_cell_is_no_open_cell(tmp_path: Path) -> None:
    warehouse, _ = loaded(
        files(tmp_path, csv_rows(facts=[f'{P1};01.02.2020;LVEF;40;5"'])), "csv", {**PEOPLE, "limit": []}
    )

    assert [row["unit"] for row in warehouse.rows("fact")] == ["%", '5"']


def test_files_are_read_in_the_encoding_that_the_mapping_says(tmp_path: Path) -> None:
    mapping = {**PEOPLE, "files": {**PEOPLE["files"], "encoding": "cp1252"}, "limit": []}
    content = {n: t.encode("cp1252") for n, t in csv_rows(facts=[f"{P1};01.02.2020;Größe;1;µm"]).items()}

    warehouse, _ = loaded(files(tmp_path, content), "csv", mapping)

    assert warehouse.rows("fact")[1]["attribute"] == "Größe"


@pytest.mark.parametrize("pattern", ["../*.csv", "/etc/passwd", "missing.csv"])
def test_a_mapping_reads_files_of_its_folder_only(tmp_path: Path, pattern: str) -> None:
    files(tmp_path, csv_rows())
    tables = [{**PEOPLE["table"][0], "file": pattern}]

    with pytest.raises(InvalidRequest, match=r"leads out of the folder|is not in the folder"):
        loaded(tmp_path, "csv", {**PEOPLE, "table": tables})


@pytest.mark.parametrize("form", ["omop", "i2b2", "fhir", "p2d"])
def test_a_folder_without_the_files_of_a_format_is_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(InvalidRequest):
        loaded(tmp_path, form)


def test_omop_rows_that_lead_nowhere_are_set_aside(tmp_path: Path) -> None:
    columns = "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_source_value,"
    columns += "value_as_number,visit_occurrence_id\n"
    facts = [
        "1,1,0,2020-01-01,LVEF,35,",
        "2,9,0,2020-01-01,LVEF,35,",
        "3,1,0,2020-01-01,LVEF,35,77",
        "4,1,0,2020-02-30,LVEF,35,",
        "5,1,0,2020-01-01,LVEF,nan,",
        "6,1,0,2020-01-01,LVEF,,",
        "7,1,0,2020-01-01,,35,",
    ]
    people = "person_id,year_of_birth,month_of_birth,day_of_birth,person_source_value\n"
    people += f"1,1950,,,{P1}\n2,1950,4,17,{P2}\n"
    files(tmp_path, {"PERSON.csv": people, "measurement.csv": columns + "\n".join(facts) + "\n"})

    _, intake = loaded(tmp_path, "omop")

    assert [(one.row, one.field) for one in intake.set_aside] == [
        (2, "birth_year"),
        (2, "patient"),
        (3, "case"),
        (4, "date"),
        (5, "number"),
    ]
    assert set(intake.source.tallies["fact"].skipped.values()) == {1}
    assert intake.loadable == {"patient": 1, "case": 0, "document": 0, "fact": 1}


def test_omop_concepts_stand_in_where_there_is_no_source_value(tmp_path: Path) -> None:
    files(
        tmp_path,
        {
            "person.csv": f"person_id,year_of_birth,person_source_value\n1,1950,{P1}\n",
            "concept.csv": "concept_id,concept_name,vocabulary_id,concept_code\n"
            "3000963,Hemoglobin,LOINC,718-7\n8713,gram per deciliter,UCUM,g/dL\n"
            "4163261,Infarct,SNOMED,22298006\n",
            "measurement.csv": "measurement_id,person_id,measurement_concept_id,measurement_date,"
            "value_as_number,unit_concept_id,operator_concept_id,measurement_datetime\n"
            "1,1,3000963,2020-01-01,13.5,8713,4171754,2020-01-01 07:15:00\n",
            "condition_occurrence.csv": "condition_occurrence_id,person_id,condition_concept_id,"
            "condition_start_date\n1,1,4163261,2020-01-01\n",
        },
    )
    words = {"version": 1, "words": {"schemes": {"SNOMED": "SNOMED"}, "attributes": {"LOINC|718-7": "HB"}}}

    warehouse, _ = loaded(tmp_path, "omop", words)

    condition, measurement = warehouse.rows("fact")
    assert (condition["attribute"], condition["code"], condition["text"]) == ("SNOMED", "22298006", "Infarct")
    assert (measurement["attribute"], measurement["number"], measurement["text"]) == ("HB", 13.5, "<=")
    assert measurement["unit"] == "g/dL"
    source = open_source(tmp_path, "omop")
    (chunk,) = [c for c in source.chunks("fact") if c.file == "measurement.csv"]
    assert chunk.values["time"].to_pylist() == ["07:15:00"]
    assert chunk.values["attribute"].to_pylist() == ["LOINC 718-7"]


I2B2 = {
    "patient_dimension.csv": "patient_num,sex_cd,birth_date\n1,F,1950-01-01 00:00:00\n2,M,1950-04-17\n",
    "patient_mapping.csv": f"patient_ide,patient_num\n{P1},1\n{P2},2\n",
}
OBSERVED = (
    "encounter_num,patient_num,concept_cd,start_date,modifier_cd,instance_num,"
    "valtype_cd,tval_char,nval_num,units_cd\n"
)


def test_i2b2_operators_types_and_modifiers_mean_what_they_say(tmp_path: Path) -> None:
    rows = [
        "-1,1,LAB:CRP,2020-01-01,@,1,N,L,5,mg/l",
        "-1,1,LAB:CRP,2020-01-01,@,2,N,GE,7,mg/l",
        "-1,1,LAB:CRP,2020-01-01,QUAL:HAEMOLYTIC,2,T,ja,,",
        "-1,1,LAB:NOTE,2020-01-01,@,1,T,frei,,",
        "-1,1,ICD10:I50.1,2020-01-01,@,1,,,,",
        "-1,1,LAB:CRP,2020-01-02,@,1,N,XX,5,",
        "-1,1,LAB:CRP,2020-01-03,@,1,N,NE,5,",
        "-1,1,LAB:CRP,2020-01-04,@,1,N,E,,",
        "-1,1,LAB:CRP,2020-01-05,@,1,Q,,,",
        "5,1,LAB:CRP,2020-01-06,@,1,N,E,5,",
        "-1,3,LAB:CRP,2020-01-07,@,1,N,E,5,",
    ]
    files(tmp_path, {**I2B2, "observation_fact.csv": OBSERVED + "\n".join(rows) + "\n"})

    warehouse, intake = loaded(tmp_path, "i2b2")

    facts = [(f["attribute"], f["number"], f["code"], f["text"], f["unit"]) for f in warehouse.rows("fact")]
    assert facts == [
        ("CRP", 5.0, None, "<", "mg/l"),
        ("CRP", 7.0, None, ">=", "mg/l"),
        ("HAEMOLYTIC", None, None, "ja", None),
        ("NOTE", None, None, "frei", None),
        ("ICD10", None, "I50.1", None, None),
    ]
    groups = [f["group"] for f in warehouse.rows("fact")]
    assert (groups[1] == groups[2], len(set(groups))) == (True, 4)
    assert [(one.table, one.row, one.field) for one in intake.set_aside] == [
        ("patient", 2, "birth_year"),
        ("fact", 6, "text"),
        ("fact", 7, "text"),
        ("fact", 8, "number"),
        ("fact", 9, "number"),
        ("fact", 10, "case"),
        ("fact", 11, "patient"),
    ]


def patient(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": patient_psn(number), "birthDate": "1950", **more}


def observation(**more: Any) -> dict[str, Any]:
    about = {"subject": {"reference": f"Patient/{P1}"}, "effectiveDateTime": "2020-01-01"}
    return {
        "resourceType": "Observation",
        "code": {"text": "LVEF"},
        "valueQuantity": {"value": 35},
        **about,
        **more,
    }


def ndjson(folder: Path, *resources: object) -> Path:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in resources]
    return files(folder, {"all.ndjson": "\n".join(lines) + "\n"})


@pytest.mark.parametrize(
    ("resource", "field", "problem"),
    [
        ('{"resourceType": "Obser', "resource", "is not JSON"),
        ('{"resourceType": "Observation", "valueQuantity": {"value": NaN}}', "resource", "is not JSON"),
        ("[1]", "resource", "is no FHIR resource"),
        (patient(2, name=[{"family": NAME}]), "names", "holds a name"),
        (patient(2, telecom=[{"value": "0931 201 0"}]), "contacts", "holds an address or telephone number"),
        (patient(2, birthDate="1958-04-17"), "birth_year", "says more than the year"),
        (patient(2, identifier=[{"value": "4711"}]), "patient", "is not a pseudonym"),
        (
            patient(2, identifier=[{"value": P2}, {"value": "A123456789"}]),
            "ids",
            "holds a number that is not the pseudonym",
        ),
        (
            observation(subject={"reference": "Patient/9"}),
            "patient",
            "names a patient that no Patient of the folder is",
        ),
        (
            observation(encounter={"reference": "Encounter/9"}),
            "case",
            "names an encounter that no Encounter of the folder is",
        ),
        (observation(effectiveDateTime="2020"), "date", "is not a date, or not exact to the day"),
        (observation(effectiveDateTime="2020-02-30"), "date", "is not a date, or not exact to the day"),
        (observation(valueQuantity={"value": "35"}), "number", "is a quantity without a number"),
        (
            observation(valueQuantity=None, valueRatio={}),
            "number",
            "is a valueRatio, which is not taken",
        ),
    ],
)
def test_a_bad_resource_is_set_aside(tmp_path: Path, resource: object, field: str, problem: str) -> None:
    ndjson(tmp_path, patient(), resource, observation())

    warehouse, intake = loaded(tmp_path, "fhir")

    assert reasons(intake) == [("all.ndjson", 2, field, problem)]
    assert [row["number"] for row in warehouse.rows("fact")] == [35.0]


def test_resources_that_make_no_rows_are_counted_by_reason(tmp_path: Path) -> None:
    unread = [{"resourceType": "Device"}, {"resourceType": "Device"}, {"resourceType": "ServiceRequest"}]
    wrong = observation(status="entered-in-error")
    ndjson(tmp_path, patient(), *unread, wrong, observation(valueQuantity=None), {"resourceType": "x y"})

    _, intake = loaded(tmp_path, "fhir")

    assert intake.source.tallies["fact"].skipped == {
        ("all.ndjson", "resource type Device is not taken"): 2,
        ("all.ndjson", "is an order, read for accession numbers"): 1,
        ("all.ndjson", "status entered-in-error"): 1,
        ("all.ndjson", "observation without a value"): 1,
        ("all.ndjson", "resource type of another form is not taken"): 1,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"resourceType": "Bundle", "entry": [\n{"resource": ',
            "is not whole JSON: it ends or breaks at line 2",
        ),
        (b"\xff\xfe{}", "is not JSON in UTF-8"),
        ("[" * 100_000, "is not JSON in UTF-8"),
    ],
)
def test_a_bundle_that_is_not_whole_stops_the_load(tmp_path: Path, content: str | bytes, said: str) -> None:
    files(tmp_path, {"bundle.json": content})

    with pytest.raises(InvalidRequest, match=said):
        loaded(tmp_path, "fhir")


def test_references_of_every_kind_lead_to_their_resource(tmp_path: Path) -> None:
    case = {
        "resourceType": "Encounter",
        "id": "stay",
        "identifier": [{"value": C1}],
        "class": {"code": "IMP"},
        "subject": {"identifier": {"value": P1}},
        "period": {"start": "2020-01-01"},
    }
    ward = {"resourceType": "Encounter", "id": "ward", "partOf": {"reference": "Encounter/stay"}}
    report = {
        "resourceType": "DiagnosticReport",
        "id": uid(7),
        "category": [{"coding": [{"code": "RAD"}]}],
        "code": {"text": "CT"},
        "subject": {"reference": f"https://kis.example/fhir/Patient/{P1}/_history/3"},
        "encounter": {"reference": "Encounter/ward"},
        "effectiveDateTime": "2020-01-01T10:00:00+01:00",
        "identifier": [{"type": {"coding": [{"code": "ACSN"}]}, "value": accession_psn(1)}],
        "text": {"div": "<div><p>Kein <b>Pneumothorax</b>.</p><p>Erguss</p></div>"},
        "result": [{"reference": "urn:uuid:1"}],
    }
    both = observation(
        component=[{"code": {"text": "QUALITY"}, "valueCodeableConcept": {"coding": [{"code": "good"}]}}],
        effectiveDateTime="2020-01-01T10:30:00Z",
    )
    entries = [{"resource": one} for one in (patient(), case, ward, report)]
    bundle = {"resourceType": "Bundle", "entry": [*entries, {"fullUrl": "urn:uuid:1", "resource": both}]}
    files(tmp_path, {"b.json": json.dumps(bundle)})

    warehouse, intake = loaded(tmp_path, "fhir")

    (document,) = warehouse.rows("document")
    assert (document["case"], document["accession"], document["kind"]) == (
        C1,
        accession_psn(1),
        "radiology_report",
    )
    assert document["text"] == "Kein Pneumothorax.\nErguss"
    value, quality = warehouse.rows("fact")
    assert value["document"] == quality["document"] == document["document"] == uid(7)
    assert value["group"] == quality["group"]
    assert (quality["attribute"], quality["code"]) == ("QUALITY", "good")
    assert intake.source.tallies["case"].skipped == {("b.json", "encounter within another"): 1}
    assert intake.account()["several"] == 1


def test_notes_of_omop_are_told_apart_by_their_id_and_named_by_their_source_value(tmp_path: Path) -> None:
    columns = "note_id,person_id,note_date,note_text,note_title,note_source_value\n"
    notes = "1,1,2020-01-01,a,,letter\n2,1,2020-01-01,b,,letter\n3,1,2020-01-01,c,,Y\n"
    people = f"person_id,year_of_birth,person_source_value\n1,1950,{P1}\n"
    files(tmp_path, {"person.csv": people, "note.csv": columns + notes})

    warehouse, _ = loaded(tmp_path, "omop", {"version": 1, "words": {"kinds": {"Y": "report"}}})

    documents = warehouse.rows("document")
    assert [d["kind"] for d in documents] == ["letter", "letter", "report"]
    assert len({d["document"] for d in documents}) == 3
