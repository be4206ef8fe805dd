"""P2D's own form: patient.csv, case.csv, document.csv and fact.csv with the columns of the batch by name.

``p2d identity pseudonymise`` writes them. Other columns are refused; a file without rows has its header.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from p2d.clinical.chunk import Chunk, Tally
from p2d.clinical.files import column_names
from p2d.clinical.mapped import MappedSource
from p2d.clinical.mapping import IntakeMapping
from p2d.model.errors import InvalidRequest

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "patient": ("patient", "sex", "birth_year"),
    "case": ("patient", "case", "start", "end", "type"),
    "document": ("patient", "case", "document", "kind", "date", "accession", "text"),
    "fact": ("patient", "case", "document", "group", "attribute", "date", "number", "code", "text", "unit"),
}
MORE: Final[Mapping[str, tuple[str, ...]]] = {"document": ("source",), "fact": ("time", "source")}
"""Columns that may be left out."""


class NativeSource:
    """The four files of *folder*."""

    def __init__(self, folder: Path) -> None:
        tables: list[dict[str, Any]] = []
        for table in COLUMNS:
            columns = {("birth" if name == "birth_year" else name): name for name in _columns(folder, table)}
            tables.append({"into": table, "file": f"{table}.csv", "columns": columns, "only": True})
        self._source = MappedSource(folder, IntakeMapping.model_validate({"version": 1, "table": tables}))

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """The account of the latest reading of each table."""
        return self._source.tallies

    def chunks(self, table: str) -> Iterator[Chunk]:
        """Yield the rows of *table*; see the port."""
        return self._source.chunks(table)


def _columns(folder: Path, table: str) -> list[str]:
    needed, path = COLUMNS[table], folder / f"{table}.csv"
    remedy = f"needed: {','.join(needed)}"
    if not path.is_file():
        remedy = f"the folder needs it, if only with its header: {','.join(needed)}"
        raise InvalidRequest(path.name, "is not readable", remedy)
    found = column_names(path)
    for column in needed:
        if column not in found:
            raise InvalidRequest(f"{path.name} line 1", f"lacks column {column}", remedy)
    if not set(found) <= {*needed, *MORE.get(table, ())}:
        raise InvalidRequest(f"{path.name} line 1", "has a column that is not known", remedy)
    return found
