"""A whole site for system tests and benchmarks: archive, processes, clinical facts loaded, the truth."""

import base64
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from p2d.clinical.native import NativeSource
from p2d.flows.gateway.pseudonymise import pseudonymise_clinical
from p2d.flows.research.cohort_client import Cohorts
from p2d.flows.research.gateway_client import GatewayClient
from p2d.identity.http import HttpIdentity
from p2d.identity.keys import read_key_file
from p2d.identity.table import IdentityTable
from p2d.jobs.ledger import Ledger
from p2d.model.errors import P2DError, Unavailable
from p2d.model.ids import Pseudonym
from p2d.model.level import Kind
from p2d.model.request import Target
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.settings.gateway import Archive
from p2d.testing.clinical_comparison import clinical_differences
from p2d.testing.comparison import Database, Truth, differences
from p2d.testing.hospital import Hospital, Instance
from p2d.testing.installation import ArchiveAddress, Installation, free_ports, install
from p2d.testing.processes import Process, Processes
from p2d.warehouse.http import HttpWarehouse, WarehouseClient
from p2d.warehouse.intake import Intake

if TYPE_CHECKING:
    from p2d.testing.warehouse_database import WarehouseDatabase

_SECONDS = 120.0


@dataclass(frozen=True)
class Site:
    """A running site below ``folder``; ``patients`` are all pseudonyms, ``list_file`` lists them.

    ``client`` speaks to the gateway as the warehouse does, ``cohorts`` to the warehouse as a researcher.
    """

    folder: Path
    hospital: Hospital = field(repr=False)
    installation: Installation
    processes: Processes = field(repr=False)
    truth: Truth = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    list_file: Path
    client: GatewayClient = field(repr=False)
    cohorts: Cohorts = field(repr=False)
    server: "WarehouseDatabase | None" = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every patient as a target of a request."""
        return tuple(Target(Kind.PATIENT, Pseudonym(patient)) for patient in self.patients)

    @property
    def database(self) -> Path:
        """The warehouse's DuckDB file; only readable while the warehouse is stopped."""
        return self.installation.folder / "warehouse" / "warehouse.duckdb"

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """Open the warehouse's tables to be looked at (stops and restarts a warehouse in a file)."""
        if self.server is not None:
            with self.server.connection() as connection:
                yield connection
            return
        self.processes["warehouse"].stop()
        try:
            with duckdb.connect(str(self.database), read_only=True) as connection:
                yield connection
        finally:
            self.processes.restart("warehouse")

    def ledger(self) -> Ledger:
        """Return the gateway's ledger, opened beside the gateway."""
        return Ledger(self.installation.folder / "gateway" / "ledger.sqlite")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``p2d`` with *arguments* to its end."""
        return subprocess.run(
            [sys.executable, "-m", "p2d", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def extract(self, choice: str, scope: str) -> subprocess.CompletedProcess[str]:
        """Run ``p2d extract`` over every patient."""
        settings = str(self.installation.settings("gateway"))
        arguments = ("extract", str(self.list_file), "--settings", settings)
        return self.command(*arguments, "--choice", choice, "--scope", scope)

    def differences(
        self,
        basic: Mapping[str, Instance],
        extended: Mapping[str, Instance],
        unanswered: frozenset[str] = frozenset(),
    ) -> list[str]:
        """Compare every row of the warehouse with the truth; see ``opened``."""
        with self.opened() as database:
            return differences(database, self.truth, basic, extended, unanswered)

    def clinical_differences(self) -> list[str]:
        """Compare every clinical row and link with the truth; see ``opened``."""
        with self.opened() as database:
            return clinical_differences(database, self.truth, datetime.now(UTC).date())


@contextmanager
def running_site(
    folder: Path,
    hospital: Hospital,
    archive: ArchiveAddress,
    server: "WarehouseDatabase | None" = None,
    *,
    master: bytes | None = None,
) -> Iterator[Site]:
    """Install and start a site whose archive already holds *hospital*, and load its clinical facts.

    The warehouse is a DuckDB file, or in the database *server*. *master* is the identity service's key, 32
    bytes, in place of a random one: pseudonyms, derived UIDs and shifts are the same in every run then.

    Raises:
        Unavailable: a process did not start.

    """
    with ExitStack() as stack:
        installation = install(folder / "p2d", archive)
        if master is not None:
            _replace_key(installation.folder / "identity" / "identity.key", master)
        if server is not None:
            server.serve(installation)
        processes = stack.enter_context(Processes(installation))
        (folder / "hospital").mkdir(exist_ok=True)
        hospital.write_clinical(folder / "hospital")
        clinical = folder / "clinical"
        identity = HttpIdentity(
            installation.url("identity"), installation.secret("identity-client"), _SECONDS
        )
        stack.callback(identity.close)
        pseudonymise_clinical(folder / "hospital", clinical, identity)
        warehouse = HttpWarehouse(installation.url("warehouse"), installation.secret("loader"), _SECONDS)
        stack.callback(warehouse.close)
        for batch in Intake(NativeSource(clinical)).batches:
            warehouse.load(batch)
        keys = read_key_file(folder / "p2d" / "identity" / "identity.key")
        table = IdentityTable(folder / "p2d" / "identity" / "identity.sqlite", keys)
        stack.callback(table.close)
        with (clinical / "patient.csv").open(encoding="utf-8", newline="") as stream:
            patients = tuple(row["patient"] for row in csv.DictReader(stream))
        listed = folder / "patients.csv"
        listed.write_text("pseudonym\n" + "\n".join(patients) + "\n", encoding="utf-8")
        client = GatewayClient.connect(
            installation.url("gateway"), installation.secret("service"), installation.private_key, _SECONDS
        )
        stack.callback(client.close)
        asking = WarehouseClient(installation.url("warehouse"), installation.secret("researcher"), _SECONDS)
        stack.callback(asking.close)
        truth = Truth(hospital, keys, table)
        yield Site(
            folder,
            hospital,
            installation,
            processes,
            truth,
            patients,
            listed,
            client,
            Cohorts(asking),
            server,
        )


@contextmanager
def hospital_archive(
    folder: Path, *, patients: int, seed: int, max_images: int, canary: bool = False
) -> Iterator[ArchiveAddress]:
    """Serve a synthetic hospital by the test archive in a process of its own.

    Raises:
        Unavailable: it did not start; its log says why.

    """
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "p2d.testing.hospital_archive", "--port", str(port)]
    command += ["--patients", str(patients), "--seed", str(seed), "--max-images", str(max_images)]
    command += ["--ae-title", "TESTPACS", *(["--canary"] if canary else [])]
    folder.mkdir(parents=True, exist_ok=True)
    process = Process("archive", command, folder / "archive.log")
    try:
        address = ArchiveAddress(port, "TESTPACS")
        wait_for_archive(address, process)
        yield address
    finally:
        process.stop()


def wait_for_archive(address: ArchiveAddress, process: Process) -> None:
    """Wait until the archive of *process* answers a C-ECHO.

    Raises:
        Unavailable: it ended, or does not answer within a minute.

    """
    settings = Archive(
        host=address.host, port=address.port, called_ae_title=address.called_ae_title, connect_seconds=1
    )
    deadline = time.monotonic() + 60
    with DimseArchive(settings) as probe:
        while True:
            try:
                probe.echo()
            except P2DError:
                if time.monotonic() > deadline or not process.is_alive:
                    raise Unavailable("archive", "did not start", f"read {process.log}") from None
                time.sleep(0.1)
            else:
                return


def _replace_key(path: Path, master: bytes) -> None:
    source = json.loads(path.read_text(encoding="ascii"))
    path.chmod(0o600)
    path.write_text(json.dumps({**source, "key": base64.b64encode(master).decode("ascii")}), encoding="ascii")
    path.chmod(0o400)
