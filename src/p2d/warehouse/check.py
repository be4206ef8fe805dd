"""The door of the warehouse: refuses whatever is not a pseudonym, before a row is written.

Errors name table, column, first row and number of rows, never a value. What this cannot see is whether free
text still holds a name; that is the work of de-identification and of ``p2d identity pseudonymise``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p2d.model.errors import InvalidRequest
from p2d.model.ids import has_valid_check
from p2d.warehouse.batch import SCHEMAS, Batch
from p2d.warehouse.distinct import Distinct, joint_ranks
from p2d.warehouse.wire import NATURAL_KEYS, SOURCES

_DUMMY_NAME: Final = "REMOVED"  # what de-identification writes where a name must not be empty
_PATIENT_LENGTH: Final = 18
_ACCESSION_LENGTH: Final = 16  # VR SH, PS3.5 6.2
_CASE_LENGTH: Final = 18
_OLDEST: Final = 91  # years; ages over 89 are aggregated by the de-identification
_EARLIEST: Final = date(1900, 1, 1)
_LATEST_YEARS: Final = 11  # a shift reaches ten years into the future at most
_UID: Final = r"^2\.25\.(0|[1-9][0-9]{0,38})$"
_NAME: Final = r"^[a-z][a-z0-9_-]{0,31}$"
_NAMES: Final = r"^[a-z][a-z0-9_-]{0,31}( [a-z][a-z0-9_-]{0,31})*$"
_WORD: Final = r"^\pL[\pL\pN _./%()+-]{0,79}$"
_PERSON: Final = r"(00100010|00100020|00101000|00101001|00101005|00101060)$"  # PatientName … mother's name
_HIERARCHY: Final = r"(0020000D|0020000E|00080018|00200052)$"
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_PRIVATE: Final = r"(^|\.)[0-9A-F]{3}[13579BDF]"
_UID_KEYWORD: Final = r"(InstanceUID|FrameOfReferenceUID)$"
_KNOWN_UID: Final = r"^(2\.25\.(0|[1-9][0-9]{0,38})|1\.2\.840\.10008\.[0-9.]+)$"
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
    ("fact", "attribute", _WORD),
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


def patient_rule(patient_form: str | None = None) -> Callable[[str], bool]:
    """Return the test of a patient pseudonym: P2D's own form, or a foreign IDM's *patient_form*."""
    if patient_form is not None:
        return lambda text: re.fullmatch(patient_form, text) is not None
    return lambda text: len(text) == _PATIENT_LENGTH and text[0] == "P" and has_valid_check(text)


def is_case(text: str) -> bool:
    """Whether *text* has the form of a case pseudonym: ``C``, 16 characters, check character."""
    return len(text) == _CASE_LENGTH and text[0] == "C" and has_valid_check(text)


def is_accession(text: str) -> bool:
    """Whether *text* has the form of an accession pseudonym: ``A``, 14 characters, check character."""
    return len(text) == _ACCESSION_LENGTH and text[0] == "A" and has_valid_check(text)


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


def check(batch: Batch, patient_form: str | None = None) -> None:
    """Return if every value of *batch* may enter the warehouse.

    Raises:
        InvalidRequest: an unknown table or column, a value that is not a pseudonym where one is due, a date
            or year out of range, a header that names a person, or two rows with one natural key.

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
    for name, table in batch.tables.items():
        for finding in findings(name, table, patient_form):
            rows = finding.rows()
            if rows:
                field, problem = f"{name}.{finding.column}", f"row {rows[0] + 1}: {finding.problem}"
                raise InvalidRequest(field, f"{problem}; {len(rows)} row(s) in all", _REMEDY)
        _check_unique(name, table)


def findings(name: str, table: pa.Table, patient_form: str | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the values of the table *name*, most telling first."""
    yield from _ids(name, table, patient_rule(patient_form))
    yield from _dates(name, table)
    if name == "header":
        yield from _header(table)


def _ids(name: str, table: pa.Table, is_patient: Callable[[str], bool]) -> Iterator[Finding]:
    for column in _REQUIRED[name]:
        yield Finding(column, pc.is_null(table[column]), "is empty")
    rules = (("patient", is_patient), ("case", is_case), ("accession", is_accession))
    for column, rule in rules:
        if column in table.column_names:
            bad = [t for t in pc.unique(table[column]).to_pylist() if t is not None and not rule(t)]
            yield Finding(column, pc.is_in(table[column], pa.array(bad, pa.string())), "is not a pseudonym")
    for column in _UIDS.get(name, ()):
        yield Finding(column, _mismatch(table[column], _UID), "is not a derived UID")
    for form_table, column, form in _FORMS:
        if form_table == name:
            yield Finding(column, _mismatch(table[column], form), "does not have the form of its kind")
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


def _header(table: pa.Table) -> Iterator[Finding]:
    path, vr, text, keyword = (table[column] for column in ("path", "vr", "text", "keyword"))
    paths, keywords = Distinct(path), Distinct(keyword)
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
    foreign = pc.and_(valued, pc.invert(pc.fill_null(Distinct(text).where(_matching(_KNOWN_UID)), False)))
    yield Finding("text", pc.and_(uids, foreign), "holds a UID that is not derived")
    numbers = pc.or_(
        pc.equal(keyword, "AccessionNumber"), paths.where(lambda one: pc.ends_with(one, "00080050"))
    )
    found = pc.unique(pc.filter(text, pc.fill_null(numbers, False))).to_pylist()
    bad = pa.array([value for value in found if value and not is_accession(value)], pa.string())
    yield Finding(
        "text", pc.and_(numbers, pc.is_in(text, bad)), "holds an accession number that is not a pseudonym"
    )


def _matching(pattern: str) -> Callable[[Any], Any]:
    return lambda values: pc.match_substring_regex(values, pattern)


def _check_unique(name: str, table: pa.Table) -> None:
    keys = list(NATURAL_KEYS[name])
    if _is_unique(table.select(keys)):
        return
    numbered = table.select(keys).append_column("row", pa.array(np.arange(table.num_rows)))
    groups = numbered.group_by(keys).aggregate([("row", "max"), ("row", "count")])
    twice = pc.filter(groups["row_max"], pc.greater(groups["row_count"], 1))
    raise InvalidRequest(
        f"{name}.{keys[-1]}",
        f"row {pc.min(twice).as_py() + 1}: repeats the key ({', '.join(keys)}) of an earlier row; "
        f"{table.num_rows - groups.num_rows} row(s) too many",
        "send each row once",
    )


def _is_unique(table: pa.Table) -> bool:
    if any(pa.types.is_floating(kind) for kind in table.schema.types):  # NaN is no value to rank
        return bool(table.num_rows == table.group_by(table.column_names).aggregate([]).num_rows)
    return not table.num_rows or len(np.unique(joint_ranks(table.columns))) == table.num_rows


def _mismatch(column: Any, pattern: str) -> Any:
    return Distinct(column).where(lambda values: pc.invert(pc.match_substring_regex(values, pattern)))
