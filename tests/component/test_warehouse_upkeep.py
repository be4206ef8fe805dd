"""Promotion, order, catalogue, consistency and erasure of a loaded warehouse."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import errors

from p2d.model.errors import InvalidRequest
from p2d.testing.postgres import Postgres
from p2d.testing.warehouse_database import warehouse_database
from p2d.testing.warehouse_rows import Row, accession_psn, batch, case_psn, patient_psn, small_study, uid
from p2d.warehouse.catalogue.labels import read_labels
from p2d.warehouse.catalogue.tree import detail, search, tree
from p2d.warehouse.duckdb.arranging import ORDERS
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.port import ResearchWarehouse
from p2d.warehouse.upkeep.upkeep import Upkeep


@pytest.fixture
def duckdb() -> Iterator[DuckDbWarehouse]:
    made = DuckDbWarehouse(None)
    yield made
    made.close()


@pytest.fixture(params=["duckdb", pytest.param("postgresql", marks=pytest.mark.system)])
def warehouse(request: pytest.FixtureRequest) -> Iterator[ResearchWarehouse]:
    """Yield an empty warehouse of each engine that is loaded."""
    if request.param == "duckdb":
        yield request.getfixturevalue("duckdb")
        return
    made = warehouse_database(request.getfixturevalue("postgres_server")).open()
    yield made
    made.close()


@pytest.fixture
def upkeep(warehouse: ResearchWarehouse) -> Upkeep:
    return Upkeep(warehouse)


def select(warehouse: ResearchWarehouse, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.inspecting() as session:
        return session.rows(statement)


def header(image: int, path: str, keyword: str, vr: str, item: int = 0, **value: object) -> Row:
    keys = {"patient": patient_psn(1), "study": uid(100), "series": uid(101), "instance": uid(102 + image)}
    return {**keys, "path": path, "keyword": keyword, "vr": vr, "item": item, **value}


def thickness(image: int, number: float) -> Row:
    return header(image, "00180050", "SliceThickness", "DS", number=number, text=str(number))


def load_images(warehouse: ResearchWarehouse, headers: list[Row], batch_id: str = "b1") -> None:
    warehouse.load(batch({**small_study(), "header": headers}, batch_id, "extended"))


def clinical(number: int) -> dict[str, list[Row]]:
    keys = {"patient": patient_psn(number)}
    case = {**keys, "case": case_psn(number)}
    document = {**case, "document": uid(1000 + number)}
    day = date(2020, 1, number)
    return {
        "patient": [{**keys, "sex": "F", "birth_year": 1950 + number}],
        "case": [{**case, "start": day}],
        "document": [
            {
                **document,
                "kind": "radiology_report",
                "date": day,
                "accession": accession_psn(number),
                "text": "Kein Erguss.",
            }
        ],
        "fact": [
            {**document, "attribute": "LVEF", "number": 30.0 + number, "unit": "%", "date": day},
            {**document, "attribute": "ICD10", "code": "I50.1", "date": day},
        ],
    }


def load_everything(warehouse: ResearchWarehouse, patients: int = 6) -> None:
    for number in range(patients, 0, -1):
        warehouse.load(batch(clinical(number), f"c{number}", "clinical"))
        rows = small_study(number, 100 * number)
        rows["study"][0] = {**rows["study"][0], "accession": accession_psn(number)}
        warehouse.load(batch(rows, f"i{number}"))


def test_a_promoted_attribute_is_filled_from_what_was_loaded(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_images(warehouse, [thickness(0, 1.5), thickness(1, 1.5)])

    (done,) = upkeep.promote([("SliceThickness", "series")])

    assert (done.type, done.filled, done.differing, done.unfit) == ("number", 1, 0, 0)
    assert select(warehouse, 'SELECT "SliceThickness" FROM series') == [(1.5,)]
    assert upkeep.promotions()["series"] == {"SliceThickness": "number"}


def test_later_loads_keep_a_promoted_column(warehouse: ResearchWarehouse, upkeep: Upkeep) -> None:
    upkeep.promote([("SliceThickness", "series")])

    load_images(warehouse, [thickness(0, 3.0)])

    assert select(warehouse, 'SELECT "SliceThickness" FROM series') == [(3.0,)]


def test_instances_that_differ_leave_the_series_column_empty_and_are_reported(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_images(warehouse, [thickness(0, 1.0), thickness(1, 5.0)])

    (done,) = upkeep.promote([("SliceThickness", "series")])

    assert (done.filled, done.differing) == (0, 1)
    assert select(warehouse, 'SELECT "SliceThickness" FROM series') == [(None,)]


def test_a_value_of_another_type_is_reported_and_stays_in_the_headers(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_images(warehouse, [header(0, "00180050", "SliceThickness", "DS", text="thin")])

    (done,) = upkeep.promote([("SliceThickness", "instance")])

    assert (done.filled, done.unfit) == (0, 1)
    assert select(warehouse, 'SELECT "text" FROM header') == [("thin",)]


def test_several_values_are_joined_by_a_backslash(warehouse: ResearchWarehouse, upkeep: Upkeep) -> None:
    values = [header(0, "00080008", "ImageType", "CS", n, text=text) for n, text in enumerate(["B", "A"])]
    load_images(warehouse, values)

    upkeep.promote([("ImageType", "instance")])

    assert select(warehouse, 'SELECT "ImageType" FROM instance WHERE "ImageType" IS NOT NULL') == [("B\\A",)]


def test_demoting_keeps_the_values_in_the_headers(warehouse: ResearchWarehouse, upkeep: Upkeep) -> None:
    load_images(warehouse, [thickness(0, 1.5)])
    upkeep.promote([("SliceThickness", "series")])

    upkeep.demote("SliceThickness")

    assert upkeep.promotions()["series"] == {}
    assert select(warehouse, "SELECT count(*) FROM header") == [(1,)]
    with pytest.raises(InvalidRequest, match="not promoted"):
        upkeep.demote("SliceThickness")


@pytest.mark.parametrize(
    ("keyword", "level"),
    [
        ("NoSuchThing", "series"),
        ("SliceThickness", "patient"),
        ("Modality", "series"),
        ('x" FROM patient; --', "series"),
        ("ContentSequence", "instance"),
    ],
)
def test_what_cannot_be_a_column_is_refused(upkeep: Upkeep, keyword: str, level: str) -> None:
    with pytest.raises(InvalidRequest):
        upkeep.promote([("KVP", "series"), (keyword, level)])

    assert upkeep.promotions()["series"] == {}


def test_arranging_sorts_every_table_and_changes_no_row(duckdb: DuckDbWarehouse) -> None:
    warehouse, upkeep = duckdb, Upkeep(duckdb)
    load_everything(warehouse)
    upkeep.promote([("KVP", "series")])
    before = {table: sorted(select(warehouse, f"SELECT * FROM {table}"), key=str) for table in ORDERS}  # noqa: S608 - names of ORDERS

    first, second = upkeep.arrange(), upkeep.arrange()

    assert first["fact"]
    assert not any(second.values())
    assert before == {table: sorted(select(warehouse, f"SELECT * FROM {table}"), key=str) for table in ORDERS}  # noqa: S608 - as above
    assert upkeep.inconsistencies() == {}
    warehouse.load(batch(clinical(9), "c9", "clinical"))


def test_a_loaded_warehouse_is_consistent_and_what_is_broken_is_named(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_everything(warehouse)
    whole = upkeep.inconsistencies()

    with warehouse.tending() as session:
        session.rows("DELETE FROM series WHERE patient_key = (SELECT min(patient_key) FROM patient)")
        session.rows("DELETE FROM study_document")
        session.rows("UPDATE fact SET fact_key = (SELECT min(fact_key) FROM fact) WHERE code IS NOT NULL")
        session.rows("DELETE FROM receipt WHERE batch_id = 'c1'")

    assert whole == {}
    assert upkeep.inconsistencies() == {
        "instance.series_key leads to a row of series": 2,
        "every report with a study's accession number is linked to it": 6,
        "(fact_key) is unique in fact": 1,
        "receipts account for the rows of clinical_case": 1,
        "receipts account for the rows of document": 1,
        "receipts account for the rows of fact": 2,
    }


def test_erasing_a_patient_leaves_no_row_of_theirs_and_all_of_the_others(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_everything(warehouse, 3)
    with warehouse.tending() as session:
        for number in (1, 2):
            session.rows("INSERT INTO cohort_member VALUES ('a', 'b', $patient)", patient=patient_psn(number))
    before = warehouse.counts()

    gone = upkeep.erase([patient_psn(1)])

    assert {name: gone[name] for name in ("patient", "fact", "series", "instance", "cohort_member")} == {
        "patient": 1,
        "fact": 2,
        "series": 1,
        "instance": 2,
        "cohort_member": 1,
    }
    assert warehouse.counts()["fact"] == before["fact"] - 2
    assert upkeep.inconsistencies() == {}
    assert not any(patient_psn(1) in str(row) for row in everything(warehouse))
    assert any(patient_psn(2) in str(row) for row in everything(warehouse))


def everything(warehouse: ResearchWarehouse) -> list[tuple[Any, ...]]:
    listed = "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('main', 'warehouse')"
    tables = [name for (name,) in select(warehouse, listed)]
    return [row for table in tables for row in select(warehouse, f"SELECT * FROM {table}")]  # noqa: S608 - the schema's names


def test_what_is_no_pseudonym_is_not_erased(upkeep: Upkeep) -> None:
    with pytest.raises(InvalidRequest, match="no pseudonyms"):
        upkeep.erase(["0004711"])


def test_the_catalogue_counts_what_was_loaded_and_follows_later_loads(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_everything(warehouse)
    first = {(e.kind, e.name): e for e in upkeep.entries()}

    warehouse.load(batch(clinical(7), "c7", "clinical"))
    second = {(e.kind, e.name): e for e in upkeep.entries()}

    lvef = first["fact", "LVEF"]
    assert (lvef.facts, lvef.patients, lvef.first, lvef.last) == (6, 6, date(2020, 1, 1), date(2020, 1, 6))
    (numbers,) = lvef.numbers
    assert (numbers.unit, numbers.minimum, numbers.median, numbers.maximum) == ("%", 31.0, 33.5, 36.0)
    assert [(v.value, v.facts) for v in first["fact", "ICD10"].values] == [("I50.1", 6)]
    assert first["column", "Modality"].values[0].value == "CT"
    assert second["fact", "LVEF"].facts == 7
    assert first["column", "Modality"] == second["column", "Modality"]


def test_a_refresh_of_everything_says_what_counting_by_load_said(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_everything(warehouse)
    nested = header(0, "00081115[0].0020000E", "SeriesInstanceUID", "UI", text=uid(1))
    load_images(warehouse, [thickness(0, 1.5), nested], "h")
    by_load = upkeep.entries()

    upkeep.refresh(everything=True)

    assert upkeep.entries() == by_load


def test_the_tree_has_names_in_both_languages_and_is_searched_by_synonyms(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_everything(warehouse)
    load_images(warehouse, [thickness(0, 1.5)], "h")
    labels, entries = read_labels(), upkeep.entries()

    by_synonym, by_title = (
        [found["name"] for found in search(labels, entries, word)]
        for word in ("pumpfunktion", "Schichtdicke")
    )
    top = tree(labels, entries)

    assert (by_synonym, by_title) == (["LVEF"], ["SliceThickness"])
    assert [(node["german"], node["english"]) for node in top] == [
        ("Person", "Person"),
        ("Klinische Angaben", "Clinical facts"),
        ("Dokumente", "Documents"),
        ("Bildgebung", "Imaging"),
    ]
    (thick,) = (e for e in entries if e.name == "SliceThickness")
    assert detail(labels, thick)["dicom"]["tag"] == "(0018,0050)"


def test_what_few_patients_share_is_counted_but_not_shown(
    warehouse: ResearchWarehouse, upkeep: Upkeep
) -> None:
    load_everything(warehouse, 4)

    (lvef,) = (e for e in upkeep.entries() if e.name == "LVEF")
    shown = detail(read_labels(), lvef)

    assert shown["facts"] == 4
    assert (shown["numbers"], shown["values"], shown["first"]) == ([], [], None)


def test_branches_hold_the_attributes_below_them() -> None:
    members = read_labels().members([("fact", "LVEF"), ("fact", "CRP"), ("fact", "NEW"), ("document", "x")])

    assert members["laboratory"] == {"CRP"}
    assert members["clinical"] == {"LVEF", "CRP", "NEW"}


@pytest.mark.system
def test_postgresql_has_no_order_to_bring_its_tables_in(postgres_server: Postgres) -> None:
    made = warehouse_database(postgres_server).open()

    assert Upkeep(made).arrange() == {}
    made.close()


@pytest.mark.system
def test_the_catalogue_is_the_same_on_both_engines(
    postgres_server: Postgres, duckdb: DuckDbWarehouse
) -> None:
    other = warehouse_database(postgres_server).open()
    for one in (duckdb, other):
        load_everything(one)
        load_images(one, [thickness(0, 1.5), header(0, "00081115[0].0020000E", "X", "UI", text=uid(1))], "h")

    assert Upkeep(other).entries() == Upkeep(duckdb).entries()
    other.close()


@pytest.mark.system
def test_only_the_loader_promotes_and_only_what_promotion_names(postgres_server: Postgres) -> None:
    database = warehouse_database(postgres_server)
    promote = "SELECT warehouse.promote_column('series', 'SliceThickness', 'number')"
    with psycopg.connect(database.logins.reader) as reader, pytest.raises(errors.InsufficientPrivilege):
        reader.execute(promote)
    with psycopg.connect(database.logins.loader, autocommit=True) as loader:
        loader.execute(promote)
        for call in (
            "promote_column('patient', 'KVP', 'number')",
            "promote_column('series', 'x\" text; --', 'number')",
            "promote_column('series', 'KVP', 'bytea')",
            "demote_column('series', 'Modality')",
        ):
            with pytest.raises(errors.InvalidParameterValue):
                loader.execute(f"SELECT warehouse.{call}")
