"""Clinical data of any format as identified rows, each patient with all that is known of the person.

Rows that the format's reader finds at fault are left out and counted. OMOP and i2b2 hold no names; a table of
persons adds them, so that texts can be cleaned.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from p2d.clinical.chunk import Chunk, Source
from p2d.clinical.files import batches, column_names
from p2d.flows.gateway.clinical_files import SEPARATOR, Row
from p2d.model.errors import InvalidRequest

_RENAMED: Final[Mapping[str, str]] = {
    "patient": "patient_id",
    "case": "case_id",
    "document": "document_id",
    "group": "group_id",
    "accession": "accession_number",
    "birth": "birth_date",
    "names": "name",
}
Persons = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Patient id -> names and contacts."""


def rows_of(source: Source, table: str, persons: Persons, refuse: Callable[[str], None]) -> Iterator[Row]:
    """Yield the rows of *table*; *refuse* is told why one is left out."""
    for chunk in source.chunks(table):
        faulty = _faulty(chunk)
        for number, fields in enumerate(chunk.values.to_pylist()):
            if number in faulty:
                refuse(faulty[number])
                continue
            if table == "patient":
                names, contacts = persons.get(fields["patient"] or "", ((), ()))
                fields["names"] = [*(fields["names"] or ()), *names]
                fields["contacts"] = [*(fields["contacts"] or ()), *contacts]
            cells = {_RENAMED.get(name, name): _cell(value) for name, value in fields.items()}
            yield Row(chunk.file, chunk.rows[number].as_py(), cells)


def read_persons(path: Path) -> Persons:
    """Return names and contacts by patient id from the CSV or Parquet file at *path*.

    Its columns are ``patient_id`` and ``name`` (as ``Family^Given`` or as written); every further column
    holds addresses or telephone numbers. A patient may stand in several rows, as with a former name.

    Raises:
        InvalidRequest: unreadable, or without one of the two columns.

    """
    columns = column_names(path)
    for column in ("patient_id", "name"):
        if column not in columns:
            raise InvalidRequest(f"{path.name} line 1", f"lacks column {column}", "name both columns so")
    names: dict[str, Counter[str]] = {}
    contacts: dict[str, Counter[str]] = {}
    for _, batch in batches(path, columns):
        for row in batch.to_pylist():
            patient = _cell(row["patient_id"]).strip()
            names.setdefault(patient, Counter()).update(filter(None, [_cell(row["name"]).strip()]))
            more = (_cell(value).strip() for name, value in row.items() if name not in {"patient_id", "name"})
            contacts.setdefault(patient, Counter()).update(filter(None, more))
    return {patient: (tuple(names[patient]), tuple(contacts[patient])) for patient in names}


def _faulty(chunk: Chunk) -> dict[int, str]:
    """Return the first reason of every row at fault."""
    found: dict[int, str] = {}
    for fault in chunk.faults:
        for number in pc.indices_nonzero(pc.fill_null(fault.bad, False)).to_pylist():
            found.setdefault(number, f"{fault.field} {fault.problem}")
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return SEPARATOR.join(value)
    return repr(value) if isinstance(value, float) else str(value)
