"""Bulk runs over fakes: every image accounted for, every failure a number, nothing loaded twice."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pytest

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.deid_report import report_of_run
from p2d.jobs.ledger import Progress
from p2d.jobs.report import RunReport
from p2d.model.errors import InvalidRequest, Misconfigured, ProtocolViolation, Refused, Unavailable
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Choice, Kind, Output, Scope
from p2d.model.request import Request, Target, TimeFrame
from p2d.pacs.port import Query, RetrieveCounts
from p2d.testing.datasets import held_ct, three_patients
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.testing.memory_pacs import MemoryPacs
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.warehouse.batch import Batch, Receipt

PATIENTS = ("P-1", "P-2", "P-3")


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, three_patients().listed)


def request_of(stages: GatewayStages, *patients: str, **more: object) -> Request:
    targets = tuple(stages.target(patient) for patient in patients or PATIENTS)
    return replace(Request(targets), **more)  # type: ignore[arg-type]  # keywords of a request


def run(stages: GatewayStages, request: Request) -> RunReport:
    extractor = BulkExtractor(stages.gateway)
    return extractor.run(extractor.open(request, OPERATOR), OPERATOR)


class DamagedPacs(MemoryPacs):
    """Declares UTF-8 and sends one object that is something else."""

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        for number, one in enumerate(super().retrieve(patient_id, instances, counts, pixels=pixels)):
            damaged = one.content[:].replace(b"CT head", b"CT h\xe4d ")
            yield replace(one, content=damaged) if number == 0 else one


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize(("choice", "images"), [(Choice.FIRST, 8), (Choice.MIDDLE, 8), (Choice.ALL, 60)])
def test_every_approach_loads_what_it_chose_and_adds_up(
    stages: GatewayStages, scope: Scope, choice: Choice, images: int
) -> None:
    report = run(stages, request_of(stages, choice=choice, scope=scope))

    assert report.state == "completed"
    assert (report.expected, report.received, report.released, report.missing) == (images, images, images, 0)
    assert (report.patients.done, report.studies, report.series) == (3, 4, 8)
    assert [len(stages.warehouse.rows(name)) for name in ("study", "series", "instance")] == [4, 8, images]
    assert {row["scope"] for row in stages.warehouse.rows("instance")} == {str(scope)}
    assert bool(stages.warehouse.rows("header")) == (scope is Scope.EXTENDED)
    assert (stages.pacs.retrieves > 0) == (scope is Scope.EXTENDED)


@pytest.mark.parametrize("scope", list(Scope))
def test_the_report_of_a_run_counts_every_attribute_once(stages: GatewayStages, scope: Scope) -> None:
    extractor = BulkExtractor(stages.gateway)
    run_id = extractor.open(request_of(stages, choice=Choice.FIRST, scope=scope), OPERATOR)

    stages.pacs.fails = Unavailable("pacs", "aborted the association")
    extractor.run(run_id, OPERATOR)
    stages.pacs.fails = None
    assert json.loads(report_of_run(stages.gateway, run_id).content)["attributes"] == []
    again = extractor.open(request_of(stages, choice=Choice.FIRST, scope=scope), OPERATOR)
    extractor.run(again, OPERATOR)

    body = json.loads(report_of_run(stages.gateway, again).content)
    names = {row["name"]: row for row in body["attributes"]}
    assert names["PatientID"]["replaced"] == names["PatientName"]["replaced"] == 8
    assert body["objects"]["released"] == 8
    assert [profile["name"] for profile in body["profiles"]] == ["research"]


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("uid", ["1.2.-3", "1.2.840.10008.1.1"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_series_with_an_odd_uid_does_not_end_the_run(tmp_path: Path, scope: Scope, uid: str) -> None:
    odd = held_ct(PatientID="P-2", StudyInstanceUID="1.2.9", SeriesInstanceUID=uid, SOPInstanceUID="1.2.9.1")
    stages = gateway_stages(tmp_path, [*three_patients().listed, odd])

    report = run(stages, request_of(stages, scope=scope))

    assert report.adds_up
    assert report.patients.pending == 0
    assert report.patients.done + sum(report.patients.parked.values()) == len(PATIENTS)


@pytest.mark.parametrize(("choice", "number"), [(Choice.FIRST, {1}), (Choice.MIDDLE, {7, 1, 5, 6, 3})])
def test_first_is_the_lowest_number_and_middle_index_half(
    stages: GatewayStages, choice: Choice, number: set[int]
) -> None:
    run(stages, request_of(stages, choice=choice))

    # series of 12, 1, 9, 8, 10, 5, 5 and 10 images, numbered from 1: index n // 2 is number n // 2 + 1
    assert {row["InstanceNumber"] for row in stages.warehouse.rows("instance")} == number


def test_only_the_modalities_asked_for_are_extracted(stages: GatewayStages) -> None:
    report = run(stages, request_of(stages, modalities=frozenset({"MR"})))

    assert report.expected == 29
    assert {row["Modality"] for row in stages.warehouse.rows("series")} == {"MR"}


def test_images_that_never_arrive_are_missing_and_make_the_run_incomplete(stages: GatewayStages) -> None:
    stages.pacs.missing = {f"{_series('P-2')}.{i}" for i in (1, 2, 3)}

    report = run(stages, request_of(stages, scope=Scope.EXTENDED))

    assert (report.expected, report.received, report.missing) == (60, 57, 3)
    assert report.adds_up
    assert (report.is_complete, report.state) == (False, "incomplete")
    assert len(stages.warehouse.rows("instance")) == 57


def test_a_patient_of_whom_nothing_arrives_is_counted_missing_not_given_up(stages: GatewayStages) -> None:
    stages.pacs.missing = {one["SOPInstanceUID"] for one in three_patients().listed}

    report = run(stages, request_of(stages, "P-1", scope=Scope.EXTENDED))

    assert (report.patients.done, dict(report.patients.parked)) == (1, {})
    assert (report.expected, report.missing) == (22, 22)


def test_what_is_withheld_is_counted_by_its_reason(stages: GatewayStages) -> None:
    pacs = DamagedPacs(three_patients().listed)
    damaged = replace(stages, gateway=replace(stages.gateway, pacs=pacs))

    report = run(damaged, request_of(stages, "P-2", scope=Scope.EXTENDED))

    assert dict(report.withheld) == {"character set not decodable": 1}
    assert (report.expected, report.received, report.released) == (18, 18, 17)
    assert report.is_complete
    assert len(stages.warehouse.rows("instance")) == 17


def test_a_patient_of_whom_all_is_withheld_is_done_without_a_row(stages: GatewayStages) -> None:
    pacs = DamagedPacs([held_ct()])
    damaged = replace(stages, gateway=replace(stages.gateway, pacs=pacs))

    report = run(damaged, request_of(stages, "P-1", scope=Scope.EXTENDED))

    assert (report.patients.done, report.received, report.released) == (1, 1, 0)
    assert report.is_complete


def test_patients_unknown_to_identity_or_archive_are_counted_apart(stages: GatewayStages) -> None:
    unknown = Target(Kind.PATIENT, stages.patient("P-77", known=False))
    request = request_of(stages, "P-1", "P-78")

    report = run(stages, replace(request, targets=(*request.targets, unknown)))

    assert (report.patients.done, report.patients.absent) == (1, 1)
    assert dict(report.patients.unresolved) == {"NotFound": 1}
    assert report.is_complete


@pytest.mark.parametrize(
    "error", [Unavailable("pacs", "aborted the association"), ProtocolViolation("pacs", "status 0xFE00")]
)
def test_a_patient_is_given_up_after_three_attempts_with_the_reason(
    stages: GatewayStages, error: Unavailable | ProtocolViolation
) -> None:
    stages.pacs.fails = error

    report = run(stages, request_of(stages, "P-1"))

    assert dict(report.patients.parked) == {f"{type(error).__name__}: pacs: {error.problem}": 1}
    assert (report.state, stages.warehouse.batches) == ("incomplete", {})
    ledger = stages.gateway.ledger
    assert ledger.pending(report.run_id) == []


def test_an_archive_that_recovers_costs_an_attempt_and_no_row(stages: GatewayStages) -> None:
    stages.pacs.fails = Unavailable("pacs", "busy")
    extractor = BulkExtractor(stages.gateway)
    run_id = extractor.open(request_of(stages), OPERATOR)

    def recover(_: Progress) -> None:
        stages.pacs.fails = None

    report = extractor.run(run_id, OPERATOR, recover)

    assert report.is_complete
    assert len(stages.warehouse.rows("instance")) == 60


def test_an_identifier_no_archive_may_be_asked_for_gives_up_one_patient_only(stages: GatewayStages) -> None:
    inner = stages.pacs.find

    def find(query: Query) -> object:
        if query.patient_id.value == "P-2":
            raise InvalidRequest("patient id", "holds a wildcard")
        return inner(query)

    stages.pacs.find = find  # type: ignore[method-assign,assignment]  # one patient's identifier is refused

    report = run(stages, request_of(stages))

    assert (report.patients.done, sum(report.patients.parked.values())) == (2, 1)
    assert report.state == "incomplete"


def test_an_archive_that_does_not_know_us_ends_the_run_which_can_be_resumed(stages: GatewayStages) -> None:
    stages.pacs.fails = Misconfigured("pacs", "refuses the association", "register AE title P2D")
    extractor = BulkExtractor(stages.gateway)
    run_id = extractor.open(request_of(stages), OPERATOR)

    with pytest.raises(Misconfigured, match="register AE title"):
        extractor.run(run_id, OPERATOR)

    assert stages.gateway.ledger.report(run_id).state == "incomplete"
    stages.pacs.fails = None
    assert extractor.run(run_id, OPERATOR).is_complete


def test_a_stopped_run_keeps_what_it_has_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    stages = gateway_stages(tmp_path, three_patients().listed, patients_per_batch=1)
    extractor = BulkExtractor(stages.gateway)
    run_id = extractor.open(request_of(stages), OPERATOR)

    def stop(progress: Progress) -> None:
        if progress.patients_done:
            stages.gateway.ledger.request_stop(run_id)

    stopped = extractor.run(run_id, OPERATOR, stop)
    asked = stages.pacs.queries
    finished = extractor.run(run_id, OPERATOR)

    assert (stopped.state, stopped.patients.done, stopped.patients.pending) == ("stopped", 1, 2)
    assert asked > 0
    assert (finished.state, finished.patients.done) == ("completed", 3)
    assert len(stages.warehouse.rows("instance")) == 60


@dataclass
class WrongReceipts(MemoryWarehouse):
    wrong: int = 1
    batches: dict[str, Batch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def load(self, batch: Batch) -> Receipt:
        receipt = super().load(batch)
        if self.wrong:
            self.wrong -= 1
            rows: Mapping[str, int] = {**receipt.rows, "instance": receipt.rows["instance"] - 1}
            return replace(receipt, rows=rows)
        return receipt


def test_a_receipt_that_differs_from_the_batch_is_no_proof_and_is_asked_again(stages: GatewayStages) -> None:
    warehouse = WrongReceipts()
    gateway = replace(stages.gateway, warehouse=warehouse)

    report = run(replace(stages, gateway=gateway, warehouse=warehouse), request_of(stages, "P-1"))

    assert report.is_complete
    assert warehouse.wrong == 0


def test_receipts_that_stay_wrong_give_the_patients_up(stages: GatewayStages) -> None:
    warehouse = WrongReceipts(wrong=9)
    gateway = replace(stages.gateway, warehouse=warehouse)

    report = run(replace(stages, gateway=gateway, warehouse=warehouse), request_of(stages, "P-1"))

    (reason,) = report.patients.parked
    assert "its receipt does not match the batch" in reason
    assert (report.patients.done, report.received) == (0, 0)


def test_a_warehouse_that_is_silent_for_a_while_costs_no_row(stages: GatewayStages) -> None:
    stages.warehouse.failures = [Unavailable("warehouse", "does not answer")] * 2

    report = run(stages, request_of(stages))

    assert report.is_complete
    assert len(stages.warehouse.rows("instance")) == 60


class Picky(MemoryWarehouse):
    """Refuses every batch that holds one patient's rows."""

    def __init__(self, refused: str) -> None:
        super().__init__()
        self.refused = refused

    def load(self, batch: Batch) -> Receipt:
        if self.refused in batch.tables["study"].column("patient").to_pylist():
            raise InvalidRequest("study.StudyDate", "row 1: is out of range", "correct it")
        return super().load(batch)


