"""The tables of a batch as they are staged: with what the batch as a whole knows, facts in order and grouped.

Facts are most of what is loaded. Their columns are handed over by distinct values, in the order in which
queries read them, with their surrogate keys and groups numbered here: the engine has nothing to sort.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p2d.warehouse.batch import Batch
from p2d.warehouse.distinct import Columns
from p2d.warehouse.load.staging import Staging

_FACT_ORDER: Final = ("attribute", "patient")
_GROUP: Final = ("patient", "document", "group")


def incoming(session: Staging, batch: Batch, name: str) -> pa.Table:
    """Return the table *name* of *batch*, which has rows, as it is staged; ``row`` counts its rows from 1."""
    if name == "fact":
        return _facts(session, batch.columns(name))
    table = batch.tables[name].append_column("row", pa.array(np.arange(1, batch.tables[name].num_rows + 1)))
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


def _facts(session: Staging, columns: Columns) -> pa.Table:
    order = np.argsort(columns.joint_ranks(_FACT_ORDER), kind="stable")
    taken = pa.array(order)
    values = {
        name: columns[name].rows(taken) if pa.types.is_string(column.type) else column.take(taken)
        for name, column in zip(columns.table.column_names, columns.table.columns, strict=True)
    }
    keys = session.draw(len(order))
    groups = keys.copy()
    grouped = np.flatnonzero(np.asarray(columns.table["group"].is_valid())[order])
    if len(grouped):
        ranks = columns.joint_ranks(_GROUP)[order][grouped]
        _, first, places = np.unique(ranks, return_index=True, return_inverse=True)
        groups[grouped] = keys[grouped][first][places]
    return pa.table({**values, "row": order + 1, "fact_key": keys, "group_key": groups})
