"""The whole pipeline against real archives: every warehouse row equals the truth, images come by session."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from p2d.main.research_clients import open_cohorts
from p2d.testing.servers import dcmqrscp, orthanc, store
from p2d.warehouse.clinical import read_clinical
from p2d.warehouse.http import HttpWarehouse

from p2d.flows.gateway.pseudonymise import pseudonymise_clinical
from p2d.flows.research.download import download
from p2d.flows.research.gateway_client import GatewayClient
from p2d.identity.http import HttpIdentity
from p2d.identity.keys import read_key_file
from p2d.identity.table import IdentityTable
from p2d.model.errors import NotFound, Refused
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Kind, Output, Scope
from p2d.model.request import Request, Target
from p2d.testing.comparison import Truth, differences, picks
from p2d.testing.hospital import Hospital, Instance, generate
from p2d.testing.installation import ArchiveAddress, Installation, free_ports, install
from p2d.testing.processes import Processes
from p2d.warehouse.query.examples import PAPER

pytestmark = pytest.mark.system
PEERS = ("orthanc-get", "orthanc-move", "dcmqrscp-get", "dcmqrscp-move")


@dataclass(frozen=True)
class House:
    """A running installation with an archive that holds the synthetic hospital."""

    hospital: Hospital
    installation: Installation
    processes: Processes
    truth: Truth
    patients: list[str]
    list_file: Path

    def extract(self, choice: str, scope: str) -> subprocess.CompletedProcess[str]:
        settings = self.installation.settings("gateway")
        arguments = ["extract", str(self.list_file), "--settings", str(settings)]
        return subprocess.run(
            [sys.executable, "-m", "p2d", *arguments, "--choice", choice, "--scope", scope],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def compare(self, basic: dict[str, Instance], extended: dict[str, Instance]) -> list[str]:
        self.processes["warehouse"].stop()
        database = self.installation.folder / "warehouse" / "warehouse.duckdb"
        found = differences(database, self.truth, basic, extended)
        self.processes.restart("warehouse")
        return found

    def client(self) -> GatewayClient:
        made = self.installation
        return GatewayClient.connect(made.url("gateway"), made.secret("service"), made.private_key, 120)


@pytest.fixture(scope="module", params=PEERS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    peer, retrieve = str(request.param).split("-")
    folder = tmp_path_factory.mktemp(str(request.param))
    hospital = generate(patients=12, seed=5, max_images=60, pixels=32)
    (store_port,) = free_ports(1)
    with ExitStack() as stack:
        start = {"orthanc": orthanc, "dcmqrscp": dcmqrscp}[peer]
        server = stack.enter_context(start(folder / "peer", store_port=store_port))
        store(server.host, server.port, server.ae_title, (held.render() for held in hospital.held()))
        address = ArchiveAddress(server.port, server.ae_title, retrieve=retrieve, store_port=store_port)
        installation = install(folder / "p2d", address)
        processes = stack.enter_context(Processes(installation))
        hospital.write_clinical(folder / "identified")
        identity = HttpIdentity(installation.url("identity"), installation.secret("identity-client"), 60)
        stack.callback(identity.close)
        pseudonymise_clinical(folder / "identified", folder / "clinical", identity)
        warehouse = HttpWarehouse(installation.url("warehouse"), installation.secret("loader"), 60)
        for batch in read_clinical(folder / "clinical").batches:
            warehouse.load(batch)
        keys = read_key_file(folder / "p2d" / "identity" / "identity.key")
        table = IdentityTable(folder / "p2d" / "identity" / "identity.sqlite", keys)
        stack.callback(table.close)
        with (folder / "clinical" / "patient.csv").open(encoding="utf-8", newline="") as stream:
            patients = [row["patient"] for row in csv.DictReader(stream)]
        listed = folder / "patients.csv"
        listed.write_text("pseudonym\n" + "\n".join(patients) + "\n", encoding="utf-8")
        yield House(hospital, installation, processes, Truth(hospital, keys, table), patients, listed)


def test_every_row_of_every_approach_equals_the_truth(house: House) -> None:
    everything = picks(house.hospital, "all")
    steps = [
        ("first", "basic", picks(house.hospital, "first"), {}),
        ("all", "basic", everything, {}),
        ("first", "extended", everything, picks(house.hospital, "first")),
        ("middle", "extended", everything, picks(house.hospital, "first", "middle")),
        ("all", "extended", everything, everything),
        ("all", "extended", everything, everything),  # the same extraction twice: the same rows
    ]

    for choice, scope, basic, extended in steps:
        ended = house.extract(choice, scope)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert house.compare(basic, extended) == [], f"{scope}/{choice}"


def test_the_cohort_and_its_images_come_out_by_session(house: House, tmp_path: Path) -> None:
    house.extract("all", "basic")
    made = house.installation
    expected = {str(house.truth.patient(patient)) for patient in house.hospital.cohort()}

    patients = set(open_cohorts(made.url("warehouse"), made.secret("researcher")).patients(PAPER))

    assert patients == expected
    assert patients
    client = house.client()
    session = client.open_session("rita", "researcher", sorted(patients), images=True)
    request = Request(tuple(Target(Kind.PATIENT, Pseudonym(p)) for p in sorted(patients)), frozenset({"CT"}))
    result = download(
        client, session, Request(request.targets, request.modalities, output=Output.DICOM), tmp_path / "i"
    )
    truth = [
        instance
        for instance in house.hospital.images()
        if instance.series.modality == "CT"
        and str(house.truth.patient(instance.series.study.patient)) in patients
    ]
    assert (result.released, result.withheld, result.missing) == (len(truth), 0, 0)
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "i").rglob("*.dcm")}
    assert uids == {house.truth.uid(instance.sop_instance_uid) for instance in truth}


def test_pixels_are_those_of_the_archive(house: House, tmp_path: Path) -> None:
    client = house.client()
    series = next(s for s in house.hospital.series() if s.modality == "CT")
    patient = house.truth.patient(series.study.patient)
    target = Target(
        Kind.SERIES,
        Pseudonym(house.truth.uid(series.series_instance_uid)),
        Pseudonym(house.truth.uid(series.study.study_instance_uid)),
    )
    house.extract("first", "basic")
    session = client.open_session("rita", "researcher", [patient], images=True)

    download(client, session, Request((target,), output=Output.DICOM), tmp_path / "dicom")

    for instance in series.instances:
        name = f"{house.truth.uid(instance.sop_instance_uid)}.dcm"
        (path,) = (tmp_path / "dicom").rglob(name)
        assert pydicom.dcmread(path).PixelData == instance.render().PixelData


def test_ultrasound_is_withheld_as_image_and_counted(house: House, tmp_path: Path) -> None:
    series = next(s for s in house.hospital.series() if s.modality == "US")
    patient = house.truth.patient(series.study.patient)
    client = house.client()
    session = client.open_session("rita", "researcher", [patient], images=True)
    target = Target(Kind.PATIENT, patient)

    result = download(
        client, session, Request((target,), output=Output.JPEG, choice=Choice.FIRST), tmp_path / "jpeg"
    )

    listed = list(csv.DictReader(io.StringIO((tmp_path / "jpeg" / "withheld.csv").read_text())))
    assert house.truth.uid(series.series_instance_uid) in {row["series"] for row in listed}
    assert len(listed) == result.withheld
    with pytest.raises(Refused):
        client.metadata(session, Request((target,), frozenset({"US"}), output=Output.JPEG))


def test_a_patient_outside_the_session_is_not_found_like_an_unknown_one(house: House) -> None:
    client = house.client()
    session = client.open_session("rita", "researcher", house.patients[:1], images=False)
    texts = []

    for psn in (house.patients[1], "P00000000000000000"):
        with pytest.raises(NotFound) as caught:
            client.metadata(session, Request((Target(Kind.PATIENT, Pseudonym(psn)),)))
        texts.append(str(caught.value))

    assert texts[0] == texts[1]


def test_metadata_at_series_level_lists_each_series_once(house: House) -> None:
    client = house.client()
    session = client.open_session("rita", "researcher", house.patients, images=False)
    targets = tuple(Target(Kind.PATIENT, Pseudonym(psn)) for psn in house.patients)

    answer = json.loads(client.metadata(session, Request(targets, choice=Choice.FIRST, scope=Scope.BASIC)))

    assert len(answer["rows"]) == sum(1 for _ in house.hospital.series())
    assert answer["ledger"]["missing"] == 0
