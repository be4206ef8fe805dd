"""Pseudonymising other formats: direct identifiers go, what cannot be pseudonymised is left out."""

import csv
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from p2d.clinical.formats import open_source
from p2d.flows.gateway.clinical_rows import read_persons
from p2d.flows.gateway.pseudonymise import ClinicalReport, pseudonymise_source
from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.testing.identity import MemoryIdentity

TODAY = date(2026, 11, 22)
ANNA: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "identifier": [
        {"type": {"coding": [{"code": "MR"}]}, "value": "KANARI-1"},
        {"value": "X110411675"},
    ],
    "name": [{"family": "Vogelsang", "given": ["Anna"]}, {"family": "Amselgrund", "use": "maiden"}],
    "telecom": [{"value": "0931-20188822"}],
    "address": [{"line": ["Lindenweg 48"], "city": "Musterstadt"}],
    "birthDate": "1958-04-17",
    "gender": "female",
}


def pseudonymised(folder: Path, *resources: object, identity: MemoryIdentity | None = None) -> ClinicalReport:
    source = folder / "in"
    source.mkdir()
    lines = [one if isinstance(one, str) else json.dumps(one) for one in resources]
    (source / "all.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return pseudonymise_source(
        open_source(source, "fhir"), folder / "out", identity or MemoryIdentity(), today=TODAY
    )


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / "out" / f"{table}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def letter(text: str, **more: object) -> dict[str, object]:
    return {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "code": {"text": "letter"},
        "subject": {"reference": "Patient/a"},
        "effectiveDateTime": "2024-03-09",
        "conclusion": text,
        **more,
    }


def test_everything_that_identifies_goes_from_texts_too(tmp_path: Path) -> None:
    told = (
        "Frau Vogelsang (geb. Amselgrund), *17.04.1958, X110411675, Lindenweg 48, Tel. 0931-20188822, "
        "Pat. KANARI-1: NYHA II am 05.03.2024."
    )
    identity = MemoryIdentity()

    report = pseudonymised(tmp_path, ANNA, letter(told), identity=identity)

    (patient,), (document,) = rows(tmp_path, "patient"), rows(tmp_path, "document")
    shift = timedelta(days=identity.date_shift([Pseudonym(patient["patient"])])[0])
    assert patient["birth_year"] == str((date(1958, 4, 17) + shift).year)
    assert document["date"] == (date(2024, 3, 9) + shift).isoformat()
    assert f"NYHA II am {date(2024, 3, 5) + shift:%d.%m.%Y}" in document["text"]
    content = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    for secret in (
        "KANARI",
        "Vogelsang",
        "Amselgrund",
        "Anna",
        "X110411675",
        "Lindenweg",
        "20188822",
        "1958-04",
    ):
        assert secret not in content
    assert (report.quarantined, report.removed) == ({}, {})


def test_a_birth_date_that_is_a_year_stays_one_and_nobody_is_older_than_90(tmp_path: Path) -> None:
    old = {**ANNA, "id": "b", "identifier": [{"value": "KANARI-2"}], "birthDate": "1901-05"}

    pseudonymised(tmp_path, {**ANNA, "birthDate": "1958"}, old)

    assert [row["birth_year"] for row in rows(tmp_path, "patient")] == ["1958", str(TODAY.year - 90)]


def test_what_cannot_be_pseudonymised_is_left_out_and_counted(tmp_path: Path) -> None:
    wrong = [
        '{"resourceType": "Obs',
        letter("x", id="r2", subject={"reference": "Patient/9"}),
        letter("x", id="r3", effectiveDateTime="2024"),
        letter("x", id="r4", code={"text": "Vogelsang"}),
    ]

    report = pseudonymised(tmp_path, ANNA, letter("ok"), *wrong)

    assert report.written == {"patient.csv": 1, "case.csv": 0, "document.csv": 1, "fact.csv": 0}
    assert report.quarantined == {
        "document.csv": {
            "patient names a patient that no Patient of the folder is": 1,
            "date is not a date, or not exact to the day": 1,
            "kind holds an identifying value": 1,
        },
        "fact.csv": {"resource is not JSON": 1},
    }


def test_texts_of_a_patient_without_a_name_are_removed_but_not_bounds(tmp_path: Path) -> None:
    nameless = {key: value for key, value in ANNA.items() if key != "name"}
    value = {
        "resourceType": "Observation",
        "code": {"text": "CRP"},
        "subject": {"reference": "Patient/a"},
        "valueQuantity": {"value": 5, "comparator": "<"},
    }

    report = pseudonymised(tmp_path, nameless, letter("Frau Vogelsang klagt"), value)

    assert [row["text"] for row in rows(tmp_path, "document")] == [""]
    assert [row["text"] for row in rows(tmp_path, "fact")] == ["<"]
    assert report.removed == {"document.csv": {"text removed: the patient's name is not known": 1}}


def test_columns_that_no_field_is_for_are_not_written_but_counted(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "person.csv").write_text(
        "person_id,year_of_birth,person_source_value,nickname\n1,1950,K1,KANARI\n"
    )
    clinical = open_source(source, "omop")

    report = pseudonymise_source(clinical, tmp_path / "out", MemoryIdentity(), today=TODAY)

    assert report.written["patient.csv"] == 1
    assert clinical.tallies["patient"].unread == {"person.csv": 1}
    assert "KANARI" not in "".join(path.read_text() for path in (tmp_path / "out").iterdir())


def test_persons_gather_names_and_addresses_of_several_rows(tmp_path: Path) -> None:
    path = tmp_path / "persons.csv"
    path.write_text(
        "patient_id,name,street,phone\n1,Vogelsang^Anna,Weg 1,\n1,Amselgrund^Anna,Weg 1,0931\n2,,,\n"
    )

    persons = read_persons(path)

    assert persons["1"] == (("Vogelsang^Anna", "Amselgrund^Anna"), ("Weg 1", "0931"))
    assert persons["2"] == ((), ())


@pytest.mark.parametrize("content", ["patient_id\n1\n", "name,id\nx,1\n", ""])
def test_persons_without_their_columns_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "persons.csv"
    path.write_text(content)

    with pytest.raises(InvalidRequest, match=r"persons\.csv line 1"):
        read_persons(path)
