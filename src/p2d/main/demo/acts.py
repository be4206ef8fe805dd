"""The demo's acts: clinical facts in, headers in, the paper's cohort, a session, an export, the page."""

import csv
import getpass
import time
from pathlib import Path
from typing import Any, Final

import httpx

from p2d.cli.progress import BulkProgress
from p2d.clinical.native import NativeSource
from p2d.flows.gateway.pseudonymise import pseudonymise_clinical
from p2d.flows.research.download import Downloaded, download
from p2d.flows.research.gateway_client import GatewayClient, SessionKey
from p2d.identity.http import HttpIdentity
from p2d.main.demo.stage import Stage
from p2d.main.research_clients import open_cohorts
from p2d.model.errors import Incomplete
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Kind, Output
from p2d.model.request import Request, Target
from p2d.warehouse.http import HttpWarehouse
from p2d.warehouse.intake import Intake
from p2d.warehouse.query.examples import PAPER

TIMEOUT: Final = 120.0


def load_clinical(stage: Stage) -> dict[str, int]:
    """Pseudonymise the clinical input in the hospital zone and load it; return rows by table."""
    made = stage.installation
    identity = HttpIdentity(made.url("identity"), made.secret("identity-client"), TIMEOUT)
    pseudonymise_clinical(stage.clinical_identified, stage.clinical, identity)
    warehouse = HttpWarehouse(made.url("warehouse"), made.secret("loader"), TIMEOUT)
    rows: dict[str, int] = {}
    for batch in Intake(NativeSource(stage.clinical)).batches:
        for table, count in warehouse.load(batch).rows.items():
            rows[table] = rows.get(table, 0) + count
    return rows


def gateway_client(stage: Stage) -> GatewayClient:
    """Return the warehouse's client of the gateway."""
    made = stage.installation
    return GatewayClient.connect(made.url("gateway"), made.secret("service"), made.private_key, TIMEOUT)


def extract(stage: Stage, client: GatewayClient) -> dict[str, Any]:
    """Run the bulk extractor basic/all over every patient of the warehouse; return the run's report."""
    patients = tuple(Target(Kind.PATIENT, Pseudonym(psn)) for psn in patients_of(stage))
    secret, user = stage.installation.secret("operator"), getpass.getuser()
    run_id = client.start_bulk(secret, user, Request(patients, choice=Choice.ALL))
    with BulkProgress() as bar:
        while True:
            answer: dict[str, Any] = client.run(secret, user, run_id)
            progress = answer["progress"]
            bar.show_counts(
                progress["patients_done"], progress["patients_total"], progress["images_received"]
            )
            if not answer["running"]:
                return dict(answer["report"])
            time.sleep(0.2)


def patients_of(stage: Stage) -> list[str]:
    """Return the pseudonyms of the clinical input."""
    with (stage.clinical / "patient.csv").open(encoding="utf-8", newline="") as stream:
        return [row["patient"] for row in csv.DictReader(stream)]


def cohort(stage: Stage) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """Run the paper's example cohort; return columns, all rows and the patients."""
    made = stage.installation
    cohorts = open_cohorts(made.url("warehouse"), made.secret("researcher"))
    table = cohorts.table(PAPER)
    rows = [dict(row) for row in table.rows]
    return list(table.columns), rows, list(cohorts.patients(PAPER))


def export_series(
    stage: Stage, client: GatewayClient, session: SessionKey, patients: list[str]
) -> tuple[Path, dict[str, Downloaded]]:
    """Export the first CT thorax series of the cohort as DICOM and as JPEG.

    Raises:
        Incomplete: no patient of the cohort has such a series in the archive.

    """
    for patient in patients:
        for study in client.studies(session, patient)["studies"]:  # type: ignore[attr-defined]  # JSON
            if "thorax" not in study["StudyDescription"].lower():
                continue
            for series in study["series"]:
                if series["Modality"] == "CT":
                    return _exported(stage, client, session, study["study"], series["series"])
    raise Incomplete("export", "no CT thorax series in the cohort", "use more patients: --patients 100")


def _exported(
    stage: Stage, client: GatewayClient, session: SessionKey, study: str, series: str
) -> tuple[Path, dict[str, Downloaded]]:
    target = Target(Kind.SERIES, Pseudonym(series), Pseudonym(study))
    results = {
        output: download(client, session, Request((target,), output=Output(output)), stage.exports / output)
        for output in ("dicom", "jpeg")
    }
    return stage.exports, results


def page_url(stage: Stage) -> str:
    """Return the start page's address with a one-time token."""
    made = stage.installation
    answer = httpx.post(
        f"{made.url('warehouse')}/page-tokens",
        headers={"Authorization": f"Bearer {made.secret('operator')}"},
        json={"user": getpass.getuser(), "role": "researcher"},
        timeout=TIMEOUT,
        trust_env=False,
    )
    answer.raise_for_status()
    return f"{made.url('warehouse')}/?token={answer.json()['token']}"
