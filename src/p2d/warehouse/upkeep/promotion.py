"""Extended attributes as typed columns: promoted by one command, filled from what is loaded, kept by loads.

A column of a series or study holds the value on which all that was read below it agree; where instances
differ it stays empty, and the report says for how many. A value that does not have the column's type stays
in the extended headers only.
"""

import re
from dataclasses import dataclass
from typing import Final

from p2d.dicom.dictionary import multiplicity_of, tag_of, vr_of
from p2d.model.errors import InvalidRequest
from p2d.warehouse.load.staging import Staging
from p2d.warehouse.upkeep.columns import LEVELS, promoted, typed_columns
from p2d.warehouse.upkeep.tending import ColumnType, Tending

_NUMBERS: Final = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"})
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
"""62 more: what PostgreSQL tells names apart by."""
_VALUE: Final = {
    "number": 'min("number")',
    "date": 'min("date")',
    "text": 'min("text")',
    "multi": """string_agg("text", '\\' ORDER BY item)""",
}
# The value of each element that was read, then the one on which those of an owner agree.
_AGREED: Final = """
SELECT k, min(value) AS value, count(DISTINCT value) AS found, bool_or(value IS NULL) AS unfit FROM (
  SELECT {level}_key AS k, owner_key, path, {value} AS value FROM header
  WHERE keyword = $keyword AND {level}_key IS NOT NULL AND ("text" <> '' OR "number" IS NOT NULL) {among}
  GROUP BY {level}_key, owner_key, path) AS one GROUP BY k
"""
_FILL: Final = """
UPDATE {level} SET "{keyword}" = CASE WHEN a.found = 1 THEN a.value END FROM ({agreed}) a
WHERE {level}.{level}_key = a.k
  AND {level}."{keyword}" IS DISTINCT FROM CASE WHEN a.found = 1 THEN a.value END
"""
_AMONG: Final = "AND {level}_key IN (SELECT {level}_key FROM staged_header WHERE keyword = $keyword)"
_REPORT: Final = (
    "SELECT count(*) FILTER (WHERE found = 1), count(*) FILTER (WHERE found > 1), "
    "count(*) FILTER (WHERE unfit) FROM ({agreed}) AS a"
)


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did: rows filled, rows whose values differ, rows with a value of another type."""

    keyword: str
    level: str
    type: str
    filled: int
    differing: int
    unfit: int


def promote(session: Tending, keyword: str, level: str) -> Promotion:
    """Give *level* (study, series, instance) a column *keyword* and fill it; done again it fills it anew.

    Its type is that of the VR in PS3.6: numbers, dates, texts, or texts joined by a backslash where PS3.6
    allows several values.

    Raises:
        InvalidRequest: no such keyword or level, or the attribute is a column already.

    """
    kind = _type(keyword)
    if level not in LEVELS:
        raise InvalidRequest("level", "is not a level of images", f"use {', '.join(LEVELS)}")
    known = promoted(session)
    elsewhere = [one for one in LEVELS if one != level and keyword in known[one]]
    own = any(keyword in columns for columns in typed_columns(session).values())
    if keyword not in known[level]:
        if elsewhere or own:
            problem = f"is a column of {elsewhere[0]}" if elsewhere else "is a column already"
            raise InvalidRequest("keyword", problem, "demote it first" if elsewhere else "")
        session.add_column(level, keyword, kind)
        session.rows(
            "INSERT INTO promotion VALUES ($keyword, $level, $kind, now()::TIMESTAMP)",
            keyword=keyword,
            level=level,
            kind=kind,
        )
        session.rows(
            'INSERT INTO catalogue_attribute (kind, name, "level", facts, patients, is_stale) '
            "VALUES ('column', $keyword, $level, 0, 0, true)",
            keyword=keyword,
            level=level,
        )
    session.rows(_fill(keyword, level, kind), keyword=keyword)
    agreed = _AGREED.format(level=level, value=_VALUE[kind], among="")
    (row,) = session.rows(_REPORT.format(agreed=agreed), keyword=keyword)
    return Promotion(keyword, level, kind, *(int(number or 0) for number in row))


def demote(session: Tending, keyword: str) -> None:
    """Take the column *keyword* away; its values stay in the extended headers.

    Raises:
        InvalidRequest: it was not promoted.

    """
    levels = [level for level, columns in promoted(session).items() if keyword in columns]
    if not levels:
        raise InvalidRequest("keyword", "is not promoted", "GET /promotions lists what is")
    session.drop_column(levels[0], keyword)
    session.rows("DELETE FROM promotion WHERE keyword = $keyword", keyword=keyword)
    for table in ("catalogue_attribute", "catalogue_number", "catalogue_value"):
        session.rows(f"DELETE FROM {table} WHERE kind = 'column' AND name = $keyword", keyword=keyword)  # noqa: S608 - names of the schema


def fill_promoted(session: Staging) -> None:
    """Fill the promoted columns of what the staged headers describe."""
    for level, columns in promoted(session).items():
        for keyword, kind in columns.items():
            session.rows(_fill(keyword, level, kind, _AMONG.format(level=level)), keyword=keyword)


def _fill(keyword: str, level: str, kind: str, among: str = "") -> str:
    agreed = _AGREED.format(level=level, value=_VALUE[kind], among=among)
    return _FILL.format(level=level, keyword=keyword, agreed=agreed)


def _type(keyword: str) -> ColumnType:
    try:
        tag = tag_of(keyword) if _KEYWORD.fullmatch(keyword) else ""
    except KeyError:
        tag = ""
    if not tag or vr_of(tag) == "SQ":
        remedy = "use a keyword as printed in PS3.6, such as SliceThickness"
        raise InvalidRequest("keyword", "is no attribute with values of the DICOM dictionary", remedy)
    if multiplicity_of(tag) != "1":
        return "multi"
    if vr_of(tag) in _NUMBERS:
        return "number"
    return "date" if vr_of(tag) == "DA" else "text"
