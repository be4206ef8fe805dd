"""Typed reading of JSON-like fields; every error names the JSON path, the problem and the way out.

No error holds a value: it may be a pseudonym, or a name that somebody typed.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Final, TypeVar

from p2d.model.errors import InvalidRequest

LONGEST_TEXT: Final = 1000
MOST_DAYS: Final = 100_000
"""Bound of every number of days and of every count; 100,000 days are 273 years."""
_E = TypeVar("_E", bound=StrEnum)


def read_object(source: object, path: str, known: Sequence[str]) -> Mapping[str, object]:
    """Return *source* as an object with no other fields than *known*.

    Raises:
        InvalidRequest: no object, or an unknown field.

    """
    if not isinstance(source, Mapping):
        raise InvalidRequest(path, "is not an object", "send a JSON object")
    unknown = sum(key not in known for key in source)
    if unknown:
        problem = f"holds {unknown} field(s) that do not belong there"
        raise InvalidRequest(path, problem, f"known there: {', '.join(known)}")
    return source


def read_list(value: object, path: str, most: int, *, least: int = 1) -> Sequence[object]:
    """Return *value* as a list of *least* to *most* entries.

    Raises:
        InvalidRequest: no list, too short or too long.

    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidRequest(path, "is not a list", "send a JSON list")
    if len(value) > most:
        raise InvalidRequest(path, f"has more than {most} entries", "shorten it")
    if len(value) < least:
        raise InvalidRequest(path, "is empty", f"list at least {least}")
    return value


def read_text(value: object, path: str) -> str:
    """Return *value* as a text of 1 to 1,000 characters.

    Raises:
        InvalidRequest: no text, empty, too long, or not Unicode.

    """
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_TEXT or "\0" in value:
        raise InvalidRequest(path, f"is not a text of 1 to {LONGEST_TEXT} characters", "send a JSON string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(path, "is not valid Unicode", "send UTF-8") from None
    return value


def read_flag(fields: Mapping[str, object], name: str, path: str) -> bool:
    """Return the field *name* as true or false; false where it is missing.

    Raises:
        InvalidRequest: anything but true or false.

    """
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{path}.{name}", "is not true or false", "write true, or leave it out")
    return value


def read_number(value: object, path: str, remedy: str = "write a number") -> float:
    """Return *value* as a finite number.

    Raises:
        InvalidRequest: no number, not a number (NaN), or too large.

    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) < 1e300:  # type: ignore[arg-type]  # noqa: PLR2004 - a number here, inside float64
        raise InvalidRequest(path, "has the wrong type", remedy)
    return float(value)  # type: ignore[arg-type]  # a number here


def read_integer(value: object, path: str, least: int, most: int = MOST_DAYS) -> int:
    """Return *value* as a whole number from *least* to *most*.

    Raises:
        InvalidRequest: no whole number, or outside.

    """
    number = read_number(value, path, f"write a whole number from {least} to {most}")
    if number != int(number) or not least <= number <= most:
        raise InvalidRequest(path, "is not a whole number in range", f"write one from {least} to {most}")
    return int(number)


def read_day(value: object, path: str) -> date:
    """Return *value* as a day.

    Raises:
        InvalidRequest: not written as YYYY-MM-DD, or no such day.

    """
    try:
        if not isinstance(value, str) or len(value) != len("YYYY-MM-DD"):
            raise ValueError  # noqa: TRY301 - one way out for both
        return date.fromisoformat(value)
    except ValueError:
        raise InvalidRequest(path, "is not a day", "write it as YYYY-MM-DD") from None


def read_member(vocabulary: type[_E], value: object, path: str) -> _E:
    """Return *value* as a member of *vocabulary*.

    Raises:
        InvalidRequest: any other value; the remedy lists the members.

    """
    try:
        return vocabulary(read_text(value, path))
    except ValueError:
        raise InvalidRequest(path, "is not one of the known values", f"use {', '.join(vocabulary)}") from None