def test_rows_that_the_warehouse_refuses_cost_their_patient_only(stages: GatewayStages) -> None:
    warehouse = Picky(stages.patient("P-2"))
    gateway = replace(stages.gateway, warehouse=warehouse)

    report = run(replace(stages, gateway=gateway, warehouse=warehouse), request_of(stages))

    assert report.patients.done == 2
    assert sum(report.patients.parked.values()) == 1
    assert len({row["patient"] for row in warehouse.rows("study")}) == 2


class LostAnswer(MemoryWarehouse):
    """Commits the first batch and dies, with the gateway, before its answer arrives."""

    loads = 0

    def load(self, batch: Batch) -> Receipt:
        self.loads += 1
        receipt = super().load(batch)
        if self.loads == 1:
            raise KeyboardInterrupt
        return receipt


def test_a_receipt_found_on_restart_spares_the_second_load(stages: GatewayStages) -> None:
    warehouse = LostAnswer()
    extractor = BulkExtractor(replace(stages.gateway, warehouse=warehouse))
    run_id = extractor.open(request_of(stages), OPERATOR)
    with pytest.raises(KeyboardInterrupt):
        extractor.run(run_id, OPERATOR)
    asked = stages.asked

    report = extractor.run(run_id, OPERATOR)

    assert report.is_complete
    assert (warehouse.loads, stages.asked) == (1, asked)


