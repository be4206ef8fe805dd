"""A DuckDB warehouse out of a dump: for another version of the engine, another disk, a lost file.

It is written beside the file it is to become and takes its name when every row is in it.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.warehouse.duckdb.opening import SCHEMA_VERSION, open_database
from p2d.warehouse.exchange.dictionary import TYPES
from p2d.warehouse.exchange.dump import DICTIONARY
from p2d.warehouse.exchange.publication import Published

_SQL: Final = {
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
}
_KEYS: Final = (
    ("patient", "patient_key"),
    ("clinical_case", "case_key"),
    ("document", "document_key"),
    ("fact", "fact_key"),
    ("fact", "group_key"),
    ("study", "study_key"),
    ("series", "series_key"),
    ("instance", "instance_key"),
)
_ROWS: Final = 100_000
_REMEDY: Final = "name a whole dump written by this version: p2d warehouse export --form parquet"


def rebuild(dump: Path, database: Path, *, replace: bool = False) -> Mapping[str, int]:
    """Make the warehouse file *database* of the newest dump below *dump*; return the rows of each table.

    An existing file is kept unless *replace* is said; the warehouse's process must not run.

    Raises:
        InvalidRequest: there is no whole dump of this version, a file of it was changed, or *database*
        exists.
        Misconfigured: the file cannot be written.

    """
    if database.exists() and not replace:
        raise InvalidRequest("database", "exists already", "move it away, or say --replace")
    _check_unused(database)
    published = Published.current(dump)
    if published.manifest.get("schema_version") != SCHEMA_VERSION:
        raise InvalidRequest("dump", f"is not one of schema version {SCHEMA_VERSION}", _REMEDY)
    published.verify()
    made = database.with_name(f".{database.name}.rebuilding")
    _remove(made)
    try:
        counts = _filled(published, made)
        database.with_name(f"{database.name}.wal").unlink(missing_ok=True)  # it belongs to the file replaced
        made.replace(database)
    except (OSError, duckdb.Error) as error:
        problem = f"cannot be written ({type(error).__name__})"
        raise Misconfigured("warehouse.database", problem, "see free space and permissions") from None
    finally:
        _remove(made)
    return counts


def _check_unused(database: Path) -> None:
    """Return if no process has the file *database* open, as far as its lock tells."""
    if not database.exists():
        return
    try:
        with database.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidRequest("database", "is open in a process", "stop p2d serve warehouse first") from None
    except OSError as error:
        problem = f"cannot be written ({type(error).__name__})"
        raise Misconfigured("warehouse.database", problem, "see its permissions") from None


def _filled(published: Published, path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    db = open_database(path)
    try:
        for table in tables_of(published):
            name = table["name"]
            _complete(db, name, table["schema"]["fields"])
            columns = ", ".join(f'"{field["name"]}"' for field in table["schema"]["fields"])
            for part in paths_of(table):
                for rows in _rows(published.folder / part, table["schema"]["fields"]):
                    db.register("incoming", rows)
                    db.execute(f'INSERT INTO "{name}" ({columns}) SELECT {columns} FROM incoming')  # noqa: S608 - names that the schema knows
                    db.unregister("incoming")
            counts[name] = int(db.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0])  # noqa: S608 - as above
            if counts[name] != table["rows"]:
                raise InvalidRequest(f"dump.{name}", "does not hold the rows that it states", _REMEDY)
        _advance(db)
        db.execute("UPDATE data_version SET version = $1", [int(published.manifest["data_version"])])
        db.execute("CHECKPOINT")
    finally:
        db.close()
    return counts


def tables_of(published: Published) -> list[dict[str, Any]]:
    """Return the entries of the data dictionary of the dump *published*.

    Raises:
        InvalidRequest: there is no readable one.

    """
    try:
        package = json.loads((published.folder / DICTIONARY).read_text(encoding="utf-8"))
        return [dict(table) for table in package["resources"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidRequest("dump", f"has no readable {DICTIONARY}", _REMEDY) from None


def paths_of(table: Mapping[str, Any]) -> list[str]:
    """Return the files of *table*, an entry of the data dictionary: one, or its parts."""
    path = table["path"]
    return [path] if isinstance(path, str) else list(path)


def _complete(db: duckdb.DuckDBPyConnection, table: str, fields: list[dict[str, str]]) -> None:
    """Add the promoted columns that *table* had where the dump was written.

    Raises:
        InvalidRequest: a table or column is none of this version's and no DICOM keyword.

    """
    known = {
        name
        for (name,) in db.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = $1", [table]
        ).fetchall()
    }
    for field in fields:
        name = field["name"]
        if name in known:
            continue
        if not known or not (name.isascii() and name.isalnum() and name[0].isupper()):
            raise InvalidRequest(
                f"dump.{table}", "has a table or column that this version does not know", _REMEDY
            )
        db.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {_SQL[field["type"]]}')


def _rows(path: Path, fields: list[dict[str, str]]) -> Iterator[pa.Table]:
    schema = pa.schema([(field["name"], TYPES[field["type"]]) for field in fields])
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                yield pa.Table.from_batches([batch]).cast(schema)
        return
    convert = pacsv.ConvertOptions(
        column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    with pacsv.open_csv(
        path, parse_options=pacsv.ParseOptions(newlines_in_values=True), convert_options=convert
    ) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _advance(db: duckdb.DuckDBPyConnection) -> None:
    """Let new keys begin above those that came with the dump."""
    parts = " UNION ALL ".join(f"SELECT max({key}) AS k FROM {table}" for table, key in _KEYS)  # noqa: S608 - names of _KEYS
    largest = db.execute(f"SELECT coalesce(max(k), 0) FROM ({parts})").fetchall()[0][0]  # noqa: S608 - as above
    db.execute("SELECT max(nextval('surrogate')) FROM range($1)", [int(largest)]).fetchall()


def _remove(path: Path) -> None:
    for left in (path, path.with_name(f"{path.name}.wal")):
        left.unlink(missing_ok=True)
