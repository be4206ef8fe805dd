r"""Released headers as a table at instance, series, study or patient level, written as CSV or JSON.

Columns: the pseudonyms of the level, one column an attribute under its DICOM keyword (nested:
``ReferencedSeriesSequence[0].SeriesInstanceUID``), counts above instance level, and ``flags``. Several
values, of one element or of the entities below, are joined by a backslash as DICOM writes them.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TextIO

from p2d.dicom.dictionary import keyword_path_of, tag_of, vr_of
from p2d.model.header import Element
from p2d.model.level import Level
from p2d.model.released import ReleasedHeader

Cell = str | int | float | None
Row = dict[str, Cell]
Columns = tuple[str, ...]

_IDS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.PATIENT: ("patient",),
    Level.STUDY: ("patient", "study"),
    Level.SERIES: ("patient", "study", "series"),
    Level.INSTANCE: ("patient", "study", "series", "instance"),
}
_COUNTS: Final = {
    "study": "NumberOfListedStudies",
    "series": "NumberOfListedSeries",
    "instance": "NumberOfListedInstances",
}
# UIDs of the levels below a row: one value an entity says nothing in a summary unless asked for.
_BELOW: Final[Mapping[Level, frozenset[str]]] = {
    Level.PATIENT: frozenset({"0020000D", "0020000E", "00080018"}),
    Level.STUDY: frozenset({"0020000E", "00080018"}),
    Level.SERIES: frozenset({"00080018"}),
    Level.INSTANCE: frozenset(),
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_ONE: Final = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_NUMBERS: Final = re.compile(rf"{_ONE}(\\{_ONE})*", re.ASCII)


def rows(
    headers: Iterable[ReleasedHeader], level: Level, attributes: Sequence[str] = ()
) -> tuple[Columns, Iterator[Row]]:
    """Return the column names and the rows of *headers* summarised at *level*.

    *attributes* are DICOM keywords in the order wanted; empty means every element that occurs. At instance
    level with plain attributes the rows stream; otherwise *headers* is read as a whole first, because the
    columns follow from the data.

    Raises:
        KeyError: an attribute that PS3.6 does not know.

    """
    tags = [tag_of(keyword) for keyword in dict.fromkeys(attributes)]
    plain = bool(tags) and all(vr_of(tag) != "SQ" for tag in tags)
    if not (plain and level is Level.INSTANCE):
        headers = list(headers)
    names = _names(tags if plain else _paths(headers, tags, _BELOW[level]))
    counts = tuple(_COUNTS[key] for key in _IDS[Level.INSTANCE][len(_IDS[level]) :])
    columns = (*_IDS[level], *names.values(), *counts, "flags")
    if level is Level.INSTANCE:
        return columns, (_row(header, names) for header in headers)
    return columns, _summaries(headers, level, names)


def _paths(headers: Iterable[ReleasedHeader], tags: Sequence[str], below: frozenset[str]) -> list[str]:
    found = {path for header in headers for path in header.elements}
    if not tags:
        return sorted(found - below)
    chosen: list[str] = []
    for tag in tags:
        under = sorted(path for path in found if path[:8] == tag)
        chosen += under or [tag]
    return chosen


def _names(paths: Iterable[str]) -> dict[str, str]:
    """Return path → column name; where two paths share a keyword (repeating groups) the path is added."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in paths:
        name = keyword_path_of(path)
        names[path] = f"{name}({path})" if name in taken else name
        taken.add(name)
    return names


def _cell(element: Element | None) -> Cell:
    if element is None or not element.values:
        return None
    if len(element.values) > 1:
        return element.text
    value = element.values[0]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _row(header: ReleasedHeader, names: Mapping[str, str]) -> Row:
    row: Row = {
        "patient": str(header.patient),
        "study": header.study,
        "series": header.series,
        "instance": header.instance,
    }
    row.update({name: _cell(header.elements.get(path)) for path, name in names.items()})
    row["flags"] = " ".join(header.flags) or None
    return row


def _summaries(headers: Iterable[ReleasedHeader], level: Level, names: Mapping[str, str]) -> Iterator[Row]:
    groups: dict[tuple[str, ...], list[ReleasedHeader]] = {}
    for header in headers:
        key = (str(header.patient), header.study, header.series)[: len(_IDS[level])]
        groups.setdefault(key, []).append(header)
    for key, members in groups.items():
        row: Row = dict(zip(_IDS[level], key, strict=True))
        for path, name in names.items():
            row[name] = _joined(_cell(member.elements.get(path)) for member in members)
        if level is Level.PATIENT:
            row[_COUNTS["study"]] = len({m.study for m in members if m.study})
        if level is not Level.SERIES:
            row[_COUNTS["series"]] = len({(m.study, m.series) for m in members if m.series})
        instances = {(m.study, m.series, m.instance) for m in members if m.instance}
        row[_COUNTS["instance"]] = len(instances)
        row["flags"] = " ".join(dict.fromkeys(flag for m in members for flag in m.flags)) or None
        yield row


def _joined(cells: Iterable[Cell]) -> Cell:
    distinct = list(dict.fromkeys(cell for cell in cells if cell is not None))
    if len(distinct) <= 1:
        return distinct[0] if distinct else None
    return "\\".join(str(cell) for cell in distinct)


def quoted(cell: Cell) -> Cell:
    """Return *cell* so that no spreadsheet takes it for a formula; numbers stay as they are.

    Text beginning with ``= + - @``, TAB, CR or LF gets an apostrophe in front, unless it is a number or
    numbers joined by backslashes.
    """
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBERS.fullmatch(cell):
        return f"'{cell}"
    return cell


def csv_chunks(columns: Sequence[str], table: Iterable[Mapping[str, Cell]]) -> Iterator[str]:
    """Yield *table* as CSV (RFC 4180, header line, CR LF), one record a chunk."""
    yield _record(columns)
    for row in table:
        yield _record([quoted(row.get(name)) for name in columns])


def _record(cells: Sequence[Cell]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()


def json_chunks(columns: Sequence[str], table: Iterable[Mapping[str, Cell]]) -> Iterator[str]:
    """Yield *table* as one JSON list of objects, a line each; absent values are null."""
    before = "[\n"
    for row in table:
        record = {name: row.get(name) for name in columns}
        yield before + json.dumps(record, ensure_ascii=False, allow_nan=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def flat(row: Mapping[str, object]) -> Row:
    """Return *row* with several values of a cell joined by a backslash, a missing one as nothing."""
    return {name: _flat_cell(value) for name, value in row.items()}


def _flat_cell(value: object) -> Cell:
    if isinstance(value, list | tuple):
        return "\\".join("" if one is None else str(one) for one in value)
    return value if isinstance(value, str | int | float) or value is None else str(value)


def write_csv(stream: TextIO, columns: Sequence[str], table: Iterable[Mapping[str, Cell]]) -> None:
    """Write *table* to *stream* as CSV; open it with ``encoding="utf-8", newline=""``."""
    stream.writelines(csv_chunks(columns, table))


def write_json(stream: TextIO, columns: Sequence[str], table: Iterable[Mapping[str, Cell]]) -> None:
    """Write *table* to *stream* as a JSON list."""
    stream.writelines(json_chunks(columns, table))
