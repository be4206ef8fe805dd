"""Content items with an action of their own (Clean Structured Content): PS3.15 Table E.3.4-1, 2026d."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from p2d.deid.standard.tsv import rows_of

EDITION: Final = "2026d"
_SNOMED_RT: Final = frozenset({"SRT", "SNM3", "99SDM"})
_FREE_VALUES: Final = frozenset({"TEXT", "PNAME", "UIDREF", "DATE", "TIME", "DATETIME"})
_RANK: Final = {"D": 0, "X/D": 1, "X": 2}


@dataclass(frozen=True, slots=True)
class ContentRow:
    """One row of Table E.3.4-1: a concept name, the value type it is listed for, basic action and options."""

    scheme: str
    code: str
    meaning: str
    value_type: str
    action: str
    options: Mapping[str, str]


@lru_cache(maxsize=1)
def content_rows() -> Mapping[tuple[str, str], Sequence[ContentRow]]:
    """Return the rows by (coding scheme designator, code value); SNOMED concepts also by their SRT codes."""
    columns, rows = rows_of("ps3_15_e3_4_1.tsv")
    found: defaultdict[tuple[str, str], list[ContentRow]] = defaultdict(list)
    for scheme, code, srt, meaning, value_type, action, *options in rows:
        row = ContentRow(
            scheme, code, meaning, value_type, action, dict(zip(columns[6:], options, strict=True))
        )
        found[scheme, code].append(row)
        if srt:
            found["SRT", srt].append(row)
    return found


@lru_cache(maxsize=4096)
def content_row(scheme: str, code: str, value_type: str = "") -> ContentRow | None:
    """Return the row for a concept name, or None where Table E.3.4-1 does not list it.

    The table lists concepts with a value type (Finding as TEXT, not as CODE). With *value_type* its own row
    counts; a value that can hold anything (TEXT, PNAME, UIDREF, dates and times) takes another row of its
    concept, because a writer's choice of value type makes a person's name no safer. Without it the row that
    asks for least counts.
    """
    scheme, code = scheme.strip(), code.strip()
    rows = content_rows().get(("SRT" if scheme in _SNOMED_RT else scheme, code), ())
    exact = [row for row in rows if not value_type or row.value_type == value_type]
    chosen = exact or (rows if value_type in _FREE_VALUES else ())
    return min(chosen, key=lambda row: _RANK[row.action], default=None)


def content_action(scheme: str, code: str, value_type: str = "") -> str:
    """Return the basic action (X, D or X/D) for a concept name; empty where it is not listed."""
    row = content_row(scheme, code, value_type)
    return row.action if row is not None else ""
