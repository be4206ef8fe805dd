"""P2D's own CSV: what fits goes in, the rest is set aside by file, row and field."""

from pathlib import Path

import pytest

from p2d.clinical.native import COLUMNS, MORE, NativeSource
from p2d.model.errors import InvalidRequest
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.warehouse_rows import accession_psn, case_psn, patient_psn, uid
from p2d.warehouse.batch import SCHEMAS
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.intake import Intake

P1, P2, C1 = patient_psn(1), patient_psn(2), case_psn(1)
GOOD = {
    "patient": [f"{P1},F,1950", f"{P2},,"],
    "case": [f"{P1},{C1},2020-01-01,2020-01-09,inpatient"],
    "document": [f'{P1},{C1},{uid(1)},discharge_letter,2020-01-09,,"NYHA III,\nstabil"'],
    "fact": [f"{P1},{C1},{uid(1)},,LVEF,2020-01-02,35.5,,,%", f"{P1},,,,ICD10,2020-01-02,,I50.1,,"],
}


def write(folder: Path, rows: dict[str, list[str]]) -> Path:
    for name, columns in COLUMNS.items():
        lines = [",".join(columns), *rows.get(name, [])]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def intake(folder: Path) -> Intake:
    return Intake(NativeSource(folder))


def test_the_columns_are_those_of_the_batch() -> None:
    assert {table: {*COLUMNS[table], *MORE.get(table, ())} for table in COLUMNS} == {
        table: set(SCHEMAS[table].names) for table in COLUMNS
    }


def test_a_folder_becomes_batches_in_order_of_their_parents(tmp_path: Path) -> None:
    clinical = intake(write(tmp_path, GOOD))

    batches = list(clinical.batches)

    assert [next(iter(batch.tables)) for batch in batches] == ["patient", "case", "document", "fact"]
    assert batches[2].tables["document"].to_pylist()[0]["text"] == "NYHA III,\nstabil"
    assert clinical.set_aside == []


def test_loading_a_folder_twice_changes_nothing(tmp_path: Path) -> None:
    warehouse = DuckDbWarehouse(None)
    clinical = intake(write(tmp_path, GOOD))
    first = [warehouse.load(batch) for batch in clinical.batches]
    before = warehouse.counts()

    again = [warehouse.load(batch) for batch in clinical.batches]

    assert again == first
    assert warehouse.counts() == before
    warehouse.close()


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [
        ("patient", "Mustermann,F,1950", "patient"),
        ("patient", f"{patient_psn(3)},F,19xx", "birth_year"),
        ("patient", f"{P1},M,1950", "patient"),
        ("case", f"{P1},4711,2020-01-01,,", "case"),
        ("case", f"{P1},{case_psn(2)},01.01.2020,,", "start"),
        ("case", f"{P1},{case_psn(2)},2020-02-01,2020-01-01,", "end"),
        ("case", f"{patient_psn(9)},{case_psn(2)},2020-02-01,,", "patient"),
        ("document", f"{P1},{case_psn(7)},{uid(5)},letter,2020-01-01,,x", "case"),
        ("document", f"{P1},,{uid(5)},letter,2020-01-01,RX4711,x", "accession"),
        ("fact", f"{P1},,,,LVEF,2020-01-01,n/a,,,", "number"),
        ("fact", f"{P1},,,,LVEF,2020-01-01,nan,,,", "number"),
        ("fact", f"{P1},,{uid(77)},,LVEF,2020-01-01,4,,,", "document"),
        ("fact", f"{P1},,,,,2020-01-01,4,,,", "attribute"),
    ],
)
def test_a_bad_row_is_set_aside_and_the_rest_goes_in(
    tmp_path: Path, name: str, row: str, column: str
) -> None:
    rows = {**GOOD, name: [*GOOD[name], row]}
    warehouse = MemoryWarehouse()
    clinical = intake(write(tmp_path, rows))

    for batch in clinical.batches:
        warehouse.load(batch)

    place = (f"{name}.csv", len(GOOD[name]) + 1, column)
    assert [(e.file, e.row, e.field) for e in clinical.set_aside] == [place]
    assert {table: len(warehouse.rows(table)) for table in COLUMNS} == {t: len(r) for t, r in GOOD.items()}
    assert "4711" not in repr(clinical.set_aside)


@pytest.mark.parametrize("header", ["patient,sex", "patient,sex,birth_year,name", "patient,sex,sex"])
def test_other_columns_are_refused(tmp_path: Path, header: str) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "patient.csv").write_text(header + "\n", encoding="utf-8")

    with pytest.raises(InvalidRequest, match=r"patient\.csv line 1"):
        intake(tmp_path)


def test_a_missing_file_is_named_with_its_columns(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "fact.csv").unlink()

    with pytest.raises(InvalidRequest, match=r"fact\.csv.*header: patient,case"):
        intake(tmp_path)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b'patient,sex,birth_year\n"open', b"patient,sex,birth_year\nx\n"]
)
def test_what_is_no_csv_in_utf8_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "patient.csv").write_bytes(content)

    with pytest.raises(InvalidRequest, match=r"patient\.csv"):
        list(intake(tmp_path).batches)


def test_accessions_and_columns_in_another_order_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"patient": [f"{P1},F,1950"]})
    (tmp_path / "document.csv").write_text(
        f"text,accession,date,kind,document,case,patient\nx,{accession_psn(1)},2020-01-01,report,{uid(4)},,{P1}\n",
        encoding="utf-8",
    )

    *_, documents = intake(tmp_path).batches

    assert documents.tables["document"].to_pylist()[0]["accession"] == accession_psn(1)
