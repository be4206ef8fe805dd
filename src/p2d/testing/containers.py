"""What a file holds behind its bytes: members of archives, inflated streams, rows of databases, DICOM text.

Recognised by content, never by name. A container that cannot be opened raises ``Unreadable``: a scan must not
pass because it could not look.
"""

import gzip
import io
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydicom import dcmread
from pydicom.dataset import Dataset

Part = tuple[str, bytes]
"""Name inside the container and content."""


class Unreadable(Exception):  # noqa: N818 - says what the container is, as the families of p2d.model.errors do
    """A container that its signature announces could not be read."""


def parts(content: bytes) -> Iterator[Part]:
    """Yield what *content* holds if it is a container; nothing otherwise.

    Raises:
        Unreadable: the signature says container, the rest does not.

    """
    for is_kind, unpack in _KINDS:
        if is_kind(content):
            try:
                yield from unpack(content)
            except Exception as error:
                raise Unreadable(type(error).__name__) from error
            return


def _zip(content: bytes) -> Iterator[Part]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        yield "comment", archive.comment
        for member in archive.infolist():
            yield member.filename, b"" if member.is_dir() else archive.read(member)


def _gzip(content: bytes) -> Iterator[Part]:
    yield "inflated", gzip.decompress(content)


def _zstd(content: bytes) -> Iterator[Part]:
    with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
        yield "inflated", stream.read()


def _parquet(content: bytes) -> Iterator[Part]:
    file = pq.ParquetFile(pa.BufferReader(content))
    yield "schema", str(file.schema_arrow).encode() + str(file.metadata.metadata).encode()
    for batch in file.iter_batches():
        yield from _columns(batch)


def _arrow(content: bytes) -> Iterator[Part]:
    with pa.ipc.open_file(pa.BufferReader(content)) as reader:
        yield "schema", str(reader.schema).encode()
        for index in range(reader.num_record_batches):
            yield from _columns(reader.get_batch(index))


def _columns(batch: pa.RecordBatch) -> Iterator[Part]:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        yield name, _lines(column.to_pylist())


def _sqlite(content: bytes) -> Iterator[Part]:
    connection = sqlite3.connect(":memory:")
    try:
        # A write-ahead database cannot be opened from memory; its header bytes 18 and 19 say so.
        connection.deserialize(content[:18] + b"\x01\x01" + content[20:])
        yield "schema", _lines(connection.execute("SELECT sql FROM sqlite_master").fetchall())
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 - a name it gave itself
            yield table, _lines(rows)
    finally:
        connection.close()


def _duckdb(content: bytes) -> Iterator[Part]:
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.duckdb"
        copy.write_bytes(content)
        with duckdb.connect(str(copy), read_only=True) as connection:
            tables = connection.execute(
                "SELECT schema_name, table_name, sql FROM duckdb_tables() WHERE NOT internal"
            ).fetchall()
            for schema, table, sql in tables:
                yield table, str(sql).encode()
                rows = connection.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()  # noqa: S608 - as above
                yield table, _lines(rows)


def _dicom(content: bytes) -> Iterator[Part]:
    ds = dcmread(io.BytesIO(content))
    yield "file meta", _texts(ds.file_meta)
    yield "data set", _texts(ds)


def _texts(ds: Dataset) -> bytes:
    """Return the text of every element, nested ones included, in UTF-8 whatever its character set was."""
    return _lines(
        element.value if isinstance(element.value, bytes) else str(element.value)
        for element in ds.iterall()
        if element.VR != "SQ" and element.keyword != "PixelData"
    )


def _lines(values: object) -> bytes:
    """Return values, nested or not, one a line: text in UTF-8, bytes as they are."""
    buffer = io.BytesIO()
    for value in _flat(values):
        buffer.write(value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape"))
        buffer.write(b"\n")
    return buffer.getvalue()


def _flat(values: object) -> Iterator[object]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield key
            yield from _flat(value)
    elif isinstance(values, list | tuple | set | Iterator):
        for value in values:
            yield from _flat(value)
    elif isinstance(values, bytearray | memoryview):
        yield bytes(values)
    elif values is not None:
        yield values


_KINDS: Final[tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Iterator[Part]]], ...]] = (
    (lambda c: c[:4] in {b"PK\x03\x04", b"PK\x05\x06"}, _zip),
    (lambda c: c[:2] == b"\x1f\x8b", _gzip),
    (lambda c: c[:4] == b"\x28\xb5\x2f\xfd", _zstd),
    (lambda c: c[:4] == b"PAR1", _parquet),
    (lambda c: c[:6] == b"ARROW1", _arrow),
    (lambda c: c[:16] == b"SQLite format 3\x00", _sqlite),
    (lambda c: c[8:12] == b"DUCK", _duckdb),
    (lambda c: c[128:132] == b"DICM", _dicom),
)
