"""Columns of text as numbers, days, times and other words; what does not convert is told, never guessed.

Every function takes a whole column and returns the converted one, null where it was empty or malformed, with
a mask of the malformed rows.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

ISO: Final = "iso"
"""The date format YYYY-MM-DD, with or without a time of day behind it."""

_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_CLOCK: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_DAY_LENGTH: Final = 10
_MIDNIGHT: Final = "00:00:00"


def as_text(values: Any) -> pa.Array:
    """Return *values* of any type as text without surrounding blanks; empty text is null."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        whole = pc.and_(pc.equal(array, pc.trunc(array)), pc.less(pc.abs(array), 2.0**53))
        numbers = pc.cast(pc.if_else(pc.fill_null(whole, False), array, None), pa.int64())
        text = pc.coalesce(pc.cast(numbers, pa.string()), pc.cast(array, pa.string()))
    else:
        text = pc.cast(array, pa.string())
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def as_numbers(values: Any, decimal: str = ".", thousands: str = "") -> tuple[pa.Array, pa.Array]:
    """Return *values* as finite numbers and the mask of what is none.

    With *decimal* a comma, a point is malformed unless it is the *thousands* separator.
    """
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
        numbers = pc.cast(array, pa.float64(), safe=False)
        bad = pc.and_(pc.is_valid(numbers), pc.invert(pc.is_finite(numbers)))
        return pc.if_else(bad, None, numbers), pc.fill_null(bad, False)
    text = as_text(array)
    is_fine = pc.is_valid(text)
    if thousands:
        grouped = rf"^[+-]?[0-9]{{1,3}}(\{thousands}[0-9]{{3}})+(\{decimal}[0-9]*)?$"
        has = pc.match_substring(text, thousands)
        is_fine = pc.if_else(has, pc.match_substring_regex(text, grouped), is_fine)
        text = pc.replace_substring(text, thousands, "")
    if decimal != ".":
        is_fine = pc.and_(is_fine, pc.invert(pc.match_substring(text, ".")))
        text = pc.replace_substring(text, decimal, ".")
    is_fine = pc.fill_null(pc.and_(is_fine, pc.match_substring_regex(text, _NUMBER)), False)
    numbers = pc.cast(pc.if_else(is_fine, text, pa.scalar(None, pa.string())), pa.float64())
    is_fine = pc.and_(is_fine, pc.fill_null(pc.is_finite(numbers), False))
    return pc.if_else(is_fine, numbers, None), pc.and_(pc.is_valid(text), pc.invert(is_fine))


def as_days(values: Any, formats: Sequence[str] = (ISO,)) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return days, times of day (``HH:MM:SS``, null where there is none) and the mask of what is no date.

    *formats* are tried in order: ``iso``, or a format of ``datetime.strptime``. A time zone is not applied:
    the clock is the one of the ward. Midnight in a column of date and time counts as no time.
    """
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_date(array.type):
        return pc.cast(array, pa.date32()), pa.nulls(len(array), pa.string()), _none(len(array))
    if pa.types.is_timestamp(array.type):
        clock = pc.strftime(pc.cast(array, pa.timestamp("s"), safe=False), format="%H:%M:%S")
        return pc.cast(array, pa.date32(), safe=False), without_midnight(clock), _none(len(array))
    text = as_text(array)
    encoded = text.dictionary_encode("encode")
    found = [_instant(one, formats) for one in encoded.dictionary.to_pylist()]
    days = pa.array([day for day, _ in found], pa.date32()).take(encoded.indices)
    clocks = pa.array([clock for _, clock in found], pa.string()).take(encoded.indices)
    return days, clocks, pc.and_(pc.is_valid(text), pc.is_null(days))


def without_midnight(clock: Any) -> Any:
    """Return the times of day without 00:00:00, which stands for *not known* where a day is a timestamp."""
    return pc.if_else(pc.equal(clock, _MIDNIGHT), pa.scalar(None, pa.string()), clock)


def as_clock(values: Any) -> tuple[pa.Array, pa.Array]:
    """Return times of day as ``HH:MM:SS`` and the mask of what is none; seconds may be left out."""
    text = as_text(values)
    if pa.types.is_time(values.type):
        text = pc.utf8_slice_codeunits(text, 0, len(_MIDNIGHT))
    full = pc.if_else(pc.equal(pc.utf8_length(text), 5), pc.binary_join_element_wise(text, "00", ":"), text)
    is_fine = pc.fill_null(pc.match_substring_regex(full, _CLOCK), False)
    return pc.if_else(is_fine, full, pa.scalar(None, pa.string())), pc.and_(
        pc.is_valid(text), pc.invert(is_fine)
    )


def translated(
    text: pa.Array, words: Mapping[str, str], other: str | None = None
) -> tuple[pa.Array, pa.Array]:
    """Return *text* word by word as *words* say; others become *other*, or are malformed without it."""
    places = pc.index_in(text, pa.array(list(words), pa.string()))
    found = pa.array(list(words.values()), pa.string()).take(places)
    unknown = pc.and_(pc.is_valid(text), pc.is_null(places))
    if other is None:
        return found, unknown
    return pc.if_else(unknown, pa.scalar(other, pa.string()), found), _none(len(text))


def _none(count: int) -> pa.Array:
    return pa.repeat(pa.scalar(False), count)


def _instant(text: str | None, formats: Sequence[str]) -> tuple[date | None, str | None]:
    for form in formats if text else ():
        try:
            moment = _iso(str(text)) if form == ISO else datetime.strptime(str(text), form)  # noqa: DTZ007 - the ward's clock
        except ValueError:
            continue
        clock = f"{moment:%H:%M:%S}"
        return moment.date(), None if clock == _MIDNIGHT else clock
    return None, None


def _iso(text: str) -> datetime:
    head = text[:_DAY_LENGTH]
    if (
        len(head) != _DAY_LENGTH
        or head[4] != "-"
        or (len(text) > _DAY_LENGTH and text[_DAY_LENGTH] not in "T ")
    ):
        raise ValueError
    return datetime.fromisoformat(text.replace(",", ".")).replace(tzinfo=None)
