"""PostgreSQL as the warehouse's engine: its tables, its two users, and what they may not do."""
# ruff: noqa: S608 - statements of the tests

from collections.abc import Iterator

import psycopg
import pytest
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import errors
from psycopg.conninfo import make_conninfo

from p2d.model.errors import InvalidRequest, Misconfigured, Unavailable
from p2d.testing.cohort_rows import random_rows
from p2d.testing.postgres import Postgres
from p2d.testing.warehouse_contents import contents
from p2d.testing.warehouse_contract import WarehouseContract
from p2d.testing.warehouse_database import (
    LOADER,
    READER,
    WarehouseDatabase,
    bare_database,
    warehouse_database,
)
from p2d.testing.warehouse_rows import batch, patient_psn, small_study, uid
from p2d.warehouse.batch import Batch
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.port import Warehouse
from p2d.warehouse.postgresql import migration
from p2d.warehouse.postgresql.connection import VERSION
from p2d.warehouse.postgresql.engine import Logins, PostgresWarehouse
from p2d.warehouse.postgresql.indexes import NAMES
from p2d.warehouse.postgresql.migration import migrate, rebuild
from p2d.warehouse.postgresql.roles import WITHHELD
from p2d.warehouse.upkeep.upkeep import Upkeep

pytestmark = pytest.mark.system
_DUCKDB_ONLY = {"schema_version", "term"}
_TYPES = {"character varying": "VARCHAR", "double precision": "DOUBLE"}


@pytest.fixture
def database(postgres_server: Postgres) -> WarehouseDatabase:
    return warehouse_database(postgres_server)


@pytest.fixture(scope="module")
def shared(postgres_server: Postgres) -> WarehouseDatabase:
    return warehouse_database(postgres_server)


def test_version_4_gets_its_functions_and_a_catalogue_of_what_was_loaded(
    database: WarehouseDatabase,
) -> None:
    warehouse = database.open()
    warehouse.load(batch({"patient": [{"patient": patient_psn(1), "sex": "F"}], **small_study()}))
    expected = Upkeep(warehouse).entries()
    warehouse.close()
    with database.connection() as connection:  # what version 4 was
        connection.execute("DROP FUNCTION promote_column, demote_column")
        connection.execute("DELETE FROM catalogue_attribute")
        connection.execute("UPDATE alembic_version SET version_num = '4'")

    assert migrate(database.owner, LOADER, READER) == "4"

    warehouse = database.open()
    assert Upkeep(warehouse).entries() == expected != []
    assert Upkeep(warehouse).promote([("SliceThickness", "series")])[0].type == "number"
    warehouse.close()


class TestPostgresWarehouse(WarehouseContract):
    @pytest.fixture
    def warehouse(self, shared: WarehouseDatabase) -> Iterator[Warehouse]:
        shared.empty()
        made = shared.open()
        yield made
        made.close()


def test_both_engines_have_the_same_tables_and_columns(database: WarehouseDatabase) -> None:
    found = database.rows(
        "SELECT table_name, column_name, upper(coalesce(data_type, '')), is_nullable"
        " FROM information_schema.columns"
        " WHERE table_schema = 'warehouse' AND table_name <> 'alembic_version'"
    )
    other = DuckDbWarehouse(None)
    with other._cursor() as cursor:
        expected = cursor.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        ).fetchall()
    other.close()

    names = {
        "CHARACTER VARYING": "VARCHAR",
        "DOUBLE PRECISION": "DOUBLE",
        "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
    }
    assert {(t, c, names.get(str(k), k)) for t, c, k, _ in found} == {
        (t, c, k) for t, c, k, _ in expected if t not in _DUCKDB_ONLY
    }


def test_the_program_needs_the_version_that_the_migrations_end_with() -> None:
    assert ScriptDirectory.from_config(migration._config()).get_current_head() == VERSION


