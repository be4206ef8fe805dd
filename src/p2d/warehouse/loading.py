"""The load protocol as SQL: staging, MERGE per table, count check. Runs inside the engine's transaction.

Values of a batch reach SQL as registered Arrow tables only. Which of two values wins: a basic or clinical
batch overwrites with what it has, an extended one fills what is empty; neither blanks anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p2d.model.errors import InvalidRequest, Unavailable
from p2d.warehouse.batch import Batch
from p2d.warehouse.presence import PRESENCE_NAME, note_presence


@dataclass(frozen=True, slots=True)
class Target:
    """How one table of a batch goes into the database.

    ``key`` is the natural key in database columns, ``values`` what is merged, ``joins`` find the parents'
    surrogate keys, ``parents`` maps a column of the batch to the surrogate key it must have led to.
    """

    name: str
    into: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    select: str
    joins: str = ""
    parents: tuple[tuple[str, str], ...] = ()
    nullable: bool = False

    def match(self) -> str:
        """Return the condition that joins target *t* and staged rows *s* on the natural key."""
        operator = "IS NOT DISTINCT FROM" if self.nullable else "="
        return " AND ".join(f'(t."{c}" = s."{c}")' for c in self.key[:1]) + "".join(
            f' AND t."{c}" {operator} s."{c}"' for c in self.key[1:]
        )


_PATIENT: Final = "LEFT JOIN patient p ON p.patient = i.patient"
_CASE: Final = 'LEFT JOIN clinical_case c ON c.patient_key = p.patient_key AND c."case" = i."case"'
_DOCUMENT: Final = "LEFT JOIN document d ON d.patient_key = p.patient_key AND d.document = i.document"
_STUDY: Final = "LEFT JOIN study st ON st.patient_key = p.patient_key AND st.study = i.study"
_SERIES: Final = "LEFT JOIN series se ON se.study_key = st.study_key AND se.series = i.series"
_INSTANCE: Final = "LEFT JOIN instance o ON o.series_key = se.series_key AND o.instance = i.instance"

TARGETS: Final = (
    Target("patient", "patient", ("patient",), ("sex", "birth_year"), "i.*"),
    Target(
        "case",
        "clinical_case",
        ("patient_key", "case"),
        ("start", "end", "type"),
        "i.*, p.patient_key",
        _PATIENT,
        (("patient", "patient_key"),),
    ),
    Target(
        "document",
        "document",
        ("patient_key", "document"),
        ("case_key", "kind", "date", "accession", "text"),
        "i.*, p.patient_key, c.case_key",
        f"{_PATIENT} {_CASE}",
        (("patient", "patient_key"), ("case", "case_key")),
    ),
    Target(
        "fact",
        "fact",
        ("patient_key", "document_key", "group", "attribute", "date", "code", "number", "text"),
        ("case_key", "unit"),
        "i.*, p.patient_key, c.case_key, d.document_key",
        f"{_PATIENT} {_CASE} {_DOCUMENT}",
        (("patient", "patient_key"), ("case", "case_key"), ("document", "document_key")),
        nullable=True,
    ),
    Target(
        "study",
        "study",
        ("patient_key", "study"),
        (
            "accession",
            "admission_case",
            "StudyDate",
            "StudyTime",
            "StudyDescription",
            "ModalitiesInStudy",
            "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances",
            "flags",
            "basic_run",
            "extended_run",
        ),
        'i.*, i."case" AS admission_case, p.patient_key',
        _PATIENT,
        (("patient", "patient_key"),),
    ),
    Target(
        "series",
        "series",
        ("study_key", "series"),
        (
            "patient_key",
            "Modality",
            "SeriesNumber",
            "SeriesDescription",
            "SeriesDate",
            "BodyPartExamined",
            "ProtocolName",
            "Manufacturer",
            "NumberOfSeriesRelatedInstances",
            "flags",
            "basic_run",
        ),
        "i.*, p.patient_key, st.study_key",
        f"{_PATIENT} {_STUDY}",
        (("study", "study_key"),),
    ),
    Target(
        "instance",
        "instance",
        ("series_key", "instance"),
        (
            "patient_key",
            "study_key",
            "InstanceNumber",
            "SOPClassUID",
            "Rows",
            "Columns",
            "NumberOfFrames",
            "flags",
            "basic_run",
            "extended_run",
        ),
        "i.*, p.patient_key, st.study_key, se.series_key",
        f"{_PATIENT} {_STUDY} {_SERIES}",
        (("series", "series_key"),),
    ),
    Target(
        "header",
        "header",
        ("owner_key", "path", "item"),
        (
            "patient_key",
            "study_key",
            "series_key",
            "instance_key",
            "keyword",
            "vr",
            "number",
            "date",
            "text",
        ),
        "i.*, p.patient_key, st.study_key, se.series_key, o.instance_key, "
        "coalesce(o.instance_key, se.series_key, st.study_key) AS owner_key",
        f"{_PATIENT} {_STUDY} {_SERIES} {_INSTANCE}",
        (("study", "study_key"), ("series", "series_key"), ("instance", "instance_key")),
    ),
)


def merge_batch(cursor: duckdb.DuckDBPyConnection, batch: Batch) -> dict[str, int]:
    """Merge all tables of *batch*, parents first, and return the rows of each.

    Leaves ``staged_<table>`` behind for what follows in the same transaction.

    Raises:
        InvalidRequest: a row names a parent that neither the batch nor the warehouse holds.
        Unavailable: the rows in the database do not match the rows staged.

    """
    _stub_patients(cursor, batch)
    counts: dict[str, int] = {}
    for target in TARGETS:
        table = batch.tables.get(target.name)
        if table is not None and table.num_rows:
            _stage(cursor, target, _with_provenance(batch, target.name, table))
            cursor.execute(_merge(target, fill_only=batch.source == "extended"))
            _check_count(cursor, target, table.num_rows)
            counts[target.name] = table.num_rows
    presence = batch.tables.get(PRESENCE_NAME)
    if presence is not None and presence.num_rows:
        note_presence(cursor, presence)
        counts[PRESENCE_NAME] = presence.num_rows
    return counts


def staged(cursor: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the names of the tables staged by ``merge_batch``."""
    names = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE temporary AND starts_with(table_name, 'staged_')"
    ).fetchall()
    return frozenset(str(name).removeprefix("staged_") for (name,) in names)


