"""The door of the warehouse: refuses whatever is not a pseudonym, before a row is written.

Errors name table, column, first row and number of rows, never a value. What this cannot see is whether free
text still holds a name; that is the work of de-identification and of ``p2d identity pseudonymise``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p2d.model.errors import InvalidRequest
from p2d.warehouse.batch import SCHEMAS, Batch
from p2d.warehouse.distinct import Columns, Distinct
from p2d.warehouse.pseudonyms import FORMS, not_pseudonyms
from p2d.warehouse.wire import NATURAL_KEYS, SOURCES

_DUMMY_NAME: Final = "REMOVED"  # what de-identification writes where a name must not be empty
_OLDEST: Final = 91  # years; ages over 89 are aggregated by the de-identification
_EARLIEST: Final = date(1900, 1, 1)
_LATEST_YEARS: Final = 11  # a shift reaches ten years into the future at most
_UID: Final = r"^2\.25\.(0|[1-9][0-9]{0,38})$"
_NAME: Final = r"^[a-z][a-z0-9_-]{0,31}$"
_NAMES: Final = r"^[a-z][a-z0-9_-]{0,31}( [a-z][a-z0-9_-]{0,31})*$"
_WORD: Final = r"^\pL[\pL\pN _./%()+-]*$"
_LONGEST: Final = (
    80  # characters; counted apart, as a pattern with 80 places costs more to read than to match
)
_TIME: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_PERSON: Final = r"(00100010|00100020|00101000|00101001|00101005|00101060)$"  # PatientName … mother's name
_HIERARCHY: Final = r"(0020000D|0020000E|00080018|00200052)$"
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_PRIVATE: Final = r"(^|\.)[0-9A-F]{3}[13579BDF]"
_UID_KEYWORD: Final = r"(InstanceUID|FrameOfReferenceUID)$"
_KNOWN_UID: Final = r"^(2\.25\.(0|[1-9][0-9]{0,38})|1\.2\.840\.10008\.[0-9.]+)$"
_NOT_PSEUDONYM: Final = "is not a pseudonym"
_NOT_DERIVED: Final = "is not a derived UID"
_PRIVATE_PROBLEMS: Final = (_NOT_PSEUDONYM, _NOT_DERIVED)
_REMEDY: Final = "load pseudonymised data only (clinical data: p2d identity pseudonymise)"

_UIDS: Final[Mapping[str, tuple[str, ...]]] = {
    "document": ("document",),
    "fact": ("document", "group"),
    "study": ("study",),
    "series": ("study", "series"),
    "instance": ("study", "series", "instance"),
    "header": ("study", "series", "instance"),
    "presence": ("study",),
}
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "patient": ("patient",),
    "case": ("patient", "case"),
    "document": ("patient", "document", "kind"),
    "fact": ("patient", "attribute"),
    "study": ("patient", "study"),
    "series": ("patient", "study", "series"),
    "instance": ("patient", "study", "series", "instance", "scope"),
    "header": ("patient", "study", "path", "keyword", "vr", "item"),
    "presence": ("patient", "study", "archive", "state"),
}
_FORMS: Final = (
    ("patient", "sex", r"^[A-Za-z]{1,16}$"),
    ("case", "type", _WORD),
    ("document", "kind", _WORD),
    ("document", "source", _WORD),
    ("fact", "attribute", _WORD),
    ("fact", "time", _TIME),
    ("fact", "source", _WORD),
    ("instance", "scope", r"^(basic|extended)$"),
    ("instance", "SOPClassUID", r"^[0-9.]{0,64}$"),
    ("header", "path", r"^([0-9A-F]{8}\[[0-9]{1,6}\]\.)*[0-9A-F]{8}$"),
    ("header", "keyword", r"^[A-Za-z0-9]{0,64}$"),
    ("header", "vr", r"^[A-Z]{2}$"),
    ("study", "archive", _NAMES),
    ("presence", "archive", _NAME),
    ("presence", "state", r"^(gone|present)$"),
    ("instance", "archives", _NAMES),
    ("study", "flags", r"^[a-z0-9_ ]*$"),
    ("series", "flags", r"^[a-z0-9_ ]*$"),
    ("instance", "flags", r"^[a-z0-9_ ]*$"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows of a table that may not enter: a boolean for every row, true where it may not."""

    column: str
    bad: Any
    problem: str

    def rows(self) -> list[int]:
        """Return the indices of the rows that may not enter."""
        found = np.flatnonzero(np.asarray(pc.fill_null(self.bad, False)))
        return [int(index) for index in found]