def test_a_migration_may_be_repeated(database: WarehouseDatabase) -> None:
    warehouse = database.open()
    receipt = warehouse.load(batch(small_study()))

    assert migrate(database.owner, LOADER, READER) == VERSION

    assert warehouse.receipt("b1") == receipt
    warehouse.close()


def test_a_database_without_tables_names_the_way_out(postgres_server: Postgres) -> None:
    with pytest.raises(Misconfigured, match="p2d warehouse migrate"):
        bare_database(postgres_server).open()


def test_a_version_that_is_not_known_is_refused(database: WarehouseDatabase) -> None:
    database.rows("UPDATE alembic_version SET version_num = '99'")

    with pytest.raises(Misconfigured, match="is of version 99"):
        database.open()
    with pytest.raises(Misconfigured, match="does not know"):
        migrate(database.owner, LOADER, READER)


def test_a_server_that_is_away_is_unavailable(database: WarehouseDatabase) -> None:
    nowhere = make_conninfo(database.owner, host="/nowhere")

    with pytest.raises(Unavailable):
        PostgresWarehouse(Logins(nowhere, nowhere))
    with pytest.raises(Unavailable):
        migrate(nowhere, LOADER, READER)


def test_users_that_may_do_too_much_are_refused(database: WarehouseDatabase) -> None:
    loader, reader = database.logins

    for logins, name in (
        (Logins(loader, loader), "reader_dsn"),
        (Logins(loader, database.owner), "reader_dsn"),
        (Logins(database.owner, reader), "loader_dsn"),
    ):
        with pytest.raises(Misconfigured, match=name):
            PostgresWarehouse(logins)


def test_one_user_for_two_roles_is_refused(database: WarehouseDatabase) -> None:
    with pytest.raises(Misconfigured, match="share a user"):
        migrate(database.owner, LOADER, LOADER)


def test_a_user_that_does_not_exist_is_named(database: WarehouseDatabase) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        migrate(database.owner, LOADER, "nobody_here")


