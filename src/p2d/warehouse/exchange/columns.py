"""The typed imaging columns that a warehouse has, those promoted at the site among them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from p2d.model.errors import Unavailable

_KEYWORD: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
_LEVELS: Final = ("study", "series", "instance")


def text_of(column: str) -> str:
    """Return the SQL of *column* as text, numbers as ``as_text`` writes them."""
    number = f"as_text(try_cast({column}::VARCHAR AS DOUBLE))"
    return f"CASE WHEN typeof({column}) = 'DOUBLE' THEN {number} ELSE {column}::VARCHAR END"


def number_of(column: str) -> str:
    """Return the SQL of *column* as a number where its type is one, NULL where it is text or a date."""
    return f"CASE WHEN typeof({column}) <> 'VARCHAR' THEN try_cast({column}::VARCHAR AS DOUBLE) END"


def imaging_columns(columns: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Return the columns of study, series and instance that are named by a DICOM keyword, by level.

    Raises:
        Unavailable: a table is missing, or a column begins like a keyword and is none.

    """
    found: dict[str, tuple[str, ...]] = {}
    for level in _LEVELS:
        named = tuple(name for name in columns.get(level, ()) if name[:1].isupper())
        if not named or not all(_KEYWORD.fullmatch(name) for name in named):
            raise Unavailable(
                f"warehouse.{level}", "has not the columns of this version", "update the warehouse"
            )
        found[level] = named
    return found
