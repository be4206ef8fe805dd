"""Rows found by their distinct values are the rows found by looking at each."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from p2d.warehouse.distinct import Distinct, joint_ranks

texts = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "b", "ä", "aa", "2.25.1"])), min_size=1)


def chunked(values: list[str | None]) -> pa.ChunkedArray:
    """Return *values* in two chunks."""
    half = len(values) // 2
    return pa.chunked_array([pa.array(values[:half], pa.string()), pa.array(values[half:], pa.string())])


@given(values=texts)
def test_a_test_of_values_says_the_same_of_each_row(values: list[str | None]) -> None:
    column = chunked(values)

    def test(some: pa.Array) -> pa.Array:
        return pc.match_substring_regex(some, "^a")

    assert Distinct(column).where(test).to_pylist() == test(column).to_pylist()


@given(
    rows=st.lists(st.tuples(st.sampled_from(["x", "y", None]), st.sampled_from([1, 5, 3]), texts), min_size=1)
)
def test_joint_ranks_order_rows_as_sorting_does(
    rows: list[tuple[str | None, int, list[str | None]]],
) -> None:
    table = pa.table(
        {
            "a": pa.array([row[0] for row in rows], pa.string()),
            "b": pa.array([row[1] for row in rows], pa.int32()),
            "c": pa.array([row[2][0] for row in rows], pa.string()),
        }
    )
    keys = [(name, "ascending", "at_end") for name in table.column_names]

    ranks = joint_ranks(Distinct(column) for column in table.columns)

    assert np.argsort(ranks, kind="stable").tolist() == pc.sort_indices(table, sort_keys=keys).to_pylist()
    assert len(np.unique(ranks)) == len(set(zip(*(table[name].to_pylist() for name in "abc"), strict=True)))
