"""A batch as bytes and back; the bytes come from another host and are not trusted.

Form: an uncompressed ZIP of ``manifest.json`` and one Parquet file a table. ``decode`` refuses what is larger
than its limits before the memory is spent. The digest covers *content*, not these bytes: see ``digest``.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from p2d.model.errors import InvalidRequest
from p2d.warehouse.batch import OPTIONAL, SCHEMAS, Batch, completed
from p2d.warehouse.distinct import Columns, in_parallel

MEDIA_TYPE: Final = "application/vnd.p2d.batch+zip"
SOURCES: Final = ("clinical", "basic", "extended", "sync")
NATURAL_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "patient": ("patient",),
    "case": ("patient", "case"),
    "document": ("patient", "document"),
    "fact": ("patient", "document", "group", "attribute", "date", "code", "number", "text", "time"),
    "study": ("patient", "study"),
    "series": ("patient", "study", "series"),
    "instance": ("patient", "study", "series", "instance"),
    "header": ("patient", "study", "series", "instance", "path", "item"),
    "presence": ("patient", "study", "archive"),
}
_MANIFEST: Final = "manifest.json"
_MANIFEST_FIELDS: Final = ("batch_id", "source", "run_id", "digest")
_MANIFEST_BYTES: Final = 64 * 1024
_ROW_GROUP: Final = 131_072
_RATIO_FLOOR: Final = (
    64 * 1024 * 1024
)  # repetition compresses well; small tables may be as dense as they like
_REMEDY: Final = "send the bytes of p2d.warehouse.wire.encode"


@dataclass(frozen=True, slots=True)
class Limits:
    """What ``decode`` accepts at most: bytes of the ZIP, rows and bytes in memory, growth between the two."""

    wire_bytes: int = 512 * 1024 * 1024
    rows: int = 5_000_000
    memory_bytes: int = 2 * 1024 * 1024 * 1024
    ratio: float = 200.0


def encode(batch: Batch) -> bytes:
    """Return *batch* as the bytes that ``POST /load`` takes."""
    manifest = {
        "batch_id": batch.batch_id,
        "source": batch.source,
        "run_id": batch.run_id,
        "digest": digest(batch),
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_MANIFEST), json.dumps(manifest, sort_keys=True))
        for name in sorted(batch.tables):
            table = io.BytesIO()
            pq.write_table(batch.tables[name], table, compression="zstd", row_group_size=_ROW_GROUP)
            archive.writestr(zipfile.ZipInfo(f"{name}.parquet"), table.getvalue())
    return target.getvalue()


def decode(content: bytes, limits: Limits = Limits()) -> Batch:
    """Return the batch in *content*.

    Raises:
        InvalidRequest: not the form of ``encode``, beyond *limits*, or the digest is not that of the content.

    """
    if len(content) > limits.wire_bytes:
        raise InvalidRequest(
            "batch", f"is larger than {limits.wire_bytes} bytes", "send fewer patients a batch"
        )
    try:
        batch, claimed = _unpack(content, limits)
    except (zipfile.BadZipFile, pa.ArrowException, OSError, ValueError, KeyError, EOFError, RuntimeError):
        raise InvalidRequest("batch", "is not a readable batch file", _REMEDY) from None
    if digest(batch) != claimed:
        raise InvalidRequest("batch", "does not have the digest it claims", "send it again")
    return replace(batch, digest=claimed)


def sealed(batch: Batch) -> Batch:
    """Return *batch* with its digest, for whoever needs it more than once."""
    return replace(batch, digest=digest(batch))


def digest(batch: Batch) -> str:
    """Return the SHA-256 (hexadecimal) of the batch's content.

    It depends on the source and the tables' values alone: not on the order of rows, chunks or dictionaries,
    nor on the Parquet writer. Tables go by name; rows are ordered by the table's natural key; a column
    contributes its name, its validity as one byte a row, and its values as little-endian numbers (days for
    dates, IEEE 754 doubles) or as byte lengths followed by UTF-8. Tables without rows do not count, nor do
    ``OPTIONAL`` columns without values, so that a batch of an earlier version keeps its digest.
    """
    if batch.digest:
        return batch.digest
    total = hashlib.sha256(f"p2d batch 1\n{batch.source}\n".encode())
    for name in sorted(batch.tables):
        if batch.tables[name].num_rows:
            _hash_table(total, name, batch.columns(name))
    return total.hexdigest()


def _hash_table(total: Any, name: str, columns: Columns) -> None:
    table = columns.table
    columns.take_apart(NATURAL_KEYS[name])
    order = pa.array(np.argsort(columns.joint_ranks(NATURAL_KEYS[name]), kind="stable"))
    total.update(f"table {name} {table.num_rows}\n".encode())

    def parts(column: str) -> tuple[Any, ...]:
        values = table.column(column)
        if values.null_count == table.num_rows:
            empty = bytes(table.num_rows), bytes(8 * table.num_rows)
            return () if column in OPTIONAL.get(name, ()) else (_title(name, column), *empty)
        ordered = values.combine_chunks().take(order)
        if isinstance(ordered, pa.ChunkedArray):  # more text than one array can hold
            raise InvalidRequest(name, f"holds more than 2 GiB in {column}", "send fewer patients a batch")
        validity = np.asarray(ordered.is_valid().cast(pa.uint8()))
        return (_title(name, column), validity, *_canonical(ordered))

    for found in in_parallel(parts, SCHEMAS[name].names, table.num_rows):
        for part in found:
            total.update(part)


def _title(name: str, column: str) -> bytes:
    return f"column {column} {SCHEMAS[name].field(column).type}\n".encode()


def _canonical(values: Any) -> tuple[Any, ...]:
    if pa.types.is_string(values.type):
        filled = pc.fill_null(values, "")
        lengths = np.asarray(pc.binary_length(filled)).astype("<i8")
        _, offsets, content = filled.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)[filled.offset : filled.offset + len(filled) + 1]
        return lengths, memoryview(content)[int(ends[0]) : int(ends[-1])] if content else b""
    if pa.types.is_floating(values.type):
        return (np.asarray(pc.fill_null(values, 0.0)).astype("<f8") + 0.0,)  # -0.0 and 0.0 are one value
    whole = values.cast(pa.int32()) if pa.types.is_date32(values.type) else values
    return (np.asarray(pc.fill_null(whole, 0)).astype("<i8"),)


def _unpack(content: bytes, limits: Limits) -> tuple[Batch, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        known = {_MANIFEST, *(f"{name}.parquet" for name in SCHEMAS)}
        if len(set(names)) != len(names) or not set(names) <= known or _MANIFEST not in names:
            raise ValueError
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
            raise ValueError
        if archive.getinfo(_MANIFEST).file_size > _MANIFEST_BYTES:
            raise ValueError
        manifest = _manifest(archive.read(_MANIFEST))
        budget = _Budget(limits, len(content))
        tables = {
            name: _read_table(name, archive.read(f"{name}.parquet"), budget)
            for name in SCHEMAS
            if f"{name}.parquet" in names
        }
    batch = Batch(manifest["batch_id"], manifest["source"], manifest["run_id"], tables)
    return batch, manifest["digest"]


def _manifest(content: bytes) -> dict[str, str]:
    manifest = json.loads(content.decode("utf-8"))
    if not isinstance(manifest, dict) or set(manifest) != set(_MANIFEST_FIELDS):
        raise ValueError
    if not all(isinstance(value, str) for value in manifest.values()):
        raise ValueError
    return manifest


class _Budget:
    """Counts rows and bytes of all tables against the limits while they are read."""

    def __init__(self, limits: Limits, wire_bytes: int) -> None:
        self._limits = limits
        self._ratio_bytes = max(int(wire_bytes * limits.ratio), _RATIO_FLOOR)
        self._rows = 0
        self._bytes = 0

    def spend(self, rows: int, size: int) -> None:
        self._rows += rows
        self._bytes += size
        if self._rows > self._limits.rows:
            raise InvalidRequest("batch", f"holds more than {self._limits.rows} rows", "send fewer patients")
        if self._bytes > min(self._limits.memory_bytes, self._ratio_bytes):
            raise InvalidRequest("batch", "is too large when unpacked", "send fewer patients a batch")


def _read_table(name: str, content: bytes, budget: _Budget) -> pa.Table:
    schema = SCHEMAS[name]
    with pq.ParquetFile(io.BytesIO(content)) as file:
        found = completed(name, file.schema_arrow.empty_table()).schema
        if found.names != schema.names or found.types != schema.types:
            raise InvalidRequest(
                name,
                "does not have the columns of this version",
                f"send exactly: {', '.join(schema.names)}",
            )
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        budget.spend(sum(g.num_rows for g in groups), sum(g.total_byte_size for g in groups))
        parts = []
        for index in range(file.num_row_groups):
            part = file.read_row_group(index).replace_schema_metadata(None)
            budget.spend(0, part.nbytes)
            parts.append(part)
    return completed(name, pa.concat_tables(parts)).cast(schema) if parts else schema.empty_table()
