"""The load protocol as SQL: staging, match on natural keys, update and insert, count check.

Runs inside the engine's transaction. Values of a batch reach SQL as Arrow tables only. Which of two values
wins: a basic or clinical batch overwrites with what it has, an extended one fills what is empty; neither
blanks anything. Rows whose parents have no rows yet cannot be known and are not looked for, so that a growing
warehouse does not slow down the loading of new patients.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import pyarrow as pa

from p2d.model.errors import InvalidRequest, Unavailable
from p2d.warehouse.batch import Batch
from p2d.warehouse.load.incoming import incoming
from p2d.warehouse.load.presence import PRESENCE_NAME, note_presence
from p2d.warehouse.load.staging import Staging
from p2d.warehouse.load.targets import TARGETS, Target
from p2d.warehouse.negation import negated_texts
from p2d.warehouse.quarantine import SetAside, Sifted
from p2d.warehouse.statements import scalar

_ASIDE: Final = pa.schema(
    [(name, pa.int64() if name == "row" else pa.string()) for name in SetAside.__slots__]
)
_QUARANTINED: Final = """
INSERT INTO quarantine (batch_id, "table", "row", field, problem, "at", patient)
SELECT $batch, "table", "row", field, problem, now()::TIMESTAMP, patient FROM aside
"""
# Groups of new facts that have facts already keep their key.
_KNOWN_GROUPS: Final = """
WITH f AS MATERIALIZED (
  SELECT patient_key, document_key, "group", group_key FROM fact
  WHERE "group" IS NOT NULL AND patient_key IN (SELECT patient_key FROM staged_fact))
SELECT n.group_key, min(f.group_key) AS known_key FROM (
  SELECT DISTINCT patient_key, document_key, "group", group_key FROM staged_fact s
  WHERE "group" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM matched m WHERE m."row" = s."row")) n
JOIN f ON f.patient_key = n.patient_key AND f."group" = n."group"
  AND coalesce(f.document_key, 0) = coalesce(n.document_key, 0)
GROUP BY n.group_key
"""
# Documents whose text is new or another one than before.
_NEW_TEXTS: Final = """
SELECT s."row", s."text" FROM staged_document s
LEFT JOIN matched m ON m."row" = s."row" LEFT JOIN document t ON t.{row_id} = m.id
WHERE s."text" IS NOT NULL AND s."text" IS DISTINCT FROM t."text"
"""
_SOURCES: Final = {
    "document": (
        '(SELECT d.*, c.negated FROM staged_document d LEFT JOIN computed c ON c."row" = d."row") s',
        {},
    ),
    "fact": (
        "staged_fact s LEFT JOIN regrouped r ON r.group_key = s.group_key",
        {"group_key": "coalesce(r.known_key, s.group_key)"},
    ),
}
"""What is merged where it is more than what was staged, and the columns that are not simply its own."""

_MERGED: Final = {
    "flags": "join_flags(t.flags, s.flags)",
    "negated": 'CASE WHEN s."text" IS NULL OR s."text" = t."text" THEN t.negated ELSE s.negated END',
}
"""How columns merge that do not simply take the one or the other value."""

_INDEXED: Final = """
SELECT d.document_key, n."text" FROM new_text n JOIN staged_document s ON s."row" = n."row"
JOIN document d ON d.patient_key = s.patient_key AND d.document = s.document
"""


def merge_batch(session: Staging, batch: Batch, sifted: Sifted | None = None) -> dict[str, int]:
    """Merge all tables of *batch*, parents first, and return the rows of each.

    With *sifted*, whose batch it then is, rows without a parent join those set aside; the numbers of all that
    were not loaded are returned as ``<table> set aside``.

    Leaves ``staged_<table>`` behind for what follows in the same transaction.

    Raises:
        InvalidRequest: a row names a parent that neither the batch nor the warehouse holds.
        Unavailable: the rows in the database do not match the rows staged.

    """
    _stub_patients(session, batch)
    counts: dict[str, int] = {}
    aside = [*sifted.aside] if sifted else []
    for target in TARGETS:
        table = batch.tables.get(target.name)
        if table is not None and table.num_rows:
            orphans = _stage(session, target, incoming(session, batch, target.name), sifted)
            rows = table.num_rows - len(orphans)
            _write(session, target, rows, fill_only=batch.source == "extended")
            aside += orphans
            if rows:
                counts[target.name] = rows
    presence = batch.tables.get(PRESENCE_NAME)
    if presence is not None and presence.num_rows:
        note_presence(session, presence)
        counts[PRESENCE_NAME] = presence.num_rows
    if aside:
        rows_aside = pa.Table.from_pylist([asdict(one) for one in aside], schema=_ASIDE)
        session.receive("aside", rows_aside)
        session.rows(_QUARANTINED, batch=batch.batch_id)
        counts.update(Counter(f"{one.table} set aside" for one in aside))
    return counts


def _stub_patients(session: Staging, batch: Batch) -> None:
    """Enter patients known by their images only; their demographics may follow."""
    if "study" in batch.tables:
        session.receive("incoming", batch.tables["study"].select(["patient"]))
        session.rows(
            "INSERT INTO patient (patient) SELECT DISTINCT patient FROM incoming i "
            "WHERE NOT EXISTS (SELECT 1 FROM patient p WHERE p.patient = i.patient)"
        )


def _stage(session: Staging, target: Target, table: pa.Table, sifted: Sifted | None) -> list[SetAside]:
    """Stage *table* with its parents' keys; return the rows without a parent, where they may be left out."""
    orphans: list[SetAside] = []
    session.receive("incoming", table)
    session.keep(f"staged_{target.name}", f"SELECT {target.select} FROM incoming i {target.joins}")  # noqa: S608 - constants of TARGETS
    for column, key in target.parents:
        lacking = f'FROM staged_{target.name} WHERE "{key}" IS NULL AND "{column}" IS NOT NULL'
        first, missing = session.rows(f'SELECT min("row"), count(*) {lacking}')[0]
        if missing and sifted is not None:
            found = session.rows(f'SELECT "row" {lacking} ORDER BY "row"')
            orphans += sifted.missing(target.name, column, [int(str(row)) for (row,) in found])
            session.changed(f"DELETE {lacking}")
        elif missing:
            raise InvalidRequest(
                f"{target.name}.{column}",
                f"row {first}: names a {column} that is neither in this batch nor in the warehouse; "
                f"{missing} row(s) in all",
                f"send the {column} with it or before it",
            )
    return orphans


