"""Columns of text as numbers and days: what converts is exact, what does not is told."""

import math
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.clinical.conversion import as_clock, as_days, as_numbers, as_text, translated
from p2d.clinical.mapping import IntakeMapping
from p2d.clinical.values import settled


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32) | st.none()))
def test_every_number_survives_being_written_with_a_comma(numbers: list[float | None]) -> None:
    text = pa.array(["" if n is None else repr(n).replace(".", ",") for n in numbers], pa.string())

    found, bad = as_numbers(text, ",")

    assert found.to_pylist() == numbers
    assert not any(bad.to_pylist())


@given(st.lists(st.text(max_size=12)))
def test_what_is_no_number_is_told_and_never_guessed(words: list[str]) -> None:
    found, bad = as_numbers(pa.array(words, pa.string()))

    for word, number, is_bad in zip(words, found.to_pylist(), bad.to_pylist(), strict=True):
        assert is_bad == (number is None and word.strip() != "")
        if number is not None:
            assert float(word) == number


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "number"),
    [
        ("1.234,5", ",", ".", 1234.5),
        ("1.234.567", ",", ".", 1234567.0),
        ("12.34", ",", ".", None),
        ("1.5", ",", "", None),
        ("1,5", ".", "", None),
        ("1'000.25", ".", "'", 1000.25),
        ("+3", ".", "", 3.0),
        ("1e3", ".", "", 1000.0),
        ("1e999", ".", "", None),
        ("nan", ".", "", None),
        ("inf", ".", "", None),
        ("0x10", ".", "", None),
        ("1_0", ".", "", None),
        ("< 5", ".", "", None),
    ],
)
def test_numbers_are_read_in_their_notation_only(
    text: str, decimal: str, thousands: str, number: float | None
) -> None:
    found, bad = as_numbers(pa.array([text]), decimal, thousands)

    assert found.to_pylist() == [number]
    assert bad.to_pylist() == [number is None]


@given(st.lists(st.dates(min_value=date(1000, 1, 1)) | st.none()))
def test_every_day_survives_each_format(days: list[date | None]) -> None:
    for form in ("iso", "%d.%m.%Y"):
        text = pa.array(
            [None if d is None else d.isoformat() if form == "iso" else f"{d:%d.%m.%Y}" for d in days],
            pa.string(),
        )

        found, _, bad = as_days(text, (form,))

        assert found.to_pylist() == days
        assert not any(bad.to_pylist())


@pytest.mark.parametrize(
    ("text", "day", "clock"),
    [
        ("2024-02-29", date(2024, 2, 29), None),
        ("2023-02-29", None, None),
        ("2024-02-30 10:00:00", None, None),
        ("2024-03-01T10:30:59", date(2024, 3, 1), "10:30:59"),
        ("2024-03-01 00:00:00", date(2024, 3, 1), None),
        ("2024-03-01T23:30:00+02:00", date(2024, 3, 1), "23:30:00"),
        ("20240301", None, None),
        ("01.03.2024", None, None),
        ("2024-03-01x", None, None),
        ("2024", None, None),
    ],
)
def test_iso_days_are_real_days_with_the_clock_they_were_written_with(
    text: str, day: date | None, clock: str | None
) -> None:
    days, clocks, bad = as_days(pa.array([text]))

    assert (days.to_pylist(), clocks.to_pylist(), bad.to_pylist()) == ([day], [clock], [day is None])


def test_typed_columns_of_parquet_need_no_notation() -> None:
    moments = pa.array([1_700_000_000], pa.timestamp("s"))

    assert as_text(pa.array([1.0, 2.5, None, math.nan])).to_pylist()[:3] == ["1", "2.5", None]
    assert as_numbers(pa.array([1, None]), ",")[0].to_pylist() == [1.0, None]
    assert as_days(moments)[0].to_pylist() == [date(2023, 11, 14)]
    assert as_days(moments)[1].to_pylist() == ["22:13:20"]


def test_times_of_day_may_lack_their_seconds() -> None:
    clock, bad = as_clock(pa.array(["08:05", "23:59:59", "24:00", "8:05", None]))

    assert clock.to_pylist() == ["08:05:00", "23:59:59", None, None, None]
    assert bad.to_pylist() == [False, False, True, True, False]


def test_words_without_a_translation_are_told_or_become_the_other_one() -> None:
    text = pa.array(["m", "w", "?", None])

    assert [c.to_pylist() for c in translated(text, {"m": "M", "w": "F"})] == [
        ["M", "F", None, None],
        [False, False, True, False],
    ]
    assert translated(text, {"m": "M", "w": "F"}, "O")[0].to_pylist() == ["M", "F", "O", None]


def test_units_convert_explicitly_and_limits_hold_after_it() -> None:
    mapping = IntakeMapping.model_validate(
        {
            "version": 1,
            "unit": [
                {"unit": "g/dl", "into": "g/l", "factor": 10},
                {"attribute": "TEMP", "unit": "F", "into": "C", "factor": 0.5, "offset": -16},
            ],
            "limit": [{"attribute": "TEMP", "units": ["C"], "least": 30, "most": 45}],
        }
    )
    facts = pa.table(
        {
            "attribute": ["HB", "TEMP", "TEMP", "TEMP", "HB"],
            "number": [13.5, 106.0, 36.6, 300.0, 12.0],
            "unit": ["g/dl", "F", "K", "F", None],
        }
    )

    settled_facts, faults = settled(facts, mapping)

    assert settled_facts["number"].to_pylist() == [135.0, 37.0, 36.6, 134.0, 12.0]
    assert settled_facts["unit"].to_pylist() == ["g/l", "C", "K", "C", None]
    assert [(f.field, f.bad.to_pylist().index(True)) for f in faults if True in f.bad.to_pylist()] == [
        ("unit", 2),
        ("number", 3),
    ]
