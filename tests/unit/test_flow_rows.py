"""Released headers as rows: typed where they fit, marked where they do not, nothing dropped."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2d.dicom.dictionary import tag_of
from p2d.flows.gateway.rows import tables_of
from p2d.model.header import Element
from p2d.model.ids import Pseudonym
from p2d.model.level import Level, Scope
from p2d.model.released import ReleasedHeader
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.warehouse_rows import accession_psn, case_psn, patient_psn
from p2d.warehouse.batch import SCHEMAS, Batch

VRS = {
    "StudyDate": "DA",
    "InstanceNumber": "IS",
    "Rows": "US",
    "NumberOfFrames": "IS",
    "SeriesNumber": "IS",
    "AccessionNumber": "SH",
    "AdmissionID": "LO",
    "SliceThickness": "DS",
}


def header(instance: int = 3, /, *, flags: tuple[str, ...] = (), **values: Any) -> ReleasedHeader:
    """Return a released header of study 1, series 2; *values* by keyword."""
    elements = {}
    for keyword, value in values.items():
        several = value if isinstance(value, tuple) else (value,)
        path = tag_of(keyword)
        elements[path] = Element(path, VRS.get(keyword, "LO"), several)
    return ReleasedHeader(
        Level.INSTANCE,
        Pseudonym(patient_psn(1)),
        "2.25.1",
        "2.25.2",
        f"2.25.{instance}",
        elements,
        flags,
    )


def rows(table: str, *headers: ReleasedHeader, scope: Scope = Scope.BASIC) -> list[dict[str, object]]:
    extended = headers if scope is Scope.EXTENDED else ()
    found: list[dict[str, object]] = tables_of("main", headers, extended, scope)[table].to_pylist()
    return found


def test_rows_name_the_archives_that_hold_what_they_describe() -> None:
    images = [replace(header(3), archives=("old", "new")), replace(header(4), archives=("new", "far"))]

    (study,) = rows("study", *images)

    assert study["archive"] == "old new far"
    assert [row["archives"] for row in rows("instance", *images)] == ["old new", "new far"]
    assert (rows("study", header())[0]["archive"], rows("instance", header())[0]["archives"]) == (
        "main",
        None,
    )


def test_each_level_has_one_row_an_entity_with_typed_columns() -> None:
    images = [
        header(
            n,
            StudyDate="20200304",
            StudyDescription="CT head",
            AccessionNumber=accession_psn(1),
            AdmissionID=case_psn(1),
            Modality="CT",
            SeriesNumber=4,
            InstanceNumber=n,
            Rows=512,
        )
        for n in (3, 4)
    ]

    (study,), (series,), instances = (rows(name, *images) for name in ("study", "series", "instance"))

    assert study["StudyDate"] == date(2020, 3, 4)
    assert (study["archive"], study["accession"], study["case"]) == ("main", accession_psn(1), case_psn(1))
    assert (series["Modality"], series["SeriesNumber"]) == ("CT", 4)
    assert [(row["instance"], row["InstanceNumber"], row["Rows"]) for row in instances] == [
        ("2.25.3", 3, 512),
        ("2.25.4", 4, 512),
    ]


def test_basic_scope_has_no_header_table_and_extended_has_one_row_a_value() -> None:
    image = header(SliceThickness=1.5, StudyDate="20200304", ImageType=("ORIGINAL", "PRIMARY"))

    values = rows("header", image, scope=Scope.EXTENDED)

    assert "header" not in tables_of("main", [image], [], Scope.BASIC)
    assert [(row["keyword"], row["item"], row["number"], row["date"], row["text"]) for row in values] == [
        ("SliceThickness", 0, 1.5, None, "1.5"),
        ("StudyDate", 0, None, date(2020, 3, 4), "20200304"),
        ("ImageType", 0, None, None, "ORIGINAL"),
        ("ImageType", 1, None, None, "PRIMARY"),
    ]


def test_an_element_without_value_is_a_row_without_value() -> None:
    empty = header()
    path = tag_of("SeriesDescription")
    empty.elements[path] = Element(path, "LO", ())  # type: ignore[index]  # a dictionary underneath

    (row,) = rows("header", empty, scope=Scope.EXTENDED)

    assert (row["keyword"], row["number"], row["date"], row["text"]) == (
        "SeriesDescription",
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("keyword", "value", "table"),
    [
        ("StudyDate", "in March", "study"),
        ("SeriesNumber", "four", "series"),
        ("Rows", 2**31, "instance"),
        ("InstanceNumber", "1e400", "instance"),
        ("InstanceNumber", "nan", "instance"),
    ],
)
def test_a_value_that_does_not_fit_its_column_marks_the_row(keyword: str, value: object, table: str) -> None:
    image = header(**{keyword: value})  # type: ignore[arg-type]  # a keyword, never flags

    (row,) = rows(table, image)

    assert row[keyword] is None
    assert row["flags"] == "malformed_value"


@example(value=10**400)
@example(value=2**63)
@given(value=st.one_of(st.text(max_size=20), st.integers(), st.floats()))
@pytest.mark.parametrize("keyword", ["StudyDate", "SeriesNumber", "Rows", "InstanceNumber", "NumberOfFrames"])
def test_no_value_makes_a_table_impossible(keyword: str, value: str | float) -> None:
    image = header(**{keyword: value})  # type: ignore[arg-type]  # a keyword, never flags

    tables = tables_of("main", [image], [image], Scope.EXTENDED)

    assert [tables[name].num_rows for name in ("study", "series", "instance")] == [1, 1, 1]


def test_disagreements_of_the_object_mark_its_instance() -> None:
    answer = header()
    whole = header(flags=("uid_mismatch", "patient_mismatch"))

    tables = tables_of("main", [answer], [whole], Scope.EXTENDED)

    assert tables["instance"].column("flags").to_pylist() == ["uid_mismatch patient_mismatch"]
    assert tables["study"].column("flags").to_pylist() == [""]


def test_the_same_image_twice_is_one_row() -> None:
    assert len(rows("instance", header(), header())) == 1


def test_no_header_makes_empty_tables_with_their_schemas() -> None:
    tables = tables_of("main", [], [], Scope.EXTENDED)

    assert {name: table.num_rows for name, table in tables.items()} == dict.fromkeys(tables, 0)
    assert all(table.schema == SCHEMAS[name] for name, table in tables.items())


def test_the_warehouse_takes_what_is_made_here() -> None:
    image = header(StudyDate="20200304", Rows=8, SliceThickness=1.5)
    tables = tables_of("main", [image], [image], Scope.EXTENDED)

    receipt = MemoryWarehouse().load(Batch("b1", "extended", "r1", tables))

    assert dict(receipt.rows) == {"study": 1, "series": 1, "instance": 1, "header": 3}
