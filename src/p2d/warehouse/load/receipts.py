"""A batch and the receipt for it, whichever engine keeps them: known ones are answered, others go in once."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.batch import SCHEMAS, Batch, Receipt
from p2d.warehouse.check import check, check_form
from p2d.warehouse.load.linking import draw_together
from p2d.warehouse.load.merging import merge_batch
from p2d.warehouse.load.staging import Staging
from p2d.warehouse.quarantine import OnBadRows, Sifted, sift
from p2d.warehouse.statements import Statements
from p2d.warehouse.wire import digest

_TABLES: Final = (
    "patient",
    "clinical_case",
    "document",
    "fact",
    "study",
    "series",
    "instance",
    "header",
    "issue",
    "receipt",
)


def load_batch(
    batch: Batch,
    known: Callable[[str], Receipt | None],
    writing: Callable[[], AbstractContextManager[Staging]],
    patient_form: str | None,
    on_bad_rows: OnBadRows,
) -> Receipt:
    """Commit *batch* and its receipt in one transaction of *writing*, unless it is *known* by its id.

    Raises:
        InvalidRequest: a value that may not enter, a missing parent, or another digest under a known id.
        Unavailable: the database did not commit.

    """
    check_form(batch)
    content = digest(batch)
    if (earlier := _same(known(batch.batch_id), content)) is not None:
        return earlier  # its content was checked when it came before
    sifted = None
    if on_bad_rows == "quarantine":
        sifted = sift(batch, patient_form)
    else:
        check(batch, patient_form)
    with writing() as session:
        earlier = _same(receipt_of(session, batch.batch_id), content)  # another writer may have brought it
        return earlier if earlier is not None else _commit(session, batch, content, sifted)


def receipt_of(session: Statements, batch_id: str) -> Receipt | None:
    """Return the receipt of a committed batch, or None."""
    found = session.rows('SELECT digest, "rows" FROM receipt WHERE batch_id = $batch', batch=batch_id)
    return Receipt(batch_id, str(found[0][0]), json.loads(found[0][1])) if found else None


def row_counts(session: Statements) -> dict[str, int]:
    """Return the number of rows of every table that loads fill."""
    parts = ", ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES)  # noqa: S608 - names of _TABLES
    (row,) = session.rows(f"SELECT {parts}")
    return dict(zip(_TABLES, (int(number) for number in row), strict=True))


def _commit(session: Staging, batch: Batch, content: str, sifted: Sifted | None) -> Receipt:
    rows = merge_batch(session, sifted.batch if sifted else batch, sifted)
    draw_together(session, batch, frozenset(rows) & SCHEMAS.keys())
    session.rows(
        "INSERT INTO receipt VALUES ($batch, $digest, $rows, now()::TIMESTAMP)",
        batch=batch.batch_id,
        digest=content,
        rows=json.dumps(rows, sort_keys=True),
    )
    return Receipt(batch.batch_id, content, rows)


def _same(known: Receipt | None, content: str) -> Receipt | None:
    """Return *known*, the receipt of a batch of this id, if there is one and its digest is *content*."""
    if known is not None and known.digest != content:
        raise InvalidRequest(
            "batch_id", "is known with another digest; nothing was loaded", "use a new batch id"
        )
    return known