def scalar(cursor: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[Any] = ()) -> int:
    """Return the one whole number that *statement* selects."""
    rows = cursor.execute(statement, list(parameters)).fetchall()
    return int(rows[0][0]) if rows and rows[0][0] is not None else 0


def _stub_patients(cursor: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Enter patients known by their images only; their demographics may follow."""
    if "study" in batch.tables:
        cursor.register("incoming", batch.tables["study"].select(["patient"]))
        cursor.execute(
            "INSERT INTO patient (patient) SELECT DISTINCT patient FROM incoming "
            "WHERE patient NOT IN (SELECT patient FROM patient)"
        )
        cursor.unregister("incoming")


def _with_provenance(batch: Batch, name: str, table: pa.Table) -> pa.Table:
    """Append what the batch as a whole knows: the row's number and the run it came from."""
    table = table.append_column("row", pa.array(np.arange(1, table.num_rows + 1)))
    run, nothing = pa.scalar(batch.run_id), pa.scalar(None, pa.string())
    if name in {"study", "series"}:
        scope: Any = pa.array([batch.source] * table.num_rows)
    elif name == "instance":
        scope = table["scope"]
    else:
        return table
    basic = pc.if_else(pc.equal(scope, "basic"), run, nothing)
    extended = pc.if_else(pc.equal(scope, "extended"), run, nothing)
    return table.append_column("basic_run", basic).append_column("extended_run", extended)


def _stage(cursor: duckdb.DuckDBPyConnection, target: Target, table: pa.Table) -> None:
    cursor.register("incoming", table)
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE staged_{target.name} AS "  # noqa: S608 - names of TARGETS only
        f"SELECT {target.select} FROM incoming i {target.joins}"
    )
    cursor.unregister("incoming")
    for column, key in target.parents:
        first, missing = cursor.execute(
            f'SELECT min("row"), count(*) FROM staged_{target.name} '  # noqa: S608 - names of TARGETS only
            f'WHERE "{key}" IS NULL AND "{column}" IS NOT NULL'
        ).fetchall()[0]
        if missing:
            raise InvalidRequest(
                f"{target.name}.{column}",
                f"row {first}: names a {column} that is neither in this batch nor in the warehouse; "
                f"{missing} row(s) in all",
                f"send the {column} with it or before it",
            )


def _merge(target: Target, *, fill_only: bool) -> str:
    def merged(column: str) -> str:
        if column == "flags":
            return "join_flags(t.flags, s.flags)"
        if fill_only and not column.endswith("_run") and target.name != "header":
            return f'coalesce(t."{column}", s."{column}")'
        return f'coalesce(s."{column}", t."{column}")'

    changed = " OR ".join(f'{merged(c)} IS DISTINCT FROM t."{c}"' for c in target.values)
    assigned = ", ".join(f'"{c}" = {merged(c)}' for c in target.values)
    columns = (*target.key, *target.values)
    return (
        f"MERGE INTO {target.into} t USING staged_{target.name} s ON {target.match()} "  # noqa: S608 - names of TARGETS only
        f"WHEN MATCHED AND ({changed}) THEN UPDATE SET {assigned} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(_quoted(columns))}) "
        f"VALUES ({', '.join('s.' + c for c in _quoted(columns))})"
    )


def _quoted(columns: Sequence[str]) -> list[str]:
    return [f'"{column}"' for column in columns]


def _check_count(cursor: duckdb.DuckDBPyConnection, target: Target, expected: int) -> None:
    statement = f"SELECT count(*) FROM {target.into} t JOIN staged_{target.name} s ON {target.match()}"  # noqa: S608 - names of TARGETS only
    if scalar(cursor, statement) != expected:
        raise Unavailable(
            target.name, "the rows committed would not match the rows sent; nothing was kept", "send it again"
        )
