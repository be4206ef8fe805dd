"""Released headers as rows of the warehouse's tables.

The archive's answer makes the study, series and instance rows (typed columns); the header of a retrieved
instance makes rows of ``header``, one a value. Values that do not fit a column's type stay out of that column
and mark the row ``malformed_value``.
"""

import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa

from p2d.dicom.dictionary import keyword_of, tag_of
from p2d.model.header import Element, Value, text_of
from p2d.model.level import Scope
from p2d.model.released import ReleasedHeader
from p2d.warehouse.batch import HEADER, INSTANCE, SERIES, STUDY

Row = dict[str, object]
_NUMBERS: Final = frozenset({"DS", "FL", "FD", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_PRIVATE: Final = re.compile(r"(?:^|\.)[0-9A-F]{3}[13579BDF]")
_INT32: Final = 2**31
_INT64: Final = 2**63
_ACCESSION: Final = "00080050"
_ADMISSION: Final = "00380010"
_OWNED: Final = 4
"""Columns of ``header`` that say whose a row is: patient, study, series, instance."""


def tables_of(
    archive: str, basic: Iterable[ReleasedHeader], extended: Iterable[ReleasedHeader], scope: Scope
) -> dict[str, pa.Table]:
    """Return the imaging tables of a batch: study, series, instance and, in extended scope, header.

    *archive* holds what does not say itself which archives hold it.
    """
    studies: dict[tuple[str, str], Row] = {}
    series: dict[tuple[str, str, str], Row] = {}
    instances: dict[tuple[str, str, str, str], Row] = {}
    whole = {item.instance: item for item in extended}
    holders: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for item in basic:
        study_key = (str(item.patient), item.study)
        if study_key not in studies:
            studies[study_key] = _study(item, whole.get(item.instance))
        holders[study_key].update(dict.fromkeys(item.archives or (archive,)))
        series_key = (*study_key, item.series)
        if series_key not in series:
            series[series_key] = _typed(SERIES, item, {"series": item.series}, whole.get(item.instance))
        known = {
            "series": item.series,
            "instance": item.instance,
            "scope": str(scope),
            "archives": " ".join(item.archives) or None,
        }
        retrieved = whole.get(item.instance)
        row = _typed(INSTANCE, item, known, retrieved)
        more = retrieved.flags if retrieved else ()
        row["flags"] = " ".join(dict.fromkeys([*str(row["flags"] or "").split(), *more]))
        instances[*series_key, item.instance] = row
    for study_key, names in holders.items():
        studies[study_key]["archive"] = " ".join(names)
    tables = {
        "study": _table(STUDY, studies.values()),
        "series": _table(SERIES, series.values()),
        "instance": _table(INSTANCE, instances.values()),
    }
    if scope is Scope.EXTENDED:
        tables["header"] = _header_table(extended)
    return tables


def _study(item: ReleasedHeader, retrieved: ReleasedHeader | None) -> Row:
    known = {
        "accession": _answered(_ACCESSION, item, retrieved),
        "case": _answered(_ADMISSION, item, retrieved),
    }
    return _typed(STUDY, item, known, retrieved)


def _answered(tag: str, item: ReleasedHeader, retrieved: ReleasedHeader | None) -> str | None:
    """Return what the archive answered, else what the retrieved header says, else None."""
    return text_of(item.elements, tag) or (text_of(retrieved.elements, tag) if retrieved else "") or None


def _typed(
    schema: pa.Schema,
    item: ReleasedHeader,
    known: Mapping[str, str | None],
    retrieved: ReleasedHeader | None,
) -> Row:
    """Return the row of *item*; what the archive did not answer is taken from the *retrieved* header."""
    row: Row = {"patient": str(item.patient), "study": item.study, **known}
    flags = list(item.flags)
    for name, tag, convert in _typed_columns(schema):
        element = item.elements.get(tag)
        if retrieved is not None and (element is None or not element.values):
            element = retrieved.elements.get(tag)
        try:
            row[name] = convert(element) if element and element.values else None
        except (ValueError, OverflowError):
            row[name] = None
            flags.append("malformed_value")
    row["flags"] = " ".join(dict.fromkeys(flags))
    return row


def _whole(element: Element) -> int:
    return int(float(element.values[0]))


def _int32(element: Element) -> int:
    return _within(_INT32, _whole(element))


def _int64(element: Element) -> int:
    return _within(_INT64, _whole(element))


def _within(limit: int, number: int) -> int:
    if abs(number) >= limit:
        raise OverflowError
    return number


def _day(element: Element) -> date:
    return date.fromisoformat(str(element.values[0])[:8])


_CONVERTERS: Final[Mapping[pa.DataType, Callable[[Element], object]]] = {
    pa.string(): lambda element: element.text,
    pa.int32(): _int32,
    pa.int64(): _int64,
    pa.date32(): _day,
}


@cache
def _typed_columns(schema: pa.Schema) -> list[tuple[str, str, Callable[[Element], object]]]:
    """Return name, tag and converter of the columns that are named by a DICOM keyword."""
    return [
        (column.name, tag_of(column.name), _CONVERTERS[column.type])
        for column in schema
        if column.name[0].isupper()
    ]


def _table(schema: pa.Schema, rows: Iterable[Row]) -> pa.Table:
    listed = list(rows)
    return pa.table(
        {column.name: pa.array([row.get(column.name) for row in listed], column.type) for column in schema},
        schema=schema,
    )


class _Values:
    """Rows of ``header`` without their owner: those of each distinct element are made once.

    Most elements of a patient repeat from image to image and are the same object, so that a million rows come
    from a few thousand.
    """

    def __init__(self) -> None:
        self._rows: dict[int, tuple[int, ...]] = {}
        self._elements: list[Element] = []  # keeps their ids from being given to others
        self._columns: dict[str, list[object]] = {name: [] for name in HEADER.names[_OWNED:]}

    def append(self, elements: Iterable[Element], places: "array[int]") -> None:
        """Append the numbers of the rows of *elements* to *places*; a private element has none."""
        known, append = self._rows, places.append
        for element in elements:
            rows = known.get(id(element))
            if rows is None:
                rows = self._made(element)
            if len(rows) == 1:
                append(rows[0])
            else:
                places.extend(rows)

    def _made(self, element: Element) -> tuple[int, ...]:
        begin = len(self._columns["path"])
        for row in _values(element):
            for column, cell in zip(self._columns.values(), row, strict=True):
                column.append(cell)
        rows = self._rows[id(element)] = tuple(range(begin, len(self._columns["path"])))
        self._elements.append(element)
        return rows

    def columns(self, places: pa.Array) -> list[pa.Array]:
        """Return the columns of the rows numbered *places*."""
        return [
            pa.array(cells, HEADER.field(name).type).take(places) for name, cells in self._columns.items()
        ]


def _header_table(headers: Iterable[ReleasedHeader]) -> pa.Table:
    values = _Values()
    owners: list[tuple[str, str, str, str]] = []
    places, counts = array("q"), array("q")
    for item in headers:
        before = len(places)
        values.append(item.elements.values(), places)
        owners.append((str(item.patient), item.study, item.series, item.instance))
        counts.append(len(places) - before)
    owner = pa.array(np.repeat(np.arange(len(owners)), np.frombuffer(counts, np.int64)))
    ids = [pa.array([one[i] for one in owners], pa.string()).take(owner) for i in range(_OWNED)]
    return pa.table([*ids, *values.columns(pa.array(np.frombuffer(places, np.int64)))], schema=HEADER)


def _values(element: Element) -> Iterator[tuple[object, ...]]:
    """Yield path, keyword, VR, index and the value as number, date and text, once a value."""
    path = element.path
    if _PRIVATE.search(path):
        return  # the warehouse takes standard attributes; safe private ones leave in files
    keyword = keyword_of(path)
    for index, value in enumerate(element.values or (None,)):
        yield path, keyword, element.vr, index, *_split(element.vr, value)


def _split(vr: str, value: Value | None) -> tuple[float | None, date | None, str | None]:
    if value is None:
        return None, None, None
    if vr in _NUMBERS:
        try:
            return float(value), None, str(value)
        except (ValueError, OverflowError):
            return None, None, str(value)
    if vr == "DA":
        try:
            return None, date.fromisoformat(str(value)), str(value)
        except ValueError:
            return None, None, str(value)
    return None, None, str(value)
