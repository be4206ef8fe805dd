"""Typed columns of the imaging tables and of patients: those of the schema and the promoted ones."""

from collections.abc import Mapping
from typing import Final, Literal

from p2d.warehouse.statements import Statements

Holds = Literal["number", "date", "text"]
_OWN: Final = {
    "patient": ("sex", "birth_year"),
    "study": (
        *("StudyDate", "StudyTime", "StudyDescription", "ModalitiesInStudy"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ),
    "series": (
        *("Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "BodyPartExamined", "ProtocolName"),
        *("Manufacturer", "NumberOfSeriesRelatedInstances"),
    ),
    "instance": ("InstanceNumber", "SOPClassUID", "Rows", "Columns", "NumberOfFrames"),
}
_NUMBERS: Final = frozenset({
    "birth_year", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "SeriesNumber",
    "NumberOfSeriesRelatedInstances", "InstanceNumber", "Rows", "Columns", "NumberOfFrames",
})  # fmt: skip
_DATES: Final = frozenset({"StudyDate", "SeriesDate"})
LEVELS: Final = ("study", "series", "instance")


def promoted(session: Statements) -> dict[str, dict[str, str]]:
    """Return the promoted columns by level: keyword and type (number, date, text, multi)."""
    found: dict[str, dict[str, str]] = {level: {} for level in LEVELS}
    for keyword, level, kind in session.rows('SELECT keyword, "level", type FROM promotion ORDER BY keyword'):
        found[level][keyword] = kind
    return found


def typed_columns(session: Statements) -> Mapping[str, Mapping[str, Holds]]:
    """Return, by table, the columns that hold attributes, and what they hold."""
    more = promoted(session)
    return {
        table: {name: _own(name) for name in own}
        | {name: _holds(kind) for name, kind in more.get(table, {}).items()}
        for table, own in _OWN.items()
    }


def _own(name: str) -> Holds:
    if name in _NUMBERS:
        return "number"
    return "date" if name in _DATES else "text"


def _holds(kind: str) -> Holds:
    match kind:
        case "number" | "date":
            return kind
        case _:
            return "text"
