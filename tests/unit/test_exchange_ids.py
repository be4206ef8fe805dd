"""Numbers for what has a pseudonym: given once, kept for ever, never given to another."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2d.model.errors import Unavailable
from p2d.warehouse.exchange.workbench import LARGEST, workbench

Key = tuple[int, str]
KEYS = st.lists(st.tuples(st.integers(0, 3), st.text(min_size=1, max_size=4)), max_size=8)


def numbered(ids: Path | None, keys: Sequence[Key], domain: str = "thing", first: int = 1) -> dict[Key, int]:
    rows = pa.table(
        {
            "owner": pa.array([k[0] for k in keys], pa.int64()),
            "key": pa.array([k[1] for k in keys], pa.string()),
        }
    )
    with workbench(ids) as bench:
        bench.offer("wanted", rows)
        bench.number(domain, "SELECT * FROM wanted", first)
        found = bench.table(f"SELECT * FROM {domain}_id").to_pylist()  # noqa: S608 - a name of the test
    return {(row["owner"], row["key"]): row["id"] for row in found}


@settings(max_examples=10, deadline=None)
@given(rounds=st.lists(KEYS, min_size=1, max_size=4))
def test_a_key_keeps_its_number_and_shares_it_with_nobody(rounds: list[list[Key]]) -> None:
    known: dict[Key, int] = {}
    with TemporaryDirectory() as folder:
        for keys in rounds:
            found = numbered(Path(folder) / "ids.duckdb", keys)

            assert set(found) == set(keys)
            assert all(known.get(key, number) == number for key, number in found.items())
            known |= found

    assert len(set(known.values())) == len(known)
    assert set(known.values()) == set(range(1, len(known) + 1))


def test_domains_count_by_themselves(tmp_path: Path) -> None:
    ids = tmp_path / "ids.duckdb"

    assert numbered(ids, [(0, "a")], "one", 100) == {(0, "a"): 100}
    assert numbered(ids, [(0, "a")], "other") == {(0, "a"): 1}


def test_a_domain_that_is_used_up_is_said_before_a_number_is_given(tmp_path: Path) -> None:
    ids = tmp_path / "ids.duckdb"
    numbered(ids, [(0, "a")], first=LARGEST)

    with pytest.raises(Unavailable, match="no numbers of 32 bits left"):
        numbered(ids, [(0, "b")], first=LARGEST)

    with duckdb.connect(str(ids)) as db:
        assert db.execute("SELECT max(id) FROM given").fetchall() == [(LARGEST,)]
