"""Spark gives the answers of the obvious evaluator over the Parquet copy, in one process here."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlglot import parse_one

from p2d.main.warehouse_engine import open_engine
from p2d.model.errors import InvalidRequest, Misconfigured, Unavailable
from p2d.settings.warehouse import WarehouseSettings
from p2d.testing.cohort_contract import check_cohort, check_patients, check_table
from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_questions import ALL_BRANCHES, question
from p2d.testing.cohort_rows import BRANCHES, random_rows
from p2d.testing.exchanging import copied, small_hospital
from p2d.testing.saved_cohorts_contract import check_store
from p2d.testing.warehouse_rows import batch, patient_psn
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.attributes import resolve
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.parse import parse
from p2d.warehouse.upkeep.upkeep import Upkeep

pytest.importorskip("pyspark", reason="Spark is an extra: pip install 'p2d[spark]'")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17 (apt-get install openjdk-17-jre-headless)", allow_module_level=True)

from p2d.testing.spark import in_process
from p2d.warehouse.spark.engine import SparkWarehouse

# Spark leaves its sockets to the garbage collector
pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::ResourceWarning")]
LEVELS = tuple(frame for frame in Frame if frame not in {Frame.DOCUMENT, Frame.GROUP})
EVERYBODY = parse(
    {"version": 1, "where": {"any": [{"attribute": "sex", "exists": is_} for is_ in (True, False)]}}
)


def branches(_: object) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(sorted(held)) for name, held in BRANCHES.items()}


def loaded(folder: Path, seed: int) -> tuple[SparkWarehouse, CohortOracle]:
    rows = random_rows(seed)
    origin = DuckDbWarehouse(None)
    for source, names in (
        ("clinical", ("patient", "case", "document", "fact")),
        ("extended", ("study", "series", "instance", "header")),
    ):
        origin.load(batch({name: rows.get(name, []) for name in names}, source, source))
    copied(origin, folder, parts=2)
    origin.close()
    made = SparkWarehouse(in_process(), folder, None, branches=branches)
    return made, CohortOracle(rows, BRANCHES)


@pytest.fixture(scope="module", params=[1, 2])
def random_warehouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SparkWarehouse, CohortOracle, int]]:
    made, oracle = loaded(tmp_path_factory.mktemp("copy"), request.param)
    yield made, oracle, request.param
    made.close()


def compare(warehouse: SparkWarehouse, oracle: CohortOracle, numbers: range, most: int) -> int:
    """Compare the answers to up to *most* questions; those of a unit that is not there are none."""
    asked = 0
    catalogue = warehouse.catalogue()
    for number in numbers:
        query = question(number, LEVELS, ALL_BRANCHES)
        try:
            resolve(query, catalogue)
        except InvalidRequest:
            continue
        check_patients(warehouse, oracle, query)
        if number % 6 == 0:
            check_cohort(warehouse, oracle, query)
        if number % 6 == 3:
            check_table(warehouse, oracle, query)
        asked += 1
        if asked == most:
            break
    return asked


def test_random_queries_are_answered_as_by_the_oracle(
    random_warehouse: tuple[SparkWarehouse, CohortOracle, int],
) -> None:
    made, oracle, seed = random_warehouse

    assert compare(made, oracle, range(seed * 10_000, seed * 10_000 + 100), 8) == 8


@pytest.mark.long
def test_two_hundred_queries_are_answered_as_by_the_oracle(
    random_warehouse: tuple[SparkWarehouse, CohortOracle, int],
) -> None:
    made, oracle, seed = random_warehouse

    assert compare(made, oracle, range(2_000_000 + seed * 10_000, 2_000_400 + seed * 10_000), 100) == 100


def test_a_question_sees_the_newest_copy_and_keeps_it_to_its_end(tmp_path: Path) -> None:
    origin = DuckDbWarehouse(None)
    origin.load(batch({"patient": [{"patient": patient_psn(1)}]}, "b1", "clinical"))
    copied(origin, tmp_path)
    made = SparkWarehouse(in_process(), tmp_path, None)

    with made.session() as session:
        version = session.version
        origin.load(batch({"patient": [{"patient": patient_psn(2)}]}, "b2", "clinical"))
        copied(origin, tmp_path)
        keys = session.keys(parse_one("SELECT patient_key FROM patient"), {})
        later = made.count(EVERYBODY).patients.number

    assert (len(keys), later) == (1, 2)
    with made.session() as session:
        assert session.version > version
    assert len(made.patients()) == 2
    made.close()
    origin.close()


def test_a_question_beyond_its_time_is_ended_and_the_next_one_answered(tmp_path: Path) -> None:
    origin = DuckDbWarehouse(None)
    origin.load(batch({"patient": [{"patient": patient_psn(1)}]}, "b", "clinical"))
    copied(origin, tmp_path)
    made = SparkWarehouse(in_process(), tmp_path, None, query_seconds=0.001)

    with pytest.raises(Unavailable, match="took longer"):
        made.count(EVERYBODY)

    made.close()
    patient = SparkWarehouse(in_process(), tmp_path, None)
    assert patient.count(EVERYBODY).patients.number == 1
    patient.close()
    origin.close()


def test_it_lists_studies_and_counts_as_the_warehouse_it_is_of(tmp_path: Path) -> None:
    origin = DuckDbWarehouse(None)
    for one in small_hospital():
        origin.load(one)
    made = SparkWarehouse(in_process(), copied(origin, tmp_path, parts=3), None)

    assert made.patients() == origin.patients()
    for pseudonym in origin.patients():
        assert made.studies_of(str(pseudonym)) == origin.studies_of(str(pseudonym))
    assert made.studies_of(patient_psn(99)) == ()
    counts = origin.counts()
    assert all(made.counts()[name] == counts[name] for name in ("patient", "study", "series", "fact"))
    made.close()
    origin.close()


def test_it_is_only_read_shows_the_catalogue_and_keeps_saved_cohorts(tmp_path: Path) -> None:
    origin = DuckDbWarehouse(None)
    for one in small_hospital(3):
        origin.load(one)
    Upkeep(origin).promote([("SliceThickness", "series")])
    entries = Upkeep(origin).entries()
    made = SparkWarehouse(in_process(), copied(origin, tmp_path), None)
    upkeep = Upkeep(made)

    for refused in (
        lambda: made.load(batch({"patient": [{"patient": patient_psn(1)}]}, "b", "clinical")),
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
    made.close()
    origin.close()


def test_a_promoted_column_is_asked_as_on_the_warehouse_it_is_of(tmp_path: Path) -> None:
    origin = DuckDbWarehouse(None)
    for one in small_hospital(6):
        origin.load(one)
    Upkeep(origin).promote([("SliceThickness", "series")])
    made = SparkWarehouse(in_process(), copied(origin, tmp_path, parts=2), None)
    query = parse({"version": 2, "where": {"attribute": "SliceThickness", "at_least": 0}, "level": "patient"})

    assert made.cohort(query) == origin.cohort(query) != ()
    made.close()
    origin.close()


def test_the_settings_name_the_copy_and_the_application(tmp_path: Path) -> None:
    origin = DuckDbWarehouse(None)
    settings = WarehouseSettings.model_validate({
        "warehouse": {
            "engine": "spark",
            "state_dir": tmp_path,
            **{f"{name}_secret": tmp_path / name for name in ("loader", "operator", "researcher")},
            "assertion_private_key": tmp_path / "key",
        },
        "spark": {"directory": copied(origin, tmp_path / "copy"), "master": "local[2]"},
    })  # fmt: skip
    in_process()

    made = open_engine(settings)

    assert isinstance(made, SparkWarehouse)
    assert made.patients() == ()
    made.close()
    origin.close()


def test_a_folder_without_a_copy_is_for_the_operator(tmp_path: Path) -> None:
    origin = DuckDbWarehouse(None)

    with pytest.raises(Misconfigured, match="no whole export"):
        SparkWarehouse(in_process(), tmp_path, None)
    with pytest.raises(Misconfigured, match="another form"):
        SparkWarehouse(in_process(), copied(origin, tmp_path, kind="csv"), None)
    origin.close()