def check_form(batch: Batch) -> None:
    """Return if *batch* has an id, a source, and tables with the columns of ``SCHEMAS``.

    Raises:
        InvalidRequest: the id, the source, a table or a column is another one.

    """
    if not _BATCH_ID.fullmatch(batch.batch_id):
        raise InvalidRequest("batch_id", "is not 1 to 128 characters of A-Z a-z 0-9 . _ : -", "rename it")
    if batch.source not in SOURCES:
        raise InvalidRequest("source", "is not a known source", f"use {', '.join(SOURCES)}")
    for name, table in batch.tables.items():
        if name not in SCHEMAS or table.schema.names != SCHEMAS[name].names:
            raise InvalidRequest("tables", "hold an unknown table or column", f"send {', '.join(SCHEMAS)}")
        if table.schema.types != SCHEMAS[name].types:
            raise InvalidRequest(name, "has a column of another type", "use p2d.warehouse.batch.SCHEMAS")


def check(batch: Batch, patient_form: str | None = None) -> None:
    """Return if every value of *batch* may enter the warehouse.

    Raises:
        InvalidRequest: as ``check_form``, a value that is not a pseudonym where one is due, a date or year
            out of range, a header that names a person, or two rows with one natural key.

    """
    check_form(batch)
    for name in batch.tables:
        columns = batch.columns(name)
        for finding in _findings(name, columns, patient_form):
            _refuse(name, finding)
        _check_unique(name, columns)


def check_private(name: str, columns: Columns, patient_form: str | None = None) -> None:
    """Return if the table *name* holds pseudonyms, and nothing else, where they are due.

    Raises:
        InvalidRequest: it does not; then none of its batch may enter.

    """
    for finding in _findings(name, columns, patient_form):
        if finding.problem in _PRIVATE_PROBLEMS:
            _refuse(name, finding)


def _refuse(name: str, finding: Finding) -> None:
    rows = finding.rows()
    if rows:
        field, problem = f"{name}.{finding.column}", f"row {rows[0] + 1}: {finding.problem}"
        raise InvalidRequest(field, f"{problem}; {len(rows)} row(s) in all", _REMEDY)