def test_the_reader_can_neither_write_nor_see_what_is_withheld(database: WarehouseDatabase) -> None:
    tables = [
        str(name)
        for (name,) in database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'warehouse'")
    ]
    assert set(WITHHELD) < set(tables)

    with psycopg.connect(database.logins.reader, autocommit=True) as reader:
        reader.execute("SET search_path = warehouse")
        for table in tables:
            attempts = [f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES", f"TRUNCATE {table}"]
            if table in WITHHELD:
                attempts.append(f"SELECT count(*) FROM {table}")
            else:
                reader.execute(f"SELECT count(*) FROM {table}")
            for attempt in attempts:
                with pytest.raises(errors.InsufficientPrivilege):
                    reader.execute(attempt)
        for attempt in ("CREATE TABLE mine (a INT)", "SELECT nextval('surrogate')", "DROP TABLE fact"):
            with pytest.raises(errors.InsufficientPrivilege):
                reader.execute(attempt)


def test_the_loader_can_neither_change_tables_nor_claim_a_version(database: WarehouseDatabase) -> None:
    with psycopg.connect(database.logins.loader, autocommit=True) as loader:
        loader.execute("SET search_path = warehouse")
        for attempt in (
            "ALTER TABLE fact DROP COLUMN code",
            "DROP INDEX fact_natural",
            "UPDATE alembic_version SET version_num = '5'",
            "CREATE TABLE warehouse.mine (a INT)",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                loader.execute(attempt)


def test_indexes_can_be_dropped_for_a_large_load_and_built_again(database: WarehouseDatabase) -> None:
    assert rebuild(database.owner, drop=True) == NAMES
    warehouse = database.open()
    warehouse.load(batch(small_study()))
    warehouse.close()

    assert set(rebuild(database.owner, drop=False)) == set(NAMES)
    assert rebuild(database.owner, drop=False) == ()


def test_an_index_of_an_earlier_version_goes_when_its_successor_is_there(database: WarehouseDatabase) -> None:
    database.rows('CREATE INDEX series_modality ON series ("Modality", patient_key)')

    rebuild(database.owner, drop=False)

    assert database.rows("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'series%modality'") == [
        ("series_of_modality",)
    ]


@pytest.mark.parametrize("text", ["a\n\\.\nb", "\\.", '"', "", "x,\r\n\t\\N", "ä€\U0001f600", "\\x41 %s $1"])
def test_any_text_comes_back_as_it_was(shared: WarehouseDatabase, text: str) -> None:
    shared.empty()
    people = [{"patient": patient_psn(1)}]
    document = {**people[0], "document": uid(1), "kind": "letter", "text": text}
    warehouse = shared.open()
    warehouse.load(batch({"patient": people, "document": [document]}, source="clinical"))
    warehouse.close()

    assert shared.rows('SELECT "text" FROM document') == [(text,)]


def test_a_text_that_postgresql_cannot_keep_is_refused(database: WarehouseDatabase) -> None:
    people = [{"patient": patient_psn(1)}]
    document = {**people[0], "document": uid(1), "kind": "letter", "text": "a\0b"}
    warehouse = database.open()

    with pytest.raises(InvalidRequest, match="cannot keep"):
        warehouse.load(batch({"patient": people, "document": [document]}, source="clinical"))

    assert set(warehouse.counts().values()) == {0}
    warehouse.close()


@given(seed=st.integers(0, 2**32), again=st.integers(0, 2**32))
@settings(max_examples=4)
def test_the_same_batches_become_the_same_rows_as_in_duckdb(
    shared: WarehouseDatabase, seed: int, again: int
) -> None:
    shared.empty()
    server, file = shared.open(), DuckDbWarehouse(None)
    for number, sent in enumerate([seed, again, seed]):
        for one in batches_of(sent, f"{number}"):
            assert outcome(server, one) == outcome(file, one)
    with file._cursor() as cursor:
        expected = contents(lambda statement: cursor.execute(statement).fetchall())
    found = contents(shared.rows)
    lists = {patient: (server.studies_of(patient), file.studies_of(patient)) for patient in server.patients()}
    server.close()
    file.close()

    assert found == expected
    assert all(one == other for one, other in lists.values())


def batches_of(seed: int, name: str) -> Iterator[Batch]:
    """Yield a random warehouse's rows as batches whose values differ with *seed*, keys hardly."""
    rows = random_rows(seed)
    clinical = {table: rows.get(table, []) for table in ("patient", "case", "document", "fact")}
    imaging = {table: rows.get(table, []) for table in ("study", "series", "instance", "header")}
    yield batch(clinical, f"c{name}", "clinical", f"run-c{name}")
    basic = {table: imaging[table] for table in ("study", "series", "instance")}
    yield batch(basic, f"b{name}", "basic", f"run-b{name}")
    yield batch(imaging, f"e{name}", "extended", f"run-e{name}")
    gone = [{**{k: s[k] for k in ("patient", "study")}, "archive": "main"} for s in imaging["study"]]
    states = ("gone", "present") if seed % 2 else ("present", "gone")
    marked = [{**one, "state": states[place % 2]} for place, one in enumerate(gone)]
    yield batch({"presence": marked}, f"p{name}", "sync", f"run-p{name}")


def outcome(warehouse: Warehouse, sent: Batch) -> object:
    try:
        return warehouse.load(sent)
    except InvalidRequest as error:
        return str(error)


def test_rows_without_their_parent_are_set_aside_where_asked(database: WarehouseDatabase) -> None:
    people = [{"patient": patient_psn(1)}]
    lost = {"patient": patient_psn(1), "attribute": "LVEF", "number": 30.0, "document": uid(9)}
    sent = batch({"patient": people, "fact": [lost, {**lost, "document": None}]}, source="clinical")
    server, file = database.open(), DuckDbWarehouse(None)

    receipt = server.load(sent, "quarantine")

    assert receipt == file.load(sent, "quarantine")
    assert database.rows('SELECT "table", "row" FROM quarantine ORDER BY 1') == [("fact", 1)]
    server.close()
    file.close()
