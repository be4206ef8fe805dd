"""Who may probe with whom, and that it is audited."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2d.dimse.negotiation import Peer
from p2d.flows.gateway.probing import MOST_PATIENTS, Prober
from p2d.model.errors import InvalidRequest, Refused
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Kind
from p2d.model.request import Target
from p2d.pacs.governor.archives import GovernedArchives
from p2d.pacs.governor.governed import GovernedPacs
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.local import LocalGovernor
from p2d.pacs.governor.port import Governor, NotNow, Resource, Why, WorkClass
from p2d.pacs.probe.probe import Effort, Probe
from p2d.settings.governor import Governing
from p2d.testing.archive import DimseArchiveServer
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, RESEARCHER, GatewayStages, gateway_stages
from p2d.testing.installation import free_ports
from p2d.testing.waiting import until

FEW = Effort(images=5, associations=1)


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, three_patients().listed)


@pytest.fixture
def prober(stages: GatewayStages) -> Iterator[Prober]:
    with DimseArchiveServer(three_patients(), peers={}) as server:
        peer = Peer("127.0.0.1", server.port, "ARCHIVE", "P2D", answer_seconds=5)
        yield Prober(stages.gateway, {"main": Probe("main", peer, effort=FEW)})


def test_an_operator_probes_with_pseudonyms_and_it_is_audited(stages: GatewayStages, prober: Prober) -> None:
    probed = prober.run(prober.probe(""), [stages.target("P-9"), stages.target("P-2")], OPERATOR)

    assert probed.profile.retrieve.get
    intent, outcome = stages.records()
    assert (intent["action"], intent["subject"]) == ("probe", {"archive": "main", "patients": 2})
    assert outcome["counts"] == {"queries": probed.bill.queries, "images": probed.bill.images}


def test_others_and_other_identifiers_are_refused_before_anything_is_asked(
    stages: GatewayStages, prober: Prober
) -> None:
    probe = prober.probe("main")
    study = Target(Kind.STUDY, stages.study(three_patients().listed[0]["StudyInstanceUID"]))

    with pytest.raises(Refused):
        prober.run(probe, [stages.target("P-2")], RESEARCHER)
    with pytest.raises(InvalidRequest, match="is not patient"):
        prober.run(probe, [study], OPERATOR)
    with pytest.raises(InvalidRequest, match=f"more than {MOST_PATIENTS}"):
        prober.run(probe, [stages.target("P-2")] * (MOST_PATIENTS + 1), OPERATOR)
    with pytest.raises(InvalidRequest, match="names no patient"):
        prober.run(
            probe, [Target(Kind.PATIENT, Pseudonym(str(stages.patient("P-77", known=False))))], OPERATOR
        )


def test_the_archive_is_named_where_there_are_several(prober: Prober) -> None:
    several = Prober(prober.gateway, {**prober.probes, "other": prober.probe("main")})

    assert several.probe("other") is prober.probe("main")
    with pytest.raises(InvalidRequest, match="is needed"):
        several.probe("")
    with pytest.raises(InvalidRequest, match="names no archive"):
        several.probe("third")


def governed(stages: GatewayStages, prober: Prober, folder: Path, **limits: float) -> tuple[Prober, Governor]:
    settings = Governing.model_validate({"limits": {"associations": 1, **limits}})
    governor = LocalGovernor("main", settings, KillSwitch("main", folder))
    pacs = GovernedPacs(stages.pacs, governor, settings, WorkClass.BULK)
    archives = GovernedArchives((pacs,), lambda several: several[0])
    return Prober(replace(prober.gateway, archives=archives), prober.probes), governor


def test_a_probe_asks_the_archives_governor_for_everything(
    stages: GatewayStages, prober: Prober, tmp_path: Path
) -> None:
    asking, governor = governed(stages, prober, tmp_path, queries_per_minute=60_000)

    probed = asking.run(asking.probe(""), [stages.target("P-2")], OPERATOR)

    totals = governor.load().totals
    assert totals[WorkClass.BULK, Resource.QUERIES] == probed.bill.queries
    assert totals[WorkClass.BULK, Resource.IMAGES] >= probed.bill.images
    governor.close()


def test_a_stopped_archive_is_not_probed(stages: GatewayStages, prober: Prober, tmp_path: Path) -> None:
    asking, governor = governed(stages, prober, tmp_path)
    governor.stop("olga")

    with pytest.raises(NotNow, match="may not be asked now"):
        asking.run(asking.probe(""), [stages.target("P-2")], OPERATOR)
    governor.close()


def test_a_stopped_archive_is_not_even_greeted(stages: GatewayStages, tmp_path: Path) -> None:
    peer = Peer("127.0.0.1", free_ports(1)[0], "ARCHIVE", "P2D", answer_seconds=5)  # nobody is there
    prober = Prober(stages.gateway, {"main": Probe("main", peer, effort=FEW)})
    asking, governor = governed(stages, prober, tmp_path)
    governor.stop("olga")

    with pytest.raises(NotNow):
        asking.run(asking.probe(""), [stages.target("P-2")], OPERATOR)
    governor.close()


def test_a_stop_ends_a_probe_that_waits_for_the_archive(stages: GatewayStages, tmp_path: Path) -> None:
    with DimseArchiveServer(three_patients(), peers={}) as server:
        server.faults.hangs = True
        peer = Peer("127.0.0.1", server.port, "ARCHIVE", "P2D", answer_seconds=60)
        prober = Prober(stages.gateway, {"main": Probe("main", peer, effort=FEW)})
        asking, governor = governed(stages, prober, tmp_path, queries_per_minute=60_000)
        failed: list[Exception] = []

        def run() -> None:
            try:
                asking.run(asking.probe(""), [stages.target("P-2")], OPERATOR)
            except NotNow as error:
                failed.append(error)

        running = threading.Thread(target=run, daemon=True)
        running.start()
        until(lambda: governor.load().totals[WorkClass.BULK, Resource.QUERIES] > 1)  # C-ECHO, then C-FIND
        governor.stop("olga")
        running.join(20)

        assert [error.problem for error in failed if isinstance(error, NotNow)] == ["archive main is stopped"]
        governor.close()


def test_what_may_not_be_asked_is_not_taken_for_what_the_archive_cannot(prober: Prober) -> None:
    refusal = NotNow("main", Why.BREAKER, "may not be asked now")

    def permit(_queries: int, images: int) -> None:
        if images:
            raise refusal

    probe = prober.probe("")
    assert isinstance(probe, Probe)
    with pytest.raises(NotNow):
        replace(probe, permit=permit).run([PatientId("P-2")])
