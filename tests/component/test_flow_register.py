"""A run over an archive that does not fit together: found, booked in pseudonyms, served, nothing dropped."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from p2d.access.assertion import Assertions, new_keypair, sign
from p2d.access.service import Gatekeeper, ServiceSecret, Throttle
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.jobs.register import Inconsistency
from p2d.jobs.report import RunReport
from p2d.jobs.summary import make_keys, signing_key, summary_of, verified
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Choice, Scope
from p2d.model.request import Request
from p2d.pacs.port import Query, RetrieveCounts
from p2d.testing.app_client import AppClient
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.testing.memory_pacs import MemoryPacs
from p2d.web.gateway.app import create_app
from p2d.web.gateway.guard import Guard

SERVICE, OPERATORS = "the-service", "the-operators"


class OddPacs(MemoryPacs):
    """Answers with another Modality than its objects have, counts more than it lists, sends a stranger."""

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        for header in super().find(query):
            elements = dict(header.elements)
            if "00080060" in elements:
                elements["00080060"] = Element("00080060", "CS", ("XA",))
            if "00201209" in elements:
                stated = int(elements["00201209"].text)
                elements["00201209"] = Element("00201209", "IS", (stated + 1,))
            yield IdentifiedHeader(header.level, elements)

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        counts = counts or RetrieveCounts()
        counts.refused += 2
        counts.conflicts += 1
        yield from super().retrieve(patient_id, instances, counts, pixels=pixels)


def run(stages: GatewayStages, *patients: str) -> tuple[str, RunReport]:
    request = Request(tuple(stages.target(one) for one in patients), scope=Scope.EXTENDED, choice=Choice.ALL)
    extractor = BulkExtractor(stages.gateway)
    run_id = extractor.open(request, OPERATOR)
    return run_id, extractor.run(run_id, OPERATOR)


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, three_patients().listed)


@pytest.fixture
def odd(stages: GatewayStages) -> GatewayStages:
    pacs = OddPacs(three_patients().listed)
    pacs.missing = {three_patients().listed[0]["SOPInstanceUID"]}
    return replace(stages, gateway=replace(stages.gateway, pacs=pacs))


def test_an_archive_that_fits_together_has_an_empty_register(stages: GatewayStages) -> None:
    run_id, report = run(stages, "P-1", "P-2", "P-3")

    assert list(stages.gateway.ledger.findings(run_id)) == []
    assert report.inconsistencies == {}


def test_everything_that_does_not_fit_is_booked_by_kind_and_place(odd: GatewayStages) -> None:
    run_id, report = run(odd, "P-1")

    found = list(odd.gateway.ledger.findings(run_id))
    assert {one.kind for one in found} >= {
        Inconsistency.COUNT_DISAGREES,
        Inconsistency.HEADER_DISAGREES,
        Inconsistency.NEVER_ARRIVED,
        Inconsistency.NOT_ASKED_FOR,
        Inconsistency.DUPLICATE_DIFFERS,
    }
    disagreeing = [one for one in found if one.kind is Inconsistency.HEADER_DISAGREES]
    assert {one.attribute for one in disagreeing} == {"Modality"}
    assert len(disagreeing) == 21
    (lost,) = [one for one in found if one.kind is Inconsistency.NEVER_ARRIVED]
    assert lost.instance == odd.derived(three_patients().listed[0]["SOPInstanceUID"])
    assert report.adds_up
    assert not report.is_complete
    assert sum(report.inconsistencies.values()) == len(found)


def test_the_register_holds_pseudonyms_only(odd: GatewayStages) -> None:
    run_id, _ = run(odd, "P-1", "P-2")
    text = json.dumps([one.as_json() for one in odd.gateway.ledger.findings(run_id)])

    for one in three_patients().listed:
        for keyword in ("PatientID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            assert f'"{one[keyword]}"' not in text


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "ledger.key", tmp_path / "ledger.pub"
    make_keys(private, public)
    return private, public


def asked(stages: GatewayStages, path: str, secret: str = OPERATORS) -> tuple[int, str]:
    private, public = new_keypair()
    service, operators = (Gatekeeper(ServiceSecret([one]), Throttle()) for one in (SERVICE, OPERATORS))
    client = AppClient(create_app(stages.gateway, Guard(service, operators, Assertions(public))))
    headers = {"Authorization": f"Bearer {secret}", "P2D-Assertion": sign(private, "olga", "operator")}
    answer = client.get(path, headers=headers)
    return answer.status_code, answer.text


def test_operators_read_ledger_missing_and_register_as_json_or_csv(odd: GatewayStages) -> None:
    run_id, report = run(odd, "P-1")

    lines = json.loads(asked(odd, f"/runs/{run_id}/ledger")[1])
    assert sum(one["expected"] for one in lines) == report.expected
    assert sum(one["missing"] for one in lines) == report.missing
    status, table = asked(odd, f"/runs/{run_id}/ledger?output=csv")
    assert (status, len(table.splitlines())) == (200, len(lines) + 1)
    (missing,) = json.loads(asked(odd, f"/runs/{run_id}/missing")[1])
    assert missing["kind"] == "never arrived"
    some = json.loads(asked(odd, f"/runs/{run_id}/inconsistencies?kind=not asked for")[1])
    assert [(one["kind"], one["times"]) for one in some] == [("not asked for", 2)]
    assert json.loads(asked(odd, f"/runs/{run_id}/inconsistencies?patient=other")[1]) == []


def test_others_and_unknown_runs_get_nothing(odd: GatewayStages) -> None:
    run_id, _ = run(odd, "P-1")

    for part in ("ledger", "missing", "inconsistencies", "summary"):
        assert asked(odd, f"/runs/{run_id}/{part}", secret=SERVICE)[0] == 403
        assert asked(odd, f"/runs/R0/{part}")[0] == 404


def test_the_summary_is_signed_where_a_key_is_set(odd: GatewayStages, keys: tuple[Path, Path]) -> None:
    run_id, report = run(odd, "P-1")
    plain = json.loads(asked(odd, f"/runs/{run_id}/summary")[1])
    odd.gateway = replace(odd.gateway, signing_key=signing_key(keys[0]))

    status, document = asked(odd, f"/runs/{run_id}/summary")

    assert status == 200
    assert plain == {"summary": json.loads(json.dumps(summary_of(report)))}
    assert verified(document.encode(), keys[1]) == plain["summary"]
