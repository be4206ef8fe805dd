"""EAV: one row a value, a unique key that no two values share, the same numbers from export to export."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2d.testing.cohort_rows import random_rows
from p2d.testing.exchanging import exported, filled, small_hospital
from p2d.testing.warehouse_rows import Row, batch, patient_psn, small_study, uid
from p2d.warehouse.batch import Batch
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.exchange.eav import Eav
from p2d.warehouse.exchange.i2b2.form import I2b2
from p2d.warehouse.exchange.omop.form import Omop

_KEY = ("AttrID", "PID", "MeasureTime", "CaseID", "Ref", "DocID", "GroupID")
P1: Row = {"patient": patient_psn(1)}


@pytest.fixture(scope="module")
def hospital() -> Iterator[DuckDbWarehouse]:
    with filled(small_hospital(4, max_images=12)) as made:
        yield made


def values(warehouse: DuckDbWarehouse) -> list[tuple[str, str, object]]:
    found = exported(warehouse, Eav())
    names = {row["AttrID"]: row["Name"] for row in found.tables["eav_catalogue"]}
    return [(names[row["AttrID"]], row["Value"], row["GroupID"]) for row in found.tables["eav"]]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_unique_key_holds_for_any_warehouse(seed: int) -> None:
    with filled([batch(random_rows(seed), source="extended")]) as warehouse:
        rows = exported(warehouse, Eav(), weight=20).tables["eav"]

    keys = Counter(tuple(row[column] for column in _KEY) for row in rows)

    assert all(number == 1 for number in keys.values())


def test_two_images_of_one_series_keep_their_own_rows() -> None:
    rows = small_study(images=2)
    rows["instance"] = [{**row, "Rows": 512} for row in rows["instance"]]
    with filled([batch(rows)]) as warehouse:
        found = values(warehouse)

    images = {group for name, value, group in found if name == "Rows" and value == "512"}
    assert len(images) == 2
    assert {name for name, _, group in found if group in images} == {
        "Rows",
        "InstanceNumber",
        "SOPInstanceUID",
    }


def test_a_group_answers_what_the_warehouse_answers_for_the_same_series(hospital: DuckDbWarehouse) -> None:
    with hospital.reading() as state:
        ours = state.execute(
            "SELECT count(*) FROM series JOIN study USING (study_key) "
            """WHERE "Modality" = 'CT' AND "StudyDescription" ILIKE '%thorax%'"""
        ).fetchall()[0][0]

    found = values(hospital)

    is_ct = {group for name, value, group in found if (name, value) == ("Modality", "CT")}
    is_chest = {
        group for name, value, group in found if name == "StudyDescription" and "thorax" in value.lower()
    }
    assert ours > 0
    assert len(is_ct & is_chest) == ours


def test_values_are_written_as_they_are_read() -> None:
    facts: list[Row] = [
        {**P1, "group": uid(1), "attribute": "LVEF", "number": 45.0, "unit": "%", "date": date(2020, 1, 2)},
        {
            **P1,
            "group": uid(2),
            "attribute": "CRP",
            "number": 0.25,
            "text": "wenig",
            "date": date(2020, 1, 2),
        },
        {**P1, "group": uid(3), "attribute": "ICD10", "code": "I50.1", "text": "Herzinsuffizienz"},
    ]
    with filled([batch({"patient": [{**P1, "sex": "F"}], "fact": facts}, source="clinical")]) as warehouse:
        found = exported(warehouse, Eav())

    names = {row["AttrID"]: (row["Name"], row["Unit"]) for row in found.tables["eav_catalogue"]}
    written = {(*names[row["AttrID"]], row["Value"], row["MeasureTime"]) for row in found.tables["eav"]}
    day = datetime(2020, 1, 2)  # noqa: DTZ001 - a time without zone
    assert written == {
        ("sex", "", "F", None),
        ("LVEF", "%", "45", day),
        ("CRP", "", "0.25", day),
        ("CRP (text)", "", "wenig", day),
        ("ICD10", "", "I50.1", None),
        ("ICD10 (text)", "", "Herzinsuffizienz", None),
    }


def test_values_of_one_header_element_stand_one_after_another(hospital: DuckDbWarehouse) -> None:
    found = exported(hospital, Eav())

    (attribute,) = [row["AttrID"] for row in found.tables["eav_catalogue"] if row["Name"] == "ImageType"]
    rows = [row for row in found.tables["eav"] if row["AttrID"] == attribute]
    group = [(row["Ref"], row["Value"]) for row in rows if row["GroupID"] == rows[0]["GroupID"]]
    assert group == [(1, "ORIGINAL"), (2, "PRIMARY"), (3, "AXIAL")]


def test_an_element_in_a_sequence_is_named_by_its_path(hospital: DuckDbWarehouse) -> None:
    catalogue = exported(hospital, Eav()).tables["eav_catalogue"]

    assert ("AnatomicRegionSequence.CodeMeaning", "00082218.00080104") in {
        (row["Name"], row["Path"]) for row in catalogue
    }


def test_attributes_keep_their_numbers_and_begin_where_they_may(
    hospital: DuckDbWarehouse, tmp_path: Path
) -> None:
    ids = tmp_path / "ids.duckdb"
    with filled([batch(random_rows(1), source="extended")]) as other:
        first = exported(other, Eav(1000), ids).tables["eav_catalogue"]
    second = exported(hospital, Eav(1000), ids).tables["eav_catalogue"]

    numbers = {(row["Name"], row["Source"], row["Unit"]): row["AttrID"] for row in second}
    assert min(row["AttrID"] for row in first) == 1000
    kept = [
        numbers.get((row["Name"], row["Source"], row["Unit"]), row["AttrID"]) == row["AttrID"]
        for row in first
    ]
    assert all(kept)
    assert len(numbers) > len(first)


def test_numbers_for_ids_lead_back_to_pseudonyms(hospital: DuckDbWarehouse) -> None:
    found = exported(hospital, Eav(numbers=True)).tables
    plain = exported(hospital, Eav()).tables["eav"]

    keys = {str(row["Key"]): row["Pseudonym"] for row in found["eav_key"]}
    assert [keys[row["PID"]] for row in found["eav"]] == [row["PID"] for row in plain]
    assert [keys.get(row["DocID"]) for row in found["eav"]] == [row["DocID"] for row in plain]


@pytest.mark.parametrize("weight", [1, 10**9])
def test_how_the_patients_are_cut_changes_nothing(hospital: DuckDbWarehouse, weight: int) -> None:
    cut = exported(hospital, Eav(), weight=weight).tables["eav"]
    usual = exported(hospital, Eav()).tables["eav"]

    def without_number(rows: list[dict[str, object]]) -> set[tuple[object, ...]]:
        return {tuple(v for k, v in row.items() if k != "AttrID") for row in rows}

    assert without_number(cut) == without_number(usual)


def with_whole_header() -> list[Batch]:
    """Return a study whose extended header repeats typed columns, one of them with another value."""
    rows = small_study(images=1)
    rows["series"] = [{**rows["series"][0], "Manufacturer": "ACME"}]
    image = {k: v for k, v in rows["instance"][0].items() if k not in {"InstanceNumber", "scope"}}
    whole: dict[str, list[Row]] = {
        **rows,
        "instance": [{**rows["instance"][0], "scope": "extended", "Rows": 512}],
    }
    texts = (
        ("00080060", "Modality", "CT"),
        ("00080070", "Manufacturer", "Acme Inc."),
        ("00081030", "StudyDescription", "CT"),
    )
    header: list[Row] = [
        {**image, "path": path, "keyword": keyword, "vr": "LO", "item": 0, "text": text}
        for path, keyword, text in texts
    ]
    header.append(
        {**image, "path": "00180050", "keyword": "SliceThickness", "vr": "DS", "item": 0, "number": 2.0}
    )
    whole["header"] = header
    return [batch(rows), batch(whole, "b2", "extended")]


@pytest.mark.parametrize("promoted", [False, True])
def test_a_typed_column_goes_before_the_header_it_came_from(promoted: bool) -> None:
    with filled(with_whole_header()) as warehouse:
        if promoted:
            for level in ("study", "series", "instance"):
                warehouse._database.execute(f'ALTER TABLE {level} ADD COLUMN "SliceThickness" DOUBLE')
                warehouse._database.execute(f'UPDATE {level} SET "SliceThickness" = 2.0')  # noqa: S608 - a level
        facts = exported(warehouse, I2b2()).tables["observation_fact"]
        found = exported(warehouse, Omop()).tables["measurement"]
        eav = values(warehouse)

    modifiers = Counter(row["modifier_cd"] for row in facts)
    stated = {row["modifier_cd"]: row["nval_num"] or row["tval_char"] for row in facts}
    assert set(modifiers.values()) == {1}
    assert stated["DICOM:Manufacturer"] == "ACME"
    assert stated["DICOM:StudyDescription"] == "CT Thorax nativ"
    assert stated["DICOM:SliceThickness"] == 2.0
    parameters = {row["measurement_source_value"]: row["value_source_value"] for row in found}
    assert parameters["SliceThickness"] == "2"
    assert {value for name, value, _ in eav if name == "SliceThickness"} == {"2"}