def _write(session: Staging, target: Target, rows: int, *, fill_only: bool) -> None:
    """Bring the staged rows of *target* into its table: known ones where they differ, others as new."""
    known = _match(session, target)
    source, expressions = f"staged_{target.name} s", dict[str, str]()
    if target.name == "document":
        _negate(session)
    if target.name == "document" or (target.name == "fact" and known is not None):
        source, expressions = _SOURCES[target.name]
    if known:
        session.rows(_update(session, target, source, fill_only=fill_only))
    if target.name == "fact" and known is not None:
        session.keep("regrouped", _KNOWN_GROUPS)
    inserted = session.changed(_insert(target, source, expressions))
    if (known or 0) + inserted != rows:
        raise Unavailable(
            target.name, "the rows committed would not match the rows sent; nothing was kept", "send it again"
        )
    if target.name == "document":
        session.keep("indexed", _INDEXED)
        session.index_documents("indexed")


def _match(session: Staging, target: Target) -> int | None:
    """Note in ``matched`` which staged rows are known, and return how many; None if no parent has any row."""
    found = (
        f'SELECT s."row", t.{session.row_id} AS id FROM staged_{target.name} s '  # noqa: S608 - names of TARGETS only
        f"JOIN {target.into} t ON {_natural(session, target)}"
    )
    is_known = session.rows(
        f'SELECT 1 FROM (SELECT DISTINCT "{target.parent}" AS k FROM staged_{target.name}) s '  # noqa: S608 - as above
        f'WHERE EXISTS (SELECT 1 FROM {target.into} t WHERE t."{target.parent}" = s.k) LIMIT 1'
    )
    session.keep("matched", found if is_known else f"{found} WHERE false")
    return scalar(session, "SELECT count(*) FROM matched") if is_known else None


def _natural(session: Staging, target: Target) -> str:
    """Return the condition that joins target *t* and staged rows *s* on the natural key."""
    if target.nullable:
        return f't."{target.parent}" = s."{target.parent}" AND {session.same(target.key[1:])}'
    return " AND ".join(f't."{column}" = s."{column}"' for column in target.key)


def _negate(session: Staging) -> None:
    session.keep("new_text", _NEW_TEXTS.format(row_id=session.row_id))
    found = session.rows('SELECT "row", "text" FROM new_text')
    negated = negated_texts(text for _, text in found)
    rows = pa.array([row for row, _ in found], pa.int64())
    session.receive("computed", pa.table({"row": rows, "negated": pa.array(negated, pa.string())}))


def _update(session: Staging, target: Target, source: str, *, fill_only: bool) -> str:
    def fills(column: str) -> bool:
        return fill_only and not column.endswith("_run") and target.name != "header"

    def merged(column: str) -> str:
        if column in _MERGED:
            return _MERGED[column]
        first, other = ("t", "s") if fills(column) else ("s", "t")
        return f'coalesce({first}."{column}", {other}."{column}")'

    def differs(column: str) -> str:
        """Whether what is merged is another value than *t* has, without merging the two."""
        if column == "flags":  # joining them takes longer than all other columns together
            is_other = "s.flags IS NOT NULL AND s.flags IS DISTINCT FROM t.flags"
            return f"{is_other} AND {merged(column)} IS DISTINCT FROM t.flags"
        if column in _MERGED:
            return f'{merged(column)} IS DISTINCT FROM t."{column}"'
        other = f't."{column}" IS NULL' if fills(column) else f's."{column}" IS DISTINCT FROM t."{column}"'
        return f's."{column}" IS NOT NULL AND {other}'

    own = f"staged_{target.name} s" if target.name == "fact" else source
    changed = " OR ".join(map(differs, target.values))
    assigned = ", ".join(f'"{c}" = n."{c}"' for c in target.values)
    values = ", ".join(f'{merged(c)} AS "{c}"' for c in target.values)
    return (
        f"UPDATE {target.into} SET {assigned} FROM (SELECT m.id, {values} FROM matched m "  # noqa: S608 - names of TARGETS only
        f'JOIN {own} ON s."row" = m."row" JOIN {target.into} t ON t.{session.row_id} = m.id '
        f"WHERE {changed}) n WHERE {target.into}.{session.row_id} = n.id"
    )


def _insert(target: Target, source: str, expressions: Mapping[str, str]) -> str:
    columns = (*target.key, *target.values, *target.inserted)
    values = (expressions.get(column, f's."{column}"') for column in columns)
    return (
        f"INSERT INTO {target.into} ({', '.join(_quoted(columns))}) SELECT {', '.join(values)} FROM {source} "  # noqa: S608 - names of TARGETS only
        f'WHERE NOT EXISTS (SELECT 1 FROM matched m WHERE m."row" = s."row")'
    )


def _quoted(columns: Sequence[str]) -> list[str]:
    return [f'"{column}"' for column in columns]
