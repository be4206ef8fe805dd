"""Spark gives the answers of the obvious evaluator over the Parquet copy, in one process here."""

import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlglot import parse_one

from p2d.main.warehouse_engine import open_engine
from p2d.model.errors import InvalidRequest, Misconfigured, P2DError, Unavailable
from p2d.settings.warehouse import WarehouseSettings
from p2d.testing.cohort_contract import check_some, check_some_facets, random_batches
from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_rows import BRANCHES, random_rows
from p2d.testing.exchanging import copied, filled, small_hospital
from p2d.testing.saved_cohorts_contract import check_store
from p2d.testing.warehouse_rows import batch, patient_psn
from p2d.warehouse.batch import Batch
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.stopping import Questions
from p2d.warehouse.upkeep.upkeep import Upkeep

pytest.importorskip("pyspark", reason="Spark is an extra: pip install 'p2d[spark]'")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17 (apt-get install openjdk-17-jre-headless)", allow_module_level=True)

from p2d.testing.spark import in_process
from p2d.warehouse.spark.engine import SparkWarehouse

# Spark leaves its sockets to the garbage collector
pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::ResourceWarning")]
EVERYBODY = parse(
    {"version": 1, "where": {"any": [{"attribute": "sex", "exists": is_} for is_ in (True, False)]}}
)


def branches(_: object) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(sorted(held)) for name, held in BRANCHES.items()}


def loaded(folder: Path, seed: int) -> tuple[SparkWarehouse, CohortOracle]:
    rows = random_rows(seed)
    with filled(random_batches(rows)) as origin:
        copied(origin, folder, parts=2)
    return SparkWarehouse(in_process(), folder, None, branches=branches), CohortOracle(rows, BRANCHES)


@contextmanager
def asked_beside(
    batches: Iterable[Batch], folder: Path, parts: int = 1, seconds: float = 300.0
) -> Iterator[tuple[DuckDbWarehouse, SparkWarehouse]]:
    """Yield the warehouse that holds *batches*, and Spark over its copy."""
    with filled(batches) as origin:
        made = SparkWarehouse(in_process(), copied(origin, folder, parts), None, query_seconds=seconds)
        try:
            yield origin, made
        finally:
            made.close()


@pytest.fixture(scope="module", params=[1, 2])
def random_warehouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SparkWarehouse, CohortOracle, int]]:
    made, oracle = loaded(tmp_path_factory.mktemp("copy"), request.param)
    yield made, oracle, request.param
    made.close()


def test_random_queries_are_answered_as_by_the_oracle(
    random_warehouse: tuple[SparkWarehouse, CohortOracle, int],
) -> None:
    made, oracle, seed = random_warehouse

    check_some(made, oracle, seed * 10_000, 8)
    check_some_facets(made, oracle, 500_000 + seed * 1000, 3)


@pytest.mark.long
def test_two_hundred_queries_are_answered_as_by_the_oracle(
    random_warehouse: tuple[SparkWarehouse, CohortOracle, int],
) -> None:
    made, oracle, seed = random_warehouse

    check_some(made, oracle, 2_000_000 + seed * 10_000, 100)


def patient(number: int) -> Batch:
    return batch({"patient": [{"patient": patient_psn(number)}]}, f"b{number}", "clinical")


def test_a_question_sees_the_newest_copy_and_keeps_it_to_its_end(tmp_path: Path) -> None:
    with asked_beside([patient(1)], tmp_path) as (origin, made):
        with made.session() as session:
            version = session.version
            origin.load(patient(2))
            copied(origin, tmp_path)
            keys = session.keys(parse_one("SELECT patient_key FROM patient"), {})
            later = made.count(EVERYBODY).patients.number

        assert (len(keys), later) == (1, 2)
        with made.session() as session:
            assert session.version > version
        assert len(made.patients()) == 2


