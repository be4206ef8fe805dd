"""Warehouses of earlier versions are opened and brought up to date."""

from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from p2d.testing.warehouse_rows import batch, patient_psn, uid
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.duckdb.opening import SCHEMA_VERSION

_OLD: Final = Path(__file__).parents[1] / "corpus" / "warehouse" / "schema_3.sql"
_ROWS: Final = f"""
INSERT INTO patient (patient) VALUES ('{patient_psn(1)}');
INSERT INTO document (patient_key, document, kind, "text")
  VALUES (1, '{uid(5)}', 'letter', 'Kein Erguss. Infiltrat rechts'), (1, '{uid(6)}', 'letter', NULL);
INSERT INTO fact (patient_key, document_key, "group", attribute, "number")
  VALUES (1, 2, 'g', 'A', 1), (1, 2, 'g', 'B', 2), (1, NULL, 'g', 'A', 1), (1, NULL, NULL, 'C', 3);
"""  # noqa: S608 - pseudonyms of this test
_BEFORE: Final = {
    1: "DROP TABLE instance_archive; DROP TABLE archive_gone; UPDATE schema_version SET version = 1",
    2: "DROP TABLE archive_gone; UPDATE schema_version SET version = 2",
    3: "SELECT 1",
}


def old(path: Path, version: int) -> Path:
    with duckdb.connect(str(path)) as database:
        database.execute(_OLD.read_text(encoding="utf-8"))
        database.execute(_ROWS)
        database.execute(_BEFORE[version])
    return path


def select(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path)) as database:
        return database.execute(statement).fetchall()


def columns(path: Path) -> list[tuple[Any, ...]]:
    return select(
        path,
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY table_name, column_index",
    )


@pytest.mark.parametrize("version", sorted(_BEFORE))
def test_a_migrated_warehouse_has_the_tables_of_a_new_one(tmp_path: Path, version: int) -> None:
    path = old(tmp_path / "old.duckdb", version)
    DuckDbWarehouse(tmp_path / "new.duckdb").close()

    for _ in range(2):
        DuckDbWarehouse(path).close()

    assert columns(path) == columns(tmp_path / "new.duckdb")
    assert select(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]
    assert select(path, "SELECT version FROM data_version") == [(1,)]


def test_facts_of_one_group_share_a_key_and_others_have_their_own(tmp_path: Path) -> None:
    path = old(tmp_path / "old.duckdb", 3)

    DuckDbWarehouse(path).close()

    a, b, elsewhere, alone = (key for (key,) in select(path, "SELECT group_key FROM fact ORDER BY fact_key"))
    assert a == b
    assert len({a, elsewhere, alone}) == 3


def test_texts_are_searched_for_negation_and_words(tmp_path: Path) -> None:
    path = old(tmp_path / "old.duckdb", 3)

    DuckDbWarehouse(path).close()

    assert select(path, "SELECT negated FROM document ORDER BY document") == [("Kein Erguss",), (None,)]
    assert select(path, "SELECT term FROM term ORDER BY ALL") == [
        ("erguss",),
        ("infiltrat",),
        ("kein",),
        ("rechts",),
    ]


def test_loading_goes_on_where_the_earlier_version_ended(tmp_path: Path) -> None:
    path = old(tmp_path / "old.duckdb", 3)
    row = {"patient": patient_psn(1), "document": uid(5), "group": "g", "attribute": "D", "number": 4.0}
    opened = DuckDbWarehouse(path)

    opened.load(batch({"fact": [{**row, "group": uid(9)}, {**row, "group": uid(9), "attribute": "E"}]}))
    opened.close()

    assert select(path, "SELECT count(*), count(DISTINCT fact_key), count(DISTINCT group_key) FROM fact") == [
        (6, 6, 4)
    ]
