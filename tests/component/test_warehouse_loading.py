"""What a load does to the rows: merged, linked, flagged, never lost."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from p2d.model.errors import InvalidRequest, Misconfigured, Unavailable
from p2d.testing.warehouse_rows import (
    Row,
    accession_psn,
    batch,
    case_psn,
    patient_psn,
    small_study,
    uid,
)
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.parse import parse

P1: Row = {"patient": patient_psn(1)}


@pytest.fixture
def warehouse() -> Iterator[DuckDbWarehouse]:
    made = DuckDbWarehouse(None)
    yield made
    made.close()


def select(warehouse: DuckDbWarehouse, statement: str) -> list[tuple[Any, ...]]:
    with warehouse._cursor() as cursor:
        return cursor.execute(statement).fetchall()


def study_with(**columns: object) -> dict[str, list[Row]]:
    rows = small_study()
    rows["study"][0] = {**rows["study"][0], **columns}
    return rows


def link(warehouse: DuckDbWarehouse) -> tuple[str | None, str]:
    (study,) = warehouse.studies_of(patient_psn(1))
    return study.case, study.link_method


def case(number: int, start: date, end: date | None = None) -> Row:
    return {**P1, "case": case_psn(number), "start": start, "end": end}


def report(number: int, of_case: int | None, accession: int) -> Row:
    found = {**P1, "document": uid(9000 + number), "kind": "report", "accession": accession_psn(accession)}
    return {**found, "case": case_psn(of_case)} if of_case else found


def test_the_same_content_under_a_new_id_adds_no_row(warehouse: DuckDbWarehouse) -> None:
    rows = {**study_with(flags="uid_mismatch"), "patient": [P1]}
    warehouse.load(batch(rows))
    before = warehouse.counts()

    warehouse.load(batch(rows, "b2", run_id="r2"))

    assert warehouse.counts() == {**before, "receipt": 2}


def test_extended_fills_what_basic_left_empty_and_blanks_nothing(warehouse: DuckDbWarehouse) -> None:
    warehouse.load(batch(small_study(), "basic", "basic", "run-b"))
    rows = small_study()
    rows["series"][0] = {**rows["series"][0], "Modality": None, "Manufacturer": "ACME", "SeriesNumber": 99}
    rows["instance"] = [{**row, "scope": "extended", "Rows": 512} for row in rows["instance"][:1]]

    warehouse.load(batch(rows, "extended", "extended", "run-e"))

    assert select(
        warehouse,
        'SELECT "Modality", "SeriesNumber", "Manufacturer", basic_run, extended_run, '
        "extended_scope FROM series",
    ) == [("CT", 1, "ACME", "run-b", "run-e", "part")]
    assert select(warehouse, 'SELECT basic_run, extended_run, "Rows" FROM instance ORDER BY instance') == [
        ("run-b", "run-e", 512),
        ("run-b", None, None),
    ]


def test_basic_after_extended_keeps_the_extended_values(warehouse: DuckDbWarehouse) -> None:
    rows = small_study()
    rows["series"][0] = {**rows["series"][0], "Manufacturer": "ACME"}
    rows["instance"] = [{**row, "scope": "extended"} for row in rows["instance"]]
    warehouse.load(batch(rows, "extended", "extended", "run-e"))

    warehouse.load(batch(small_study(), "basic", "basic", "run-b"))

    assert select(warehouse, 'SELECT "Manufacturer", basic_run, extended_scope FROM series') == [
        ("ACME", "run-b", "all")
    ]


def test_extended_headers_are_merged_by_element_and_value(warehouse: DuckDbWarehouse) -> None:
    rows = small_study(images=1)
    element = {**rows["instance"][0], "path": "00180060", "keyword": "KVP", "vr": "DS", "item": 0}
    header = {k: v for k, v in element.items() if k not in {"InstanceNumber", "scope"}}
    warehouse.load(batch({**rows, "header": [{**header, "number": 100.0}]}, "e1", "extended"))

    warehouse.load(batch({**rows, "header": [{**header, "number": 120.0}]}, "e2", "extended"))

    assert select(warehouse, 'SELECT "number" FROM header') == [(120.0,)]


def test_flags_stay_on_the_row_and_become_one_issue(warehouse: DuckDbWarehouse) -> None:
    warehouse.load(batch(study_with(flags="uid_mismatch")))
    warehouse.load(batch(study_with(flags="count_mismatch"), "b2"))

    assert select(warehouse, "SELECT flags FROM study") == [("count_mismatch uid_mismatch",)]
    assert select(warehouse, 'SELECT kind, "level" FROM issue ORDER BY kind') == [
        ("count_mismatch", "study"),
        ("uid_mismatch", "study"),
    ]


def test_a_study_under_two_patients_is_kept_twice_and_flagged(warehouse: DuckDbWarehouse) -> None:
    warehouse.load(batch(small_study(1)))
    warehouse.load(batch(small_study(2), "b2"))

    assert select(warehouse, "SELECT flags FROM study") == [("study_under_other_patient",)] * 2
    assert warehouse.counts()["issue"] == 2
    assert warehouse.counts()["series"] == 2


def test_a_missing_parent_refuses_the_whole_batch(warehouse: DuckDbWarehouse) -> None:
    fact: Row = {**P1, "attribute": "LVEF", "number": 30.0, "document": uid(1)}

    with pytest.raises(InvalidRequest, match="neither in this batch nor in the warehouse"):
        warehouse.load(batch({"patient": [P1], "fact": [fact]}, source="clinical"))

    assert set(warehouse.counts().values()) == {0}


def test_case_comes_by_accession_before_admission_and_time(warehouse: DuckDbWarehouse) -> None:
    day = date(2020, 1, 5)
    cases = [
        case(1, date(2020, 1, 1), date(2020, 1, 9)),
        case(2, date(2019, 1, 1), date(2019, 1, 9)),
        case(3, day),
    ]
    warehouse.load(batch({"patient": [P1], "case": cases}, "c", "clinical"))

    warehouse.load(batch(study_with(StudyDate=date(2019, 1, 5)), "b1"))
    assert link(warehouse) == (case_psn(2), "time")

    warehouse.load(batch(study_with(case=case_psn(3), accession=accession_psn(1)), "b2"))
    assert link(warehouse) == (case_psn(3), "admission")

    warehouse.load(batch({"document": [report(1, 1, 1)]}, "d", "clinical"))
    assert link(warehouse) == (case_psn(1), "accession")


def test_a_date_within_two_stays_links_to_none(warehouse: DuckDbWarehouse) -> None:
    cases = [case(1, date(2020, 1, 1), date(2020, 1, 9)), case(2, date(2020, 1, 2), None)]
    warehouse.load(batch({"patient": [P1], "case": cases}, "c", "clinical"))

    warehouse.load(batch(study_with(StudyDate=date(2020, 1, 5))))

    assert link(warehouse) == (None, "none")


def test_studies_and_reports_meet_by_accession_several_each_way(warehouse: DuckDbWarehouse) -> None:
    one, two = small_study(1, 100), small_study(1, 200)
    for rows in (one, two):
        rows["study"][0] = {**rows["study"][0], "accession": accession_psn(1)}
    reports = [report(1, None, 1), report(2, None, 1)]
    warehouse.load(batch({"patient": [P1], "document": reports}, "d", "clinical"))

    warehouse.load(batch({name: [*one[name], *two[name]] for name in one}))

    assert [study.reports for study in warehouse.studies_of(patient_psn(1))] == [(uid(9001), uid(9002))] * 2


def test_the_accession_of_another_patient_links_nothing_but_is_an_issue(warehouse: DuckDbWarehouse) -> None:
    document = {**report(1, None, 1), "patient": patient_psn(2)}
    people = [{"patient": patient_psn(2)}]
    warehouse.load(batch({"patient": people, "document": [document]}, "d", "clinical"))

    warehouse.load(batch(study_with(accession=accession_psn(1))))

    assert warehouse.studies_of(patient_psn(1))[0].reports == ()
    assert select(warehouse, "SELECT kind FROM issue") == [("accession_other_patient",)]


def test_extracted_without_images_is_known_from_never_extracted(warehouse: DuckDbWarehouse) -> None:
    people = [{"patient": patient_psn(n)} for n in (1, 2, 3)]
    warehouse.load(batch({"patient": people}, "c", "clinical"))

    warehouse.load(batch({"patient": people[:2]}, "b", "basic"))

    assert select(warehouse, "SELECT count(*) FROM coverage WHERE source = 'basic'") == [(2,)]


def test_a_file_open_elsewhere_is_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_bytes(b"not a database at all" * 100)

    with pytest.raises(Misconfigured, match="cannot be opened"):
        DuckDbWarehouse(tmp_path / "w.duckdb")


def test_a_database_that_is_no_warehouse_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as other:
        other.execute("CREATE TABLE recipes (name VARCHAR)")

    with pytest.raises(Misconfigured, match="not a warehouse"):
        DuckDbWarehouse(tmp_path / "w.duckdb")


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    first = DuckDbWarehouse(tmp_path / "w.duckdb")
    receipt = first.load(batch(small_study()))
    first.close()

    second = DuckDbWarehouse(tmp_path / "w.duckdb")

    assert second.receipt("b1") == receipt
    assert second.counts()["instance"] == 2
    second.close()


def test_a_query_beyond_its_time_is_interrupted() -> None:
    warehouse = DuckDbWarehouse(None, query_seconds=0.0)
    letters = [
        {**P1, "document": uid(n + 1), "kind": "letter", "text": "abc NYHAI" * 400} for n in range(500)
    ]
    warehouse.load(batch({"patient": [P1], "document": letters}, "d", "clinical"))
    slow = [{"document": "letter", "regex": f"(a|b|c| ){{3,20}}N.*YHA{n}"} for n in range(40)]

    with pytest.raises(Unavailable, match="took longer"):
        warehouse.count(parse({"version": 1, "where": {"any": slow}}))

    warehouse.close()


def test_archives_of_studies_and_instances_are_kept_beside_them_each_once(warehouse: DuckDbWarehouse) -> None:
    rows = study_with(archive="old new")
    first, second = rows["instance"]
    rows["instance"] = [{**first, "archives": "old new"}, {**second, "archives": "new"}]
    warehouse.load(batch(rows))
    rows["instance"] = [{**first, "archives": "new far"}, second]
    warehouse.load(batch(rows, "b2"))

    studies = select(warehouse, "SELECT archive FROM study_archive ORDER BY archive")
    instances = select(
        warehouse,
        "SELECT instance, archive FROM instance_archive JOIN instance USING (instance_key) ORDER BY ALL",
    )
    assert studies == [("new",), ("old",)]
    assert instances == [(uid(102), "far"), (uid(102), "new"), (uid(102), "old"), (uid(103), "new")]
    assert select(warehouse, "SELECT count(*) FROM instance") == [(2,)]


@pytest.mark.parametrize("names", ["Old", "old  new", "old;new", " old", "old "])
def test_what_names_no_archive_is_refused(warehouse: DuckDbWarehouse, names: str) -> None:
    rows = small_study()
    rows["instance"] = [{**one, "archives": names} for one in rows["instance"]]

    for wrong in (study_with(archive=names), rows):
        with pytest.raises(InvalidRequest, match="archive"):
            warehouse.load(batch(wrong))


def presence(state: str, study: int = 100, archive: str = "main") -> dict[str, list[Row]]:
    return {"presence": [{**P1, "study": uid(study), "archive": archive, "state": state}]}


def test_a_study_that_an_archive_does_not_list_any_more_is_marked_and_nothing_of_it_deleted(
    warehouse: DuckDbWarehouse,
) -> None:
    warehouse.load(batch(small_study()))
    before = warehouse.counts()

    receipt = warehouse.load(batch(presence("gone"), "g1", "sync"))
    first = select(warehouse, "SELECT noticed_at FROM archive_gone")
    warehouse.load(batch(presence("gone"), "g2", "sync"))

    assert dict(receipt.rows) == {"presence": 1}
    assert select(warehouse, "SELECT noticed_at FROM archive_gone") == first
    assert warehouse.counts() == {**before, "receipt": 3}
    assert [one.gone_from for one in warehouse.studies_of(patient_psn(1))] == [("main",)]


def test_a_study_that_is_there_again_is_unmarked_in_that_archive_alone(warehouse: DuckDbWarehouse) -> None:
    warehouse.load(batch(small_study()))
    warehouse.load(batch(presence("gone"), "g1", "sync"))
    warehouse.load(batch(presence("gone", archive="old"), "g2", "sync"))

    warehouse.load(batch(presence("present"), "g3", "sync"))

    assert [one.gone_from for one in warehouse.studies_of(patient_psn(1))] == [("old",)]


def test_the_presence_of_a_study_that_is_not_here_changes_nothing(warehouse: DuckDbWarehouse) -> None:
    assert dict(warehouse.load(batch(presence("gone", 700), "g1", "sync")).rows) == {"presence": 1}
    assert select(warehouse, "SELECT count(*) FROM archive_gone") == [(0,)]