def test_a_question_beyond_its_time_is_ended_and_the_next_one_answered(tmp_path: Path) -> None:
    with (
        asked_beside([patient(1)], tmp_path, seconds=0.001) as (_, made),
        pytest.raises(Unavailable, match="took longer"),
    ):
        made.count(EVERYBODY)

    with asked_beside([patient(1)], tmp_path / "again") as (_, made):
        assert made.count(EVERYBODY).patients.number == 1


def test_a_question_that_is_cancelled_ends_and_the_next_one_is_answered(tmp_path: Path) -> None:
    questions, errors = Questions(), list[P2DError]()
    is_asking = threading.Event()
    slow = parse_one("SELECT sum(a.id * b.id) FROM range(1000000) a, range(1000000) b", dialect="spark")
    with asked_beside([patient(1)], tmp_path) as (_, made):

        def ask() -> None:
            try:
                with questions.named("q1", "somebody"), made.session() as session:
                    is_asking.set()
                    session.rows(slow, {})
            except P2DError as error:
                errors.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        assert is_asking.wait(30)
        assert questions.cancel("q1", "somebody")
        asking.join(30)

        assert [error.problem for error in errors] == ["was cancelled"]
        assert made.count(EVERYBODY).patients.number == 1


def test_it_lists_studies_and_counts_as_the_warehouse_it_is_of(tmp_path: Path) -> None:
    with asked_beside(small_hospital(), tmp_path, parts=3) as (origin, made):
        assert made.patients() == origin.patients()
        for pseudonym in origin.patients():
            assert made.studies_of(str(pseudonym)) == origin.studies_of(str(pseudonym))
        assert made.studies_of(patient_psn(99)) == ()
        counts = origin.counts()
        assert all(made.counts()[name] == counts[name] for name in ("patient", "study", "series", "fact"))


def test_it_is_only_read_shows_the_catalogue_and_keeps_saved_cohorts(tmp_path: Path) -> None:
    with asked_beside(small_hospital(3), tmp_path) as (origin, made):
        Upkeep(origin).promote([("SliceThickness", "series")])
        entries = Upkeep(origin).entries()
        copied(origin, tmp_path)
        upkeep = Upkeep(made)

        for refused in (
            lambda: made.load(patient(1)),
            lambda: upkeep.promote([("KVP", "series")]),
            lambda: upkeep.erase([patient_psn(1)]),
            upkeep.arrange,
            upkeep.inconsistencies,
        ):
            with pytest.raises(InvalidRequest, match="only read"):
                refused()
        assert made.receipt("b") is None
        assert upkeep.entries() == entries
        assert upkeep.promotions() == Upkeep(origin).promotions()
        check_store(made.saved)


def test_a_promoted_column_is_asked_as_on_the_warehouse_it_is_of(tmp_path: Path) -> None:
    query = parse({"version": 2, "where": {"attribute": "SliceThickness", "at_least": 0}, "level": "patient"})
    with asked_beside(small_hospital(6), tmp_path, parts=2) as (origin, made):
        Upkeep(origin).promote([("SliceThickness", "series")])
        copied(origin, tmp_path, parts=2)

        assert made.cohort(query) == origin.cohort(query) != ()


def test_the_settings_name_the_copy_and_the_application(tmp_path: Path) -> None:
    with filled([]) as origin:
        folder = copied(origin, tmp_path / "copy")
    settings = WarehouseSettings.model_validate({
        "warehouse": {
            "engine": "spark",
            "state_dir": tmp_path,
            **{f"{name}_secret": tmp_path / name for name in ("loader", "operator", "researcher")},
            "assertion_private_key": tmp_path / "key",
        },
        "spark": {"directory": folder, "master": "local[2]"},
    })  # fmt: skip
    in_process()

    made = open_engine(settings)

    assert isinstance(made, SparkWarehouse)
    assert made.patients() == ()
    made.close()


def test_a_folder_without_a_copy_is_for_the_operator(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no whole export"):
        SparkWarehouse(in_process(), tmp_path, None)
    with filled([]) as origin:
        copied(origin, tmp_path, kind="csv")
    with pytest.raises(Misconfigured, match="another form"):
        SparkWarehouse(in_process(), tmp_path, None)
