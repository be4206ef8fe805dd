"""The whole pipeline against real archives: every warehouse row equals the truth, images come by session."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from p2d.flows.research.download import download
from p2d.model.errors import NotFound, Refused
from p2d.model.ids import Pseudonym, check_character
from p2d.model.level import Choice, Kind, Output, Scope
from p2d.model.request import Request, Target
from p2d.testing.canaries import Searcher
from p2d.testing.comparison import picks
from p2d.testing.hospital import generate
from p2d.testing.installation import ArchiveAddress, free_ports
from p2d.testing.servers import dcmqrscp, orthanc, store
from p2d.testing.site import Site, running_site
from p2d.warehouse.query.examples import PAPER

pytestmark = pytest.mark.system
UNANSWERED = {"orthanc": frozenset[str](), "dcmqrscp": frozenset({"SeriesDescription", "SOPClassUID"})}
PEERS = ("orthanc-get", "orthanc-move", "dcmqrscp-get", "dcmqrscp-move")


@contextmanager
def started(name: str, folder: Path) -> Iterator[Site]:
    peer, retrieve = name.split("-")
    hospital = generate(patients=8, seed=5, max_images=40, pixels=32, canary=True)
    (store_port,) = free_ports(1)
    start = {"orthanc": orthanc, "dcmqrscp": dcmqrscp}[peer]
    with start(folder / "peer", store_port=store_port) as server:
        store(server, (held.render() for held in hospital.held()))
        address = ArchiveAddress(server.port, server.ae_title, retrieve=retrieve, store_port=store_port)
        with running_site(folder, hospital, address) as running:
            yield running


@pytest.fixture(scope="module", params=PEERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with started(str(request.param), tmp_path_factory.mktemp(str(request.param))) as running:
        yield running


@pytest.mark.parametrize("peer", ["orthanc-get", "dcmqrscp-move"])
def test_every_row_of_every_approach_equals_the_truth(peer: str, tmp_path: Path) -> None:
    with started(peer, tmp_path) as site:  # of its own: the other tests extract in any order
        _compare_every_approach(site, UNANSWERED[peer.split("-", maxsplit=1)[0]])


def _compare_every_approach(site: Site, unanswered: frozenset[str]) -> None:
    everything = picks(site.hospital, "all")
    steps = [
        ("first", "basic", picks(site.hospital, "first"), {}),
        ("all", "basic", everything, {}),
        ("first", "extended", everything, picks(site.hospital, "first")),
        ("middle", "extended", everything, picks(site.hospital, "first", "middle")),
        ("all", "extended", everything, everything),
        ("all", "extended", everything, everything),  # the same extraction twice: the same rows
    ]

    for choice, scope, basic, extended in steps:
        ended = site.extract(choice, scope)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert site.differences(basic, extended, unanswered) == [], f"{scope}/{choice}"
    assert site.clinical_differences() == []


@pytest.mark.parametrize("site", ["orthanc-get", "dcmqrscp-move"], indirect=True, scope="module")
def test_no_output_holds_an_identifier_of_the_truth(site: Site, tmp_path: Path) -> None:
    ended = site.extract("all", "extended")
    request = Request(site.targets, choice=Choice.MIDDLE, output=Output.DICOM)
    session = site.client.open_session("rita", "researcher", site.patients, images=True)
    download(site.client, session, request, tmp_path / "images")
    searcher = Searcher(site.hospital.canaries())

    found = searcher.scan([site.installation.folder, site.folder / "clinical", tmp_path / "images"])

    assert found == []
    assert searcher.scan_bytes((ended.stdout + ended.stderr).encode()) == []
    assert searcher.scan([site.folder / "hospital"])


def test_the_cohort_and_its_images_come_out_by_session(site: Site, tmp_path: Path) -> None:
    site.extract("all", "basic")
    expected = {str(site.truth.patient(patient)) for patient in site.hospital.cohort()}

    patients = set(site.cohorts.patients(PAPER))

    assert patients == expected
    assert patients
    client = site.client
    session = client.open_session("rita", "researcher", sorted(patients), images=True)
    request = Request(tuple(Target(Kind.PATIENT, Pseudonym(p)) for p in sorted(patients)), frozenset({"CT"}))
    result = download(
        client, session, Request(request.targets, request.modalities, output=Output.DICOM), tmp_path / "i"
    )
    truth = [
        instance
        for instance in site.hospital.images()
        if instance.series.modality == "CT"
        and str(site.truth.patient(instance.series.study.patient)) in patients
    ]
    assert (result.released, result.withheld, result.missing) == (len(truth), 0, 0)
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "i").rglob("*.dcm")}
    assert uids == {site.truth.uid(instance.sop_instance_uid) for instance in truth}


def test_pixels_are_those_of_the_archive(site: Site, tmp_path: Path) -> None:
    client = site.client
    series = next(s for s in site.hospital.series() if s.modality == "CT")
    patient = site.truth.patient(series.study.patient)
    target = Target(
        Kind.SERIES,
        Pseudonym(site.truth.uid(series.series_instance_uid)),
        Pseudonym(site.truth.uid(series.study.study_instance_uid)),
    )
    site.extract("first", "basic")
    session = client.open_session("rita", "researcher", [patient], images=True)

    download(client, session, Request((target,), output=Output.DICOM), tmp_path / "dicom")

    for instance in series.instances:
        name = f"{site.truth.uid(instance.sop_instance_uid)}.dcm"
        (path,) = (tmp_path / "dicom").rglob(name)
        assert pydicom.dcmread(path).PixelData == instance.render().PixelData


def test_ultrasound_is_withheld_as_image_and_counted(site: Site, tmp_path: Path) -> None:
    series = next(s for s in site.hospital.series() if s.modality == "US")
    patient = site.truth.patient(series.study.patient)
    client = site.client
    session = client.open_session("rita", "researcher", [patient], images=True)
    target = Target(Kind.PATIENT, patient)

    result = download(
        client, session, Request((target,), output=Output.JPEG, choice=Choice.FIRST), tmp_path / "jpeg"
    )

    listed = list(csv.DictReader(io.StringIO((tmp_path / "jpeg" / "withheld.csv").read_text())))
    assert site.truth.uid(series.series_instance_uid) in {row["series"] for row in listed}
    assert len(listed) == result.withheld
    with pytest.raises(Refused):
        client.metadata(session, Request((target,), frozenset({"US"}), output=Output.JPEG))


def test_a_patient_outside_the_session_is_not_found_like_an_unknown_one(site: Site) -> None:
    client = site.client
    session = client.open_session("rita", "researcher", site.patients[:1], images=False)
    texts = []

    unknown = "P0000000000000000"
    for psn in (site.patients[1], unknown + check_character(unknown)):
        with pytest.raises(NotFound) as caught:
            client.metadata(session, Request((Target(Kind.PATIENT, Pseudonym(psn)),)))
        texts.append(str(caught.value))

    assert texts[0] == texts[1]


def test_metadata_at_series_level_lists_each_series_once(site: Site) -> None:
    client = site.client
    session = client.open_session("rita", "researcher", site.patients, images=False)
    targets = tuple(Target(Kind.PATIENT, Pseudonym(psn)) for psn in site.patients)

    answer = json.loads(client.metadata(session, Request(targets, choice=Choice.FIRST, scope=Scope.BASIC)))

    assert len(answer["rows"]) == sum(1 for _ in site.hospital.series())
    assert answer["ledger"]["missing"] == 0