def test_a_batch_without_receipt_on_restart_is_made_again(stages: GatewayStages) -> None:
    stages.warehouse.failures = [KeyboardInterrupt()]  # type: ignore[list-item]  # Ctrl-C amid the load
    extractor = BulkExtractor(stages.gateway)
    run_id = extractor.open(request_of(stages), OPERATOR)
    with pytest.raises(KeyboardInterrupt):
        extractor.run(run_id, OPERATOR)
    interrupted = stages.gateway.ledger.report(run_id)

    report = extractor.run(run_id, OPERATOR)

    assert (interrupted.patients.done, interrupted.patients.pending) == (0, 3)
    assert interrupted.state == "incomplete"
    assert report.is_complete
    assert len(stages.warehouse.rows("instance")) == 60


def test_the_same_extraction_twice_makes_the_same_rows(stages: GatewayStages) -> None:
    run(stages, request_of(stages))
    first = {str(sorted(map(str, stages.warehouse.rows("instance"))))}
    stages.warehouse.batches.clear()

    run(stages, request_of(stages))

    assert {str(sorted(map(str, stages.warehouse.rows("instance"))))} == first


def test_a_time_frame_holds_in_each_patients_own_calendar(stages: GatewayStages) -> None:
    run(stages, request_of(stages, "P-1"))
    days = sorted(str(row["StudyDate"]) for row in stages.warehouse.rows("study"))
    stages.warehouse.batches.clear()
    first_day = date.fromisoformat(days[0])

    run(stages, Request((stages.target("P-1", TimeFrame(first_day, first_day)),)))

    assert [str(row["StudyDate"]) for row in stages.warehouse.rows("study")] == days[:1]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"output": Output.DICOM}, "output"),
        ({"attributes": ("NoSuchKeyword",)}, "attributes"),
        ({"targets": (Target(Kind.STUDY, Pseudonym("2.25.1")),)}, "identifiers.kind"),
        ({"targets": (Target(Kind.PATIENT, Pseudonym("Example-Anna")),)}, r"identifiers\[0\]"),
    ],
)
def test_what_bulk_cannot_do_is_refused_before_a_run_exists(
    stages: GatewayStages, change: dict[str, object], error: str
) -> None:
    request = replace(request_of(stages), **change)  # type: ignore[arg-type]  # keywords of a request

    with pytest.raises(InvalidRequest, match=error):
        BulkExtractor(stages.gateway).open(request, OPERATOR)

    assert (stages.gateway.ledger.runs(), stages.asked) == ([], 0)
    (record,) = stages.records()
    assert (record["action"], record["subject"]["family"]) == ("refused", "InvalidRequest")
    assert "Example" not in str(record)