def findings(name: str, table: pa.Table, patient_form: str | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the values of the table *name*, most telling first."""
    return _findings(name, Columns(table), patient_form)


def _findings(name: str, columns: Columns, patient_form: str | None) -> Iterator[Finding]:
    yield from _ids(name, columns, patient_form)
    yield from _dates(name, columns.table)
    if name == "header":
        yield from _header(columns)


def _ids(name: str, columns: Columns, patient_form: str | None) -> Iterator[Finding]:
    table = columns.table
    for column in _REQUIRED[name]:
        yield Finding(column, pc.is_null(table[column]), "is empty")
    for column in FORMS:
        if column in table.column_names:
            form = patient_form if column == "patient" else None
            bad = columns[column].where(partial(not_pseudonyms, kind=column, patient_form=form))
            yield Finding(column, bad, _NOT_PSEUDONYM)
    for column in _UIDS.get(name, ()):
        yield Finding(column, _mismatch(columns[column], _UID), _NOT_DERIVED)
    for form_table, column, form in _FORMS:
        if form_table == name:
            yield Finding(column, _mismatch(columns[column], form), "does not have the form of its kind")
    if name in {"fact", "header"}:
        yield Finding("number", pc.invert(pc.is_finite(table["number"])), "is not a finite number")


def _dates(name: str, table: pa.Table) -> Iterator[Finding]:
    today = datetime.now(tz=UTC).date()
    if name == "patient":
        year = table["birth_year"]
        bad = pc.or_(pc.less(year, today.year - _OLDEST), pc.greater(year, today.year + _LATEST_YEARS))
        yield Finding("birth_year", bad, f"is before {today.year - _OLDEST} or in the future")
    if name not in {"case", "document", "fact"}:
        return  # strange dates of the archive are kept as they are
    latest = date(today.year + _LATEST_YEARS, 12, 31)
    for column in sorted({"start", "end", "date"} & set(table.column_names)):
        day = table[column]
        first, last = pa.scalar(_EARLIEST, pa.date32()), pa.scalar(latest, pa.date32())
        yield Finding(column, pc.or_(pc.less(day, first), pc.greater(day, last)), "is out of range")
    if name == "case":
        yield Finding("end", pc.less(table["end"], table["start"]), "is before the case's start")


def _header(columns: Columns) -> Iterator[Finding]:
    table = columns.table
    vr, text, keyword = (table[column] for column in ("vr", "text", "keyword"))
    paths, keywords = columns["path"], columns["keyword"]
    yield Finding("path", paths.where(_matching(_PRIVATE)), "is an element of a private group")
    valued = pc.or_(
        pc.and_(pc.is_valid(text), pc.fill_null(pc.not_equal(text, ""), False)),
        pc.or_(pc.is_valid(table["date"]), pc.is_valid(table["number"])),
    )
    birth = pc.or_(
        paths.where(lambda one: pc.ends_with(one, "00100030")), pc.equal(keyword, "PatientBirthDate")
    )
    yield Finding("path", pc.and_(birth, valued), "holds a birth date")
    other = pc.and_(valued, pc.fill_null(pc.not_equal(text, table["patient"]), True))
    patient_id = pc.or_(paths.where(_matching(_PERSON)), pc.equal(keyword, "PatientID"))
    yield Finding("text", pc.and_(patient_id, other), "holds a name or patient id other than the pseudonym")
    named = pc.and_(pc.equal(vr, "PN"), pc.fill_null(pc.not_equal(text, _DUMMY_NAME), True))
    yield Finding("text", pc.and_(named, other), "holds a name other than the pseudonym")
    uids = pc.or_(keywords.where(_matching(_UID_KEYWORD)), paths.where(_matching(_HIERARCHY)))
    foreign = pc.and_(valued, pc.invert(pc.fill_null(columns["text"].where(_matching(_KNOWN_UID)), False)))
    yield Finding("text", pc.and_(uids, foreign), "holds a UID that is not derived")
    numbers = pc.or_(
        pc.equal(keyword, "AccessionNumber"), paths.where(lambda one: pc.ends_with(one, "00080050"))
    )
    bad = columns["text"].where(partial(not_pseudonyms, kind="accession"))
    foreign = pc.and_(pc.and_(numbers, bad), pc.not_equal(text, ""))
    yield Finding("text", foreign, "holds an accession number that is not a pseudonym")


def _matching(pattern: str) -> Callable[[Any], Any]:
    return lambda values: pc.match_substring_regex(values, pattern)


def _check_unique(name: str, columns: Columns) -> None:
    keys = NATURAL_KEYS[name]
    twice = repeated(columns.joint_ranks(keys))
    if twice.any():
        raise InvalidRequest(
            f"{name}.{keys[-1]}",
            f"row {int(np.argmax(twice)) + 1}: repeats the key ({', '.join(keys)}) of an earlier row; "
            f"{int(twice.sum())} row(s) too many",
            "send each row once",
        )


def repeated(ranks: Any) -> Any:
    """Return, for every row, whether an earlier one has the same of *ranks*."""
    found = np.zeros(len(ranks), bool)
    order = np.argsort(ranks, kind="stable")
    found[order[1:]] = ranks[order[1:]] == ranks[order[:-1]]
    return found


def _mismatch(column: Distinct, pattern: str) -> Any:
    def differs(values: Any) -> Any:
        found = pc.invert(pc.match_substring_regex(values, pattern))
        return pc.or_(found, pc.greater(pc.utf8_length(values), _LONGEST)) if pattern is _WORD else found

    return column.where(differs)
