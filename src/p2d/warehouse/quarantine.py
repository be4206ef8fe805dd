"""Set the bad rows of a clinical batch aside, with reasons, so that the rest can go in.

What is not a pseudonym where one is due still refuses the batch as a whole: such a file was not
pseudonymised, and none of it may stay. Imaging batches are never sifted: the gateway's ledger counts their
rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from p2d.model.errors import InvalidRequest
from p2d.warehouse.batch import Batch
from p2d.warehouse.check import check_form, check_private, findings, repeated
from p2d.warehouse.distinct import Columns
from p2d.warehouse.wire import NATURAL_KEYS

OnBadRows = Literal["refuse", "quarantine"]
_TABLES: Final = frozenset({"patient", "case", "document", "fact"})


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that was not loaded: its number in the batch's table from 1, the column, and why."""

    table: str
    row: int
    field: str
    problem: str
    patient: str | None


@dataclass(frozen=True, slots=True)
class Sifted:
    """A batch without the rows ``aside``; ``numbers`` are the places of the kept rows in the original."""

    batch: Batch
    aside: tuple[SetAside, ...]
    numbers: Mapping[str, Any]

    def missing(self, table: str, field: str, rows: Sequence[int]) -> list[SetAside]:
        """Return the kept rows numbered *rows* (from 1) of *table*, whose parent *field* is nowhere."""
        places = np.asarray(rows, dtype=np.int64) - 1
        patients = self.batch.tables[table]["patient"].take(pa.array(places)).to_pylist()
        problem = f"names a {field} that is neither in this batch nor in the warehouse"
        return [
            SetAside(table, int(number), field, problem, patient)
            for number, patient in zip(self.numbers[table][places] + 1, patients, strict=True)
        ]


def sift(batch: Batch, patient_form: str | None = None) -> Sifted:
    """Return *batch* without the rows that may not enter.

    Raises:
        InvalidRequest: as ``check_form``, a value that is not a pseudonym where one is due, or a batch that
            is not clinical.

    """
    check_form(batch)
    if batch.source != "clinical" or not set(batch.tables) <= _TABLES:
        raise InvalidRequest("on_bad_rows", "is for clinical batches", "load images as a whole")
    aside: list[SetAside] = []
    numbers, tables = {}, {}
    for name, table in batch.tables.items():
        check_private(name, batch.columns(name), patient_form)
        bad = np.zeros(table.num_rows, bool)
        for finding in findings(name, table, patient_form):
            fresh = [row for row in finding.rows() if not bad[row]]
            aside += _set_aside(name, table, finding.column, finding.problem, fresh)
            bad[fresh] = True
        kept = np.flatnonzero(~bad)
        twice = repeated(Columns(table.take(pa.array(kept))).joint_ranks(NATURAL_KEYS[name]))
        aside += _set_aside(
            name, table, NATURAL_KEYS[name][-1], "repeats an earlier row", kept[twice].tolist()
        )
        numbers[name] = kept[~twice]
        tables[name] = table.take(pa.array(numbers[name])) if len(numbers[name]) < table.num_rows else table
    return Sifted(replace(batch, tables=tables), tuple(aside), numbers)


def _set_aside(name: str, table: pa.Table, field: str, problem: str, rows: Sequence[int]) -> list[SetAside]:
    patients = table["patient"].take(pa.array(rows, pa.int64())).to_pylist()
    return [
        SetAside(name, row + 1, field, problem, patient) for row, patient in zip(rows, patients, strict=True)
    ]
