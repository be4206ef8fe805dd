import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.export.table import csv_chunks, json_chunks, quoted, rows, write_csv, write_json
from p2d.model.header import Element, Value
from p2d.model.ids import Pseudonym
from p2d.model.level import Level
from p2d.model.released import ReleasedHeader

MODALITY, DESCRIPTION, NUMBER = "00080060", "0008103E", "00200013"


def header(
    instance: int,
    series: int = 1,
    study: int = 1,
    patient: str = "P1",
    **values: tuple[str, tuple[Value, ...]],
) -> ReleasedHeader:
    elements = {path.lstrip("_"): Element(path.lstrip("_"), vr, item) for path, (vr, item) in values.items()}
    return ReleasedHeader(
        Level.INSTANCE, Pseudonym(patient), f"2.25.{study}", f"2.25.{series}", f"2.25.{instance}", elements
    )


def ct(instance: int, series: int = 1, study: int = 1, description: str = "Thorax") -> ReleasedHeader:
    return header(
        instance,
        series,
        study,
        _00080060=("CS", ("CT",)),
        _0008103E=("LO", (description,)),
        _00200013=("IS", (instance,)),
        _00080018=("UI", (f"2.25.{instance}",)),
    )


def test_ids_come_first_and_attributes_keep_their_order() -> None:
    columns, table = rows([ct(7)], Level.INSTANCE, ["SeriesDescription", "Modality"])

    assert columns == (
        "patient",
        "study",
        "series",
        "instance",
        "SeriesDescription",
        "Modality",
        "flags",
    )
    assert list(table)[0]["SeriesDescription"] == "Thorax"  # noqa: RUF015 - a list shows it was finite


def test_instances_stream_when_the_columns_are_known() -> None:
    def endless() -> object:
        number = 0
        while True:
            number += 1
            yield ct(number)

    _, table = rows(endless(), Level.INSTANCE, ["InstanceNumber"])  # type: ignore[arg-type]  # a generator

    assert [next(table)["InstanceNumber"] for _ in range(3)] == [1, 2, 3]


def test_an_attribute_that_never_occurs_is_an_empty_column() -> None:
    columns, table = rows([ct(1)], Level.INSTANCE, ["BodyPartExamined"])

    assert "BodyPartExamined" in columns
    assert next(table)["BodyPartExamined"] is None


def test_a_sequence_attribute_brings_its_items() -> None:
    path = "00081115[0].0020000E"
    nested = replace(ct(1), elements={path: Element(path, "UI", ("2.25.9",))})

    columns, table = rows([nested], Level.INSTANCE, ["ReferencedSeriesSequence"])

    assert "ReferencedSeriesSequence[0].SeriesInstanceUID" in columns
    assert next(table)["ReferencedSeriesSequence[0].SeriesInstanceUID"] == "2.25.9"


def test_a_series_row_joins_differing_values_and_counts_instances() -> None:
    _, table = rows([ct(1), ct(2), ct(2), ct(3, series=2, description="Lung")], Level.SERIES)

    first, second = table
    assert (first["InstanceNumber"], first["SeriesDescription"]) == ("1\\2", "Thorax")
    assert (first["NumberOfListedInstances"], second["NumberOfListedInstances"]) == (2, 1)
    assert "SOPInstanceUID" not in first


def test_a_study_row_counts_series_and_instances() -> None:
    columns, table = rows([ct(1), ct(2, series=2), ct(3, study=2, series=3)], Level.STUDY, ["Modality"])

    first, _ = table
    assert columns[:2] == ("patient", "study")
    assert (first["NumberOfListedSeries"], first["NumberOfListedInstances"]) == (2, 2)
    assert first["Modality"] == "CT"


def test_a_patient_row_counts_studies() -> None:
    _, table = rows([ct(1), ct(3, study=2, series=3)], Level.PATIENT)

    assert next(table)["NumberOfListedStudies"] == 2


def test_two_repeating_groups_are_two_columns() -> None:
    overlays = header(1, _60000010=("US", (10,)), _60020010=("US", (20,)))

    columns, table = rows([overlays], Level.INSTANCE)

    row = next(table)
    assert (row["OverlayRows"], row["OverlayRows(60020010)"]) == (10, 20)
    assert len(set(columns)) == len(columns)


def test_an_unknown_keyword_is_an_error() -> None:
    with pytest.raises(KeyError):
        rows([ct(1)], Level.INSTANCE, ["NoSuchKeyword"])


def test_flags_are_kept_in_the_table() -> None:
    marked = ReleasedHeader(
        Level.INSTANCE, Pseudonym("P1"), "2.25.1", "2.25.1", "2.25.1", {}, ("uid_mismatch",)
    )

    assert [next(rows([marked], level)[1])["flags"] for level in Level] == ["uid_mismatch"] * 4


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_formula_is_disarmed(cell: str) -> None:
    assert quoted(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-12.5", "+3", "-1e-5", "-1\\0\\0", -4, -0.5, None, "plain", ""])
def test_numbers_and_plain_text_are_left_alone(cell: str | float | None) -> None:
    assert quoted(cell) == cell


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text() | st.integers() | st.none())))
def test_csv_reads_back_to_the_quoted_cells(table: list[dict[str, str | int | None]]) -> None:
    text = "".join(csv_chunks("abc", table))

    back = list(csv.reader(io.StringIO(text, newline=""), strict=True))

    want = [["" if (cell := quoted(row.get(name))) is None else str(cell) for name in "abc"] for row in table]
    assert back == [["a", "b", "c"], *want]


@given(st.text(min_size=1))
def test_no_text_cell_begins_like_a_formula_unless_it_is_a_number(text: str) -> None:
    cell = str(quoted(text))

    if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        assert all(float(part) is not None for part in cell.split("\\"))


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("ab"),
            st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        )
    )
)
def test_json_reads_back_to_the_rows(table: list[dict[str, str | float]]) -> None:
    text = "".join(json_chunks("ab", table))

    assert json.loads(text) == [{name: row.get(name) for name in "ab"} for row in table]


def test_a_number_that_json_does_not_know_becomes_text() -> None:
    columns, table = rows([header(1, _00281052=("DS", (float("nan"),)))], Level.INSTANCE)
    stream = io.StringIO()

    write_json(stream, columns, table)

    assert json.loads(stream.getvalue())[0]["RescaleIntercept"] == "nan"


def test_csv_goes_to_a_stream() -> None:
    stream = io.StringIO(newline="")

    write_csv(stream, *rows([ct(1)], Level.INSTANCE, ["Modality"]))

    assert stream.getvalue().splitlines()[1] == "P1,2.25.1,2.25.1,2.25.1,CT,"
