"""The Parquet copy that Spark reads: the newest whole dump below a folder, its tables and what they hold.

A dump appears by two renames (``exchange.publication``), so that no reader ever sees half a load. One that is
open stays open: the folder of its version is removed ``[exchange] versions`` exports later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.warehouse.duckdb.opening import SCHEMA_VERSION
from p2d.warehouse.exchange.dictionary import TYPES
from p2d.warehouse.exchange.dump import FORM
from p2d.warehouse.exchange.publication import Published
from p2d.warehouse.exchange.rebuild import paths_of, tables_of
from p2d.warehouse.exchange.sinks import PATIENT_KEY

_FIELD: Final = "spark.directory"
_REMEDY: Final = "run: p2d warehouse export --form parquet, with this version of P2D"


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """One table: its files, its columns with their types as the data dictionary calls them, its rows."""

    files: Sequence[Path]
    columns: Mapping[str, str]
    rows: int

    def read(self, *, where: pc.Expression | None = None) -> pa.Table:
        """Return the rows that fulfil *where*; of parts only those that can hold some are read."""
        schema = pa.schema([(name, TYPES[kind]) for name, kind in self.columns.items()])
        parts = [pq.read_table(file, filters=where, partitioning=None) for file in self.files]
        return pa.concat_tables(part.cast(schema) for part in parts)


@dataclass(frozen=True, slots=True)
class Copy:
    """One version of the warehouse as Parquet files; ``version`` is that of the data."""

    label: str
    version: int
    tables: Mapping[str, CopiedTable]

    @classmethod
    def newest(cls, folder: Path) -> Self:
        """Return the newest whole copy below *folder*.

        Raises:
            Misconfigured: there is none, or it is no Parquet dump of this version of P2D.

        """
        try:
            published = Published.current(folder)
            described = tables_of(published)
        except InvalidRequest as error:
            raise Misconfigured(_FIELD, f"holds no whole export ({error.problem})", _REMEDY) from None
        manifest = published.manifest
        files = [path for table in described for path in paths_of(table)]
        if manifest.get("form") != FORM or not all(path.endswith(".parquet") for path in files):
            raise Misconfigured(_FIELD, "holds an export of another form", _REMEDY)
        if manifest.get("schema_version") != SCHEMA_VERSION:
            raise Misconfigured(_FIELD, f"is not of schema version {SCHEMA_VERSION}", _REMEDY)
        tables = {
            table["name"]: CopiedTable(
                [published.folder / path for path in paths_of(table)],
                {field["name"]: field["type"] for field in table["schema"]["fields"]},
                int(table["rows"]),
            )
            for table in described
        }
        return cls(published.folder.name, int(manifest["data_version"]), tables)

    def of_patient(self, key: int) -> Mapping[str, pa.Table]:
        """Return the rows of the patient *key* in every table that has patients."""
        is_theirs = pc.field(PATIENT_KEY) == key
        found = {}
        for name, table in self.tables.items():
            if PATIENT_KEY in table.columns:
                count = len(table.files)
                own = CopiedTable([table.files[key % count]], table.columns, table.rows)
                found[name] = own.read(where=is_theirs)
        return found
