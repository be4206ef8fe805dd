"""Probes of Orthanc and dcmqrscp find what is known of them: see the facts each test names."""

from collections.abc import Iterator

import pytest

from p2d.dimse.negotiation import Peer
from p2d.model.identified import PatientId
from p2d.pacs.probe.probe import Effort, Probe, Probed
from p2d.testing.datasets import three_patients
from p2d.testing.servers import RunningArchive, dcmqrscp, orthanc, store

pytestmark = pytest.mark.system


def probed(archive: RunningArchive) -> Probed:
    peer = Peer(archive.host, archive.port, archive.ae_title, "P2D", answer_seconds=20)
    effort = Effort(images=60, associations=2)
    return Probe("main", peer, effort=effort).run([PatientId("P-1"), PatientId("P-2")])


@pytest.fixture(scope="module")
def of_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        store(archive, (one.render() for one in three_patients().listed))
        yield probed(archive)


@pytest.fixture(scope="module")
def of_dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    with dcmqrscp(tmp_path_factory.mktemp("dcmqrscp")) as archive:
        store(archive, (one.render() for one in three_patients().listed))
        yield probed(archive)


def test_orthanc_answers_relational_queries_and_bare_lists(of_orthanc: Probed) -> None:
    profile = of_orthanc.profile

    assert (profile.find.relational_series, profile.find.relational_instance) == (True, True)
    assert not profile.retrieve.lists_need_upper_keys
    assert (profile.retrieve.get, profile.retrieve.series, profile.retrieve.study) == (True, True, True)
    assert not profile.find.unsupported


def test_orthanc_answers_extended_attributes_by_query(of_orthanc: Probed) -> None:
    assert {"00280100", "00280101", "00280102"} <= of_orthanc.profile.find.keys


def test_dcmqrscp_is_relational_in_one_model_and_dangerous_in_the_other(of_dcmqrscp: Probed) -> None:
    profile = of_dcmqrscp.profile

    assert profile.find.relational_instance
    assert profile.find.model == "patient-root"
    assert any("study-root IMAGE" in remark and "other patients" in remark for remark in of_dcmqrscp.remarks)


def test_dcmqrscp_reports_success_for_bare_lists_and_sends_nothing(of_dcmqrscp: Probed) -> None:
    retrieve = of_dcmqrscp.profile.retrieve

    assert (retrieve.list_length > 1, retrieve.lists_need_upper_keys) == (True, True)


def test_keys_that_dcmqrscp_does_not_answer_are_named(of_dcmqrscp: Probed) -> None:
    assert {"0008103E", "00201209"} <= of_dcmqrscp.profile.find.unsupported
    assert of_dcmqrscp.profile.find.keys == frozenset()
