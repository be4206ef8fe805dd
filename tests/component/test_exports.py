"""Exports by order: who may, where they go, what the audit keeps, what a failure shows."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from p2d.audit.log import AuditLog
from p2d.cli.warehouse_export import export, rebuild
from p2d.flows.research.cohort import Asker, CohortDesk
from p2d.flows.research.export_client import Exports
from p2d.flows.research.exporting import ExportDesk, Order
from p2d.main.roots import roots
from p2d.main.warehouse import check_secrets
from p2d.model.errors import Incomplete, InvalidRequest, Misconfigured, NotFound, P2DError, Unavailable
from p2d.settings.exchange import Exchange, ForeignDatabase
from p2d.settings.file import read_settings
from p2d.settings.warehouse import WarehouseSettings
from p2d.testing.app_client import AppClient
from p2d.testing.exchanging import exported, filled, small_hospital
from p2d.testing.installation import ArchiveAddress, install
from p2d.testing.warehouse_rows import Row, batch, patient_psn, uid
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.duckdb.opening import SCHEMA_VERSION
from p2d.warehouse.exchange.dictionary import layouts
from p2d.warehouse.exchange.omop.form import Omop, read_concepts
from p2d.warehouse.exchange.publication import Published
from p2d.warehouse.exchange.source import DuckDbSource, Source
from p2d.web.research.access import Role
from p2d.web.research.app import create_app
from p2d.web.research.exports import exports_router

SECRETS = {role: f"{role}-zq81mX0pLw4vT9sKd7" for role in Role}
OPERATOR = Asker("operator", "operator")


@pytest.fixture(scope="module")
def hospital() -> Iterator[DuckDbWarehouse]:
    with filled(small_hospital(2, max_images=6)) as made:
        yield made


@dataclass(frozen=True)
class Site:
    folder: Path
    desk: ExportDesk
    client: AppClient
    held: threading.Event

    def done(self, order: Order) -> Any:
        started = self.desk.start(order, OPERATOR)
        thread = self.desk._thread
        assert thread is not None
        thread.join()
        return self.desk.state(started.export)

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
def site(hospital: DuckDbWarehouse, tmp_path: Path) -> Iterator[Site]:
    held = threading.Event()
    held.set()

    @contextmanager
    def snapshot() -> Iterator[Source]:
        held.wait()
        with hospital.reading() as state:
            yield DuckDbSource(state)

    audit = AuditLog(tmp_path / "audit.jsonl")
    dsn = tmp_path / "dsn"
    dsn.write_text("host=/nowhere dbname=dwh password=s3cret-of-theirs", encoding="utf-8")
    dsn.chmod(0o400)
    exchange = Exchange(directory=tmp_path / "exports", rows_at_once=10_000)
    database = ForeignDatabase(name="dwh", form="eav", dsn=dsn)
    desk = ExportDesk(snapshot, audit, exchange, (database,), SCHEMA_VERSION)
    app = create_app(hospital, CohortDesk(hospital, audit), SECRETS, [exports_router(desk)])
    yield Site(tmp_path, desk, AppClient(app), held)
    held.set()
    desk.close()


@pytest.mark.parametrize("form", ["eav", "omop", "i2b2", "fhir"])
def test_a_form_has_every_table_as_a_file_with_its_dictionary(site: Site, form: str) -> None:
    done = site.done(Order(form, to="research"))

    assert done.state == "done"
    shown = Published.current(site.folder / "exports" / "research")
    shown.verify()
    kind = "ndjson" if form == "fhir" else "csv"
    stated = {name: entry["rows"] for name, entry in shown.manifest["files"].items()}
    assert stated.pop("datapackage.json") == len(layouts(form))
    assert stated == {f"{table}.{kind}": done.tables[table] for table in layouts(form)}


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_dump_says_what_it_is_of(site: Site, form: str) -> None:
    done = site.done(Order(form, to="backup"))

    manifest = Published.current(site.folder / "exports" / "backup").manifest
    assert done.tables["patient"] == 2
    assert (manifest["form"], manifest["schema_version"]) == ("canonical", SCHEMA_VERSION)


def test_files_may_be_parquet(site: Site) -> None:
    site.done(Order("eav", to="eav", files="parquet"))

    assert (Published.current(site.folder / "exports" / "eav").folder / "eav.parquet").is_file()


def test_the_operator_orders_and_watches_by_http(site: Site) -> None:
    secret = {"Authorization": f"Bearer {SECRETS[Role.OPERATOR]}"}

    answer = site.client.post("/exports", json={"form": "eav", "to": "eav"}, headers=secret)

    assert answer.status_code == 202
    thread = site.desk._thread
    assert thread is not None
    thread.join()
    state = site.client.get(f"/exports/{answer.json()['export']}", headers=secret).json()
    assert (state["state"], state["error"], state["tables"]["eav"]) == (
        "done",
        None,
        state["rows"] - state["tables"]["eav_catalogue"],
    )


@pytest.mark.parametrize("role", [Role.LOADER, Role.RESEARCHER])
def test_others_may_not(site: Site, role: Role) -> None:
    secret = {"Authorization": f"Bearer {SECRETS[role]}"}

    answers = [
        site.client.post("/exports", json={"form": "eav", "to": "eav"}, headers=secret),
        site.client.get("/exports/1", headers=secret),
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert not (site.folder / "exports").exists()


def test_order_and_end_are_in_the_audit(site: Site) -> None:
    done = site.done(Order("omop", to="omop"))

    intent, outcome = site.records()
    assert (intent["action"], intent["subject"]) == (
        "export",
        {"role": "operator", "form": "omop", "to": "omop"},
    )
    assert (outcome["outcome"], outcome["counts"]) == ("ok", {"rows": done.rows})


@pytest.mark.parametrize(
    ("order", "error", "field"),
    [
        (Order("sas", to="x"), InvalidRequest, "form"),
        (Order("eav"), InvalidRequest, "to"),
        (Order("eav", to="x", database="dwh"), InvalidRequest, "to"),
        (Order("eav", to="../etc"), InvalidRequest, "to"),
        (Order("eav", to="x", files="xlsx"), InvalidRequest, "files"),
        (Order("omop", database="dwh"), InvalidRequest, "database"),
        (Order("eav", database="other"), InvalidRequest, "database"),
    ],
)
def test_a_wrong_order_is_refused_before_anything_is_done(
    site: Site, order: Order, error: type[P2DError], field: str
) -> None:
    with pytest.raises(error) as refused:
        site.desk.start(order, OPERATOR)

    assert refused.value.field == field
    assert not (site.folder / "exports").exists()


def test_without_a_folder_for_exports_none_is_made(tmp_path: Path) -> None:
    desk = ExportDesk(lambda: pytest.fail("was opened"), AuditLog(tmp_path / "audit.jsonl"), None)

    with pytest.raises(Misconfigured, match="exchange"):
        desk.start(Order("eav", to="eav"), OPERATOR)


def test_one_export_runs_at_a_time(site: Site) -> None:
    site.held.clear()
    site.desk.start(Order("eav", to="eav"), OPERATOR)

    with pytest.raises(Unavailable, match="another one runs"):
        site.desk.start(Order("omop", to="omop"), OPERATOR)


def test_the_end_of_the_process_stops_it_and_shows_nothing(site: Site) -> None:
    site.held.clear()
    started = site.desk.start(Order("eav", to="eav"), OPERATOR)
    site.desk._is_stopped.set()
    site.held.set()

    site.desk.close()

    stopped = site.desk.state(started.export)
    assert stopped.state == "failed"
    assert not list((site.folder / "exports" / "eav").iterdir())
    assert site.records()[-1]["outcome"] == "error"


def test_a_database_that_does_not_answer_fails_without_a_word_of_its_secret(site: Site) -> None:
    failed = site.done(Order("eav", database="dwh"))

    assert failed.state == "failed"
    assert failed.error.field == "exchange.database"
    assert "s3cret" not in str(failed.error)


def test_an_unknown_export_is_not_found(site: Site) -> None:
    with pytest.raises(NotFound):
        site.desk.state("1")


class FakeClient:
    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, Any]] = []

    def call(self, method: str, path: str, **more: Any) -> Any:
        self.calls.append((method, path, more.get("json")))
        return self.answers.pop(0)


def answer(state: str, **more: Any) -> dict[str, Any]:
    return {
        "export": "17",
        "state": state,
        "rows": 2,
        "tables": {"eav": 2},
        "shown": "v1",
        "error": None,
        **more,
    }


def test_the_command_orders_waits_and_tells(tmp_path: Path) -> None:
    client = FakeClient(answer("running"), answer("done"))
    secret = tmp_path / "operator"
    secret.write_text("zq81mX0pLw4vT9sKd7-Rb3nYh", encoding="utf-8")
    secret.chmod(0o400)

    class Commands:
        open_exports = staticmethod(lambda url, secret: Exports(client))  # type: ignore[arg-type]

    words = ["--form", "eav", "--to", "eav", "--url", "http://warehouse", "--secret", str(secret)]
    told = CliRunner().invoke(export, words, obj=Commands())

    assert told.exit_code == 0, told.output
    assert "2 eav" in told.output
    assert "eav is in eav/v1" in told.output
    assert client.calls[0][2]["form"] == "eav"


def test_a_failed_export_is_told_with_its_reason() -> None:
    error = {"field": "export.to", "problem": "the disk is full", "remedy": "make room"}
    client = FakeClient(answer("failed", error=error))

    with pytest.raises(Incomplete, match=r"the disk is full \(make room\)"):
        Exports(client).wait("17")  # type: ignore[arg-type]


def test_the_command_rebuilds_the_warehouse_of_the_settings(site: Site, tmp_path: Path) -> None:
    site.done(Order("parquet", to="backup"))
    made = install(tmp_path / "site", ArchiveAddress(port=11112, called_ae_title="ARCHIVE"))
    words = [str(site.folder / "exports" / "backup"), "--settings", str(made.settings("warehouse"))]

    told = CliRunner().invoke(rebuild, words, obj=roots())

    assert told.exit_code == 0, told.output
    again = DuckDbWarehouse(made.folder / "warehouse" / "warehouse.duckdb")
    assert again.counts()["patient"] == 2
    again.close()


def settings_with(folder: Path, more: str) -> WarehouseSettings:
    made = install(folder / "site", ArchiveAddress(port=11112, called_ae_title="ARCHIVE"))
    path = made.settings("warehouse")
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    return read_settings(path, WarehouseSettings)


_DATABASE = '[[exchange_database]]\nname = "dwh"\nform = "eav"\ndsn = "dsn"\n'


def test_a_missing_connection_string_is_found_before_the_start(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, _DATABASE)

    with pytest.raises(Misconfigured, match=r"exchange_database\.dwh\.dsn"):
        check_secrets(settings)


def test_a_concept_map_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("code,concept\nCT,1\n", encoding="utf-8")
    settings = settings_with(tmp_path, f'[exchange]\ndirectory = "out"\nconcepts = "{tmp_path}/map.csv"\n')

    with pytest.raises(Misconfigured, match=r"exchange\.concepts"):
        check_secrets(settings)


def test_the_sites_concepts_complete_those_that_come_along(tmp_path: Path, hospital: DuckDbWarehouse) -> None:
    columns = "source_code,source_vocabulary_id,target_concept_id\n"
    (tmp_path / "map.csv").write_text(f"{columns}%,unit,8554\nLVEF,attribute,3027172\n", encoding="utf-8")

    rows = exported(hospital, Omop(read_concepts(tmp_path / "map.csv"))).tables

    found = {
        (row["measurement_concept_id"], row["unit_concept_id"])
        for row in rows["measurement"]
        if row["measurement_source_value"] == "LVEF"
    }
    assert found == {(3027172, 8554)}
    assert {row["gender_concept_id"] for row in rows["person"]} <= {8507, 8532}


def test_nothing_of_the_warehouse_is_longer_than_omop_allows(hospital: DuckDbWarehouse) -> None:
    long = "x" * 90
    facts: list[Row] = [
        {"patient": patient_psn(1), "attribute": "Anamnese", "group": uid(1), "text": long},
        {"patient": patient_psn(1), "attribute": "a" * 80, "group": uid(2), "number": 1.0, "unit": "u" * 60},
    ]
    with filled(
        [batch({"patient": [{"patient": patient_psn(1)}], "fact": facts}, source="clinical")]
    ) as other:
        rows = exported(other, Omop()).tables

    (observation,) = rows["observation"]
    (measurement,) = rows["measurement"]
    assert (observation["value_as_string"], rows["observation_ext"][0]["value_text"]) == ("x" * 60, long)
    assert (len(measurement["measurement_source_value"]), len(measurement["unit_source_value"])) == (50, 50)
    assert rows["person"][0]["year_of_birth"] == 0


def test_a_dump_is_divided_by_patients_where_it_is_asked_for(site: Site) -> None:
    done = site.done(Order("parquet", to="spark", parts=2))

    shown = Published.current(site.folder / "exports" / "spark")
    shown.verify()
    names = {path.name for path in (shown.folder / "fact").iterdir()}
    assert names == {"part-0000.parquet", "part-0001.parquet"}
    assert done.tables["patient"] == 2
    with pytest.raises(InvalidRequest, match="Parquet dump"):
        site.desk.start(Order("omop", to="x", parts=2), OPERATOR)