def test_true_dates_need_permission(stages: GatewayStages) -> None:
    frame = TimeFrame(date(2020, 1, 1), None, Calendar.TRUE)

    with pytest.raises(Refused, match="true dates"):
        BulkExtractor(stages.gateway).open(Request((stages.target("P-1", frame),)), OPERATOR)

    assert stages.asked == 0


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.OFFICER])
def test_only_operators_run_bulk(stages: GatewayStages, role: Role) -> None:
    extractor = BulkExtractor(stages.gateway)
    caller = Caller("rita", role, "test")
    run_id = extractor.open(request_of(stages), OPERATOR)

    with pytest.raises(Refused, match="operator"):
        extractor.open(request_of(stages), caller)
    with pytest.raises(Refused, match="operator"):
        extractor.run(run_id, caller)

    assert stages.asked == 0


def test_the_audit_holds_intent_before_and_numbers_after_and_pseudonyms_only(stages: GatewayStages) -> None:
    report = run(stages, request_of(stages))

    intent, outcome = stages.records()
    assert (intent["kind"], intent["action"], intent["user"]) == ("intent", "bulk", "olga")
    assert intent["subject"]["run"] == report.run_id
    assert (outcome["kind"], outcome["outcome"]) == ("outcome", "ok")
    assert outcome["counts"]["expected"] == 60
    assert outcome["counts"]["state"] == "completed"
    text = stages.audit_file.read_text(encoding="utf-8")
    assert not any(word in text for word in ("P-1", "P-2", "Example", "ACC-", "CASE-"))


def _series(patient: str) -> str:
    return next(one["SeriesInstanceUID"] for one in three_patients().listed if one["PatientID"] == patient)
