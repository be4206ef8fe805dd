"""The canonical tables as they are, Parquet or CSV, with a data dictionary: a warehouse is rebuilt from it.

Every table is written in the order in which its rows lie, so that a rebuilt warehouse answers as fast.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa

from p2d.warehouse.exchange.dictionary import TYPES, Column, Layout, layouts
from p2d.warehouse.exchange.form import Progress
from p2d.warehouse.exchange.publication import Publication
from p2d.warehouse.exchange.sinks import FILES, PATIENT_KEY, ParquetParts, Sink, part_names
from p2d.warehouse.exchange.source import DERIVED, Source

FORM: Final = "canonical"
DICTIONARY: Final = "datapackage.json"
_NAMES: Final = {kind: name for name, kind in TYPES.items()}
_PROMOTED: Final = "DICOM attribute promoted to a column at this site"
_UNDESCRIBED: Final = "see docs/reference/exchange.md"


def write_dump(
    source: Source,
    publication: Publication,
    kind: str,
    show: Callable[[Progress], None] = lambda _: None,
    parts: int = 1,
) -> Mapping[str, int]:
    """Write every table of *source* as files of *kind* (parquet, csv) and return the rows of each.

    *show* is told how far it is and may raise to stop. With more than one of *parts* the tables of patients
    are that many Parquet files each, see ``sinks.ParquetParts``.
    """
    sink: Sink = ParquetParts(publication, parts) if parts > 1 else FILES[kind](publication)
    counts: dict[str, int] = {}
    described = []
    for table in source.columns():
        if table in DERIVED:
            continue
        reader = source.stream(table)
        sink.write(table, reader.schema.empty_table())
        counts[table] = 0
        for batch in reader:
            sink.write(table, pa.Table.from_batches([batch]))
            counts[table] += batch.num_rows
            show(Progress(len(counts), sum(counts.values())))
        entry = layout_of(table, reader.schema).described()
        is_in_parts = parts > 1 and PATIENT_KEY in reader.schema.names
        path = part_names(table, parts) if is_in_parts else f"{table}.{kind}"
        described.append({**entry, "path": path, "rows": counts[table]})
    sink.finish()
    write_dictionary(publication, described)
    return counts


def write_dictionary(publication: Publication, tables: list[dict[str, Any]]) -> None:
    """Write the data dictionary of *tables* in the form of a data package (frictionless, version 1)."""
    package = {"profile": "data-package", "name": publication.form, "resources": tables}
    file = publication.file(DICTIONARY)
    file.write(json.dumps(package, indent=1, ensure_ascii=False).encode() + b"\n")
    file.rows = len(tables)


def layout_of(table: str, schema: pa.Schema) -> Layout:
    """Return the layout of the canonical *table* whose columns are *schema*."""
    known = {c.name: c.meaning for c in layouts(FORM)[table].columns} if table in layouts(FORM) else {}
    return Layout(
        table,
        tuple(
            Column(column.name, _NAMES[column.type], known.get(column.name) or _unknown(column.name))
            for column in schema
        ),
    )


def _unknown(column: str) -> str:
    return _PROMOTED if column[:1].isupper() else _UNDESCRIBED
