"""Incremental sync over fakes and a real ledger: what is new, changed, gone, back, unknown, killed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from threading import Event

import pytest

from p2d.flows.gateway.sync.claim import Busy, claims_of, only_one
from p2d.flows.gateway.sync.counts import SyncReport
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.flows.gateway.sync.sync import Sync
from p2d.jobs.register import Finding, Inconsistency
from p2d.model.errors import InvalidRequest, Refused, Unavailable
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Calendar, Choice, Scope
from p2d.model.request import Request
from p2d.pacs.port import Query
from p2d.pacs.several import SeveralArchives
from p2d.testing.datasets import held_ct
from p2d.testing.gateway_stages import OPERATOR, RESEARCHER, GatewayStages, gateway_stages
from p2d.testing.holdings import HeldInstance
from p2d.testing.memory_pacs import MemoryPacs
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.warehouse.batch import Batch, Receipt

ALL = SyncOptions(date(2022, 1, 1), date(2022, 1, 20))


def image(patient: str, study: str, number: int = 1, day: str = "20220105", **more: str) -> HeldInstance:
    return held_ct(
        PatientID=patient,
        StudyInstanceUID=f"1.2.{study}",
        SeriesInstanceUID=f"1.2.{study}.1",
        SOPInstanceUID=f"1.2.{study}.1.{number}",
        InstanceNumber=str(number),
        StudyDate=day,
        AccessionNumber=f"ACC-{study}",
        **more,
    )


FEW = [image("P-1", "1"), image("P-1", "2", day="20220110"), image("P-2", "3"), image("P-9", "4")]


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    made = gateway_stages(tmp_path, FEW)
    for patient in ("P-1", "P-2"):
        made.patient(patient)
    return made


def synced(stages: GatewayStages, options: SyncOptions = ALL, **more: bool) -> SyncReport:
    return Sync(stages.gateway).run(options, OPERATOR, **more)


def found(report: SyncReport) -> dict[str, int]:
    """The numbers that are not 0."""
    return {name: number for name, number in report.counts.as_json().items() if number}


def instances(stages: GatewayStages) -> list[str]:
    return sorted(str(row["instance"]) for row in stages.warehouse.rows("instance"))


def gone_keys(stages: GatewayStages) -> list[tuple[object, ...]]:
    return [(row["study"], row["archive"], row["state"]) for row in stages.warehouse.rows("presence")]


def test_known_patients_are_extracted_and_unknown_ones_only_counted(stages: GatewayStages) -> None:
    report = synced(stages)

    assert found(report) == {"studies": 4, "new": 3, "studies_unknown": 1, "patients_unknown": 1}
    assert report.is_complete
    assert report.run is not None
    assert (report.run.kind, report.run.patients.done, report.run.released) == ("sync", 2, 3)
    assert instances(stages) == sorted(str(stages.derived(f"1.2.{n}.1.1")) for n in (1, 2, 3))
    unknown = stages.patient("P-9", known=False)
    assert str(unknown) not in {row["patient"] for row in stages.warehouse.rows("study")}


def test_a_second_sync_without_change_asks_only_the_days(stages: GatewayStages) -> None:
    first = synced(stages)
    before, batches = stages.pacs.queries, len(stages.warehouse.batches)

    second = synced(stages)

    assert found(second) == {"studies": 4, "same": 3, "studies_unknown": 1, "patients_unknown": 1}
    assert second.run is None
    assert second.is_complete
    assert stages.pacs.queries - before == ALL.number_of_days
    assert len(stages.warehouse.batches) == batches
    assert stages.gateway.ledger.runs() == [first.run.run_id] if first.run else None


def test_only_the_days_of_what_changed_are_extracted_again(stages: GatewayStages) -> None:
    synced(stages)
    stages.pacs.hold([*FEW, image("P-1", "2", 2, "20220110")])
    before = len(instances(stages))

    report = synced(stages)

    assert found(report)["changed"] == 1
    assert found(report)["same"] == 2
    assert report.run is not None
    assert report.run.released == 2
    assert len(instances(stages)) == before + 2
    assert synced(stages).run is None


@pytest.mark.parametrize("calendar", list(Calendar))
def test_a_study_that_is_gone_is_marked_registered_and_found_gone_once(
    tmp_path: Path, calendar: Calendar
) -> None:
    stages = gateway_stages(tmp_path, FEW, calendar=calendar)
    if calendar is Calendar.TRUE:
        stages.gateway = replace(stages.gateway, allow_true_frames=True)
    for patient in ("P-1", "P-2"):
        stages.patient(patient)
    synced(stages)
    rows = len(stages.warehouse.rows("study"))
    stages.pacs.hold([one for one in FEW if one["StudyInstanceUID"] != "1.2.2"])

    report = synced(stages)

    study = stages.study("1.2.2")
    assert (report.counts.gone, report.counts.same, report.counts.new) == (1, 2, 0)
    assert report.is_complete
    assert gone_keys(stages) == [(study, "main", "gone")]
    assert report.run is not None
    assert list(stages.gateway.ledger.findings(report.run.run_id)) == [
        Finding(Inconsistency.GONE, str(stages.patient("P-1")), str(study))
    ]
    assert report.run.inconsistencies == {"gone": 1}
    assert len(stages.warehouse.rows("study")) == rows
    assert synced(stages).run is None


def test_a_study_that_is_back_is_unmarked_and_extracted(stages: GatewayStages) -> None:
    synced(stages)
    stages.pacs.hold(FEW[1:])
    assert synced(stages).counts.gone == 1
    stages.pacs.hold(FEW)

    report = synced(stages)

    assert (report.counts.back, report.counts.changed, report.counts.gone) == (1, 1, 0)
    study = stages.study("1.2.1")
    assert gone_keys(stages) == [(study, "main", "gone"), (study, "main", "present")]
    assert synced(stages).run is None
    stages.pacs.hold(FEW[1:])
    assert synced(stages).counts.gone == 1


def test_a_study_that_moved_to_another_day_is_not_gone(stages: GatewayStages) -> None:
    synced(stages)
    stages.pacs.hold([image("P-1", "1", day="20230606"), *FEW[1:]])

    report = synced(stages)
    before = stages.pacs.queries
    again = synced(stages)

    assert (report.counts.moved, report.counts.gone) == (1, 0)
    assert (again.counts.moved, again.counts.gone) == (0, 0)
    assert stages.pacs.queries - before == ALL.number_of_days
    assert gone_keys(stages) == []


def test_a_patient_whom_identity_forgot_is_unknown_and_its_studies_are_not_judged(
    stages: GatewayStages,
) -> None:
    synced(stages)
    psn = stages.patient("P-2")
    stages.identity._known = {key: one for key, one in stages.identity._known.items() if key[1] != psn}

    report = synced(stages)

    assert (report.counts.patients_unknown, report.counts.gone) == (2, 0)
    assert gone_keys(stages) == []


def test_other_days_and_modalities_are_neither_looked_at_nor_gone(stages: GatewayStages) -> None:
    stages.pacs.hold([*FEW, image("P-1", "5", Modality="MR")])
    assert synced(stages).counts.new == 4

    for options in (
        SyncOptions(date(2022, 1, 10), date(2022, 1, 10)),
        replace(ALL, modalities=frozenset({"MR"})),
    ):
        report = synced(stages, options)
        assert (report.counts.studies, report.counts.same, report.counts.gone) == (1, 1, 0)


def test_what_was_extracted_less_deeply_is_extracted_again_and_not_the_other_way(
    stages: GatewayStages,
) -> None:
    assert synced(stages, replace(ALL, modalities=frozenset({"CT"}), choice=Choice.FIRST)).counts.new == 3
    assert synced(stages, replace(ALL, scope=Scope.EXTENDED)).counts.changed == 3
    for less in (ALL, replace(ALL, choice=Choice.FIRST), replace(ALL, modalities=frozenset({"CT"}))):
        assert synced(stages, less).counts.changed == 0


def test_unknown_patients_are_admitted_where_the_run_says_so(stages: GatewayStages) -> None:
    admitting = replace(ALL, admit_unknown=True)
    assert synced(stages, admitting, dry=True).counts.patients_unknown == 1

    report = synced(stages, admitting)

    assert found(report) == {"studies": 4, "new": 4}
    assert str(stages.patient("P-9")) in {row["patient"] for row in stages.warehouse.rows("study")}


def test_a_dry_run_looks_and_leaves_no_trace_but_its_record(stages: GatewayStages) -> None:
    report = synced(stages, dry=True)

    assert report.counts.new == 3
    assert stages.gateway.ledger.runs() == []
    assert stages.warehouse.batches == {}
    assert [one["action"] for one in stages.records()] == ["sync", "sync"]


class Uncounting(MemoryPacs):
    """Does not say how much is below a study, nor, unless *of_series*, below a series."""

    of_series = True

    def _of_days(self, *asked: object) -> Iterator[IdentifiedHeader]:
        return map(self._bare, super()._of_days(*asked))  # type: ignore[arg-type]  # as they came

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        return map(self._bare, super().find(query))

    def _bare(self, header: IdentifiedHeader) -> IdentifiedHeader:
        unsaid = {"00201206", "00201208", *([] if self.of_series else ["00201209"])}
        kept = {path: one for path, one in header.elements.items() if path not in unsaid}
        return replace(header, elements=kept)


@pytest.mark.parametrize("of_series", [True, False])
def test_an_archive_that_counts_nothing_is_counted_for_known_patients_only(
    stages: GatewayStages, of_series: bool
) -> None:
    pacs = Uncounting(FEW)
    pacs.of_series = of_series
    stages.gateway = replace(stages.gateway, pacs=pacs)
    synced(stages)
    before = pacs.queries
    assert synced(stages).counts.same == 3
    assert pacs.queries - before == ALL.number_of_days + 3 * (1 if of_series else 2)

    pacs.hold([*FEW, image("P-2", "3", 2)])
    assert synced(stages).counts.changed == 1


class Killed(BaseException):
    """Nobody's business to catch."""


class KillingWarehouse(MemoryWarehouse):
    """Commits, and takes the gateway down with it, the first time that a batch of *source* comes."""

    source = "basic"

    def load(self, batch: Batch) -> Receipt:
        receipt = super().load(batch)
        if batch.source == self.source:
            self.source = ""
            raise Killed
        return receipt


@pytest.mark.parametrize("source", ["basic", "sync"])
def test_a_sync_that_was_killed_is_gone_on_with_and_repeats_nothing_that_is_settled(
    stages: GatewayStages, source: str
) -> None:
    warehouse = KillingWarehouse()
    warehouse.source = ""
    stages.warehouse, stages.gateway = warehouse, replace(stages.gateway, warehouse=warehouse)
    synced(stages)
    stages.pacs.hold([*FEW[1:], image("P-2", "6", day="20220111")])
    warehouse.source = source
    with pytest.raises(Killed):
        synced(stages)

    report = synced(stages)

    assert stages.gateway.ledger.seen.unsettled() == []
    assert [one.is_gone for one in stages.gateway.ledger.seen.of([stages.study("1.2.1")])] == [True]
    assert set(gone_keys(stages)) == {(stages.study("1.2.1"), "main", "gone")}
    assert (report.counts.new, report.counts.gone) == (0, 1)
    assert instances(stages).count(str(stages.derived("1.2.6.1.1"))) == 1
    assert synced(stages).run is None
    assert {stages.gateway.ledger.state(run) for run in stages.gateway.ledger.runs()} <= {"completed"}


def test_a_sync_that_is_stopped_says_so_and_the_next_one_goes_on(stages: GatewayStages) -> None:
    drain = Event()
    stopping = Sync(stages.gateway, drain, watch_days=lambda *_: drain.set())
    report = stopping.run(ALL, OPERATOR)
    assert not report.is_complete
    assert stages.gateway.ledger.runs() == []

    assert synced(stages).counts.new == 3


def test_a_patient_that_is_given_up_is_not_seen_and_tried_again(stages: GatewayStages) -> None:
    stages.gateway = replace(stages.gateway, attempts=1)
    stages.warehouse.failures.append(InvalidRequest("batch", "is refused"))
    stages.warehouse.failures.append(InvalidRequest("batch", "is refused"))
    stages.warehouse.failures.append(InvalidRequest("batch", "is refused"))
    first = synced(stages)
    assert not first.is_complete

    second = synced(stages)

    assert second.counts.new == 3
    assert second.is_complete


def test_a_cancelled_run_is_settled_and_a_paused_one_left(stages: GatewayStages) -> None:
    ledger = stages.gateway.ledger
    for order in (ledger.orders.cancel, ledger.orders.pause):
        run = ledger.open_run("sync", Request((stages.target("P-1"),)).as_json(), ["P-x"], "olaf")
        order(run)
    synced(stages)

    assert [ledger.state(run) for run in ledger.runs()] == ["cancelled", "paused", "completed"]


def test_one_sync_is_under_way_at_a_time(stages: GatewayStages) -> None:
    with only_one(stages.gateway), pytest.raises(Busy):
        synced(stages)
    assert not claims_of(stages.gateway).is_taken()
    assert synced(stages).counts.new == 3


def test_days_alone_are_for_operators(stages: GatewayStages) -> None:
    asked = stages.asked
    with pytest.raises(Refused):
        Sync(stages.gateway).run(ALL, RESEARCHER)
    assert [one["kind"] for one in stages.records()] == ["event"]
    with pytest.raises(InvalidRequest, match="identifiers"):
        Request.parse({"modalities": ["CT"], "level": "study"})
    with pytest.raises(InvalidRequest):
        Request.parse({"modalities": ["CT"], "start": "2022-01-01", "end": "2022-01-31"})
    assert stages.asked == asked


def test_the_record_says_what_was_asked_without_a_day(stages: GatewayStages) -> None:
    report = synced(stages, replace(ALL, modalities=frozenset({"CT"})))

    intent, *_, outcome = [one for one in stages.records() if one["action"] == "sync"]
    assert intent["subject"]["days"] == 20
    assert outcome["counts"]["new"] == 3
    assert report.run is not None
    assert outcome["counts"]["run"] == report.run.run_id
    assert "2022" not in str(intent["subject"]) + str(outcome["counts"])
    assert stages.patient("P-1") not in str(outcome)


def test_an_archive_that_fails_changes_nothing(stages: GatewayStages) -> None:
    synced(stages)
    stages.pacs.fails = Unavailable("pacs", "aborted the association")
    with pytest.raises(Unavailable):
        synced(stages)
    stages.pacs.fails = None

    assert synced(stages).run is None


def several(stages: GatewayStages, old: list[HeldInstance], new: list[HeldInstance]) -> None:
    archives = [MemoryPacs(old, name="old"), MemoryPacs(new, name="new")]
    stages.gateway = replace(stages.gateway, pacs=SeveralArchives(archives))


def test_of_several_archives_a_study_is_gone_when_it_is_gone_from_all(stages: GatewayStages) -> None:
    several(stages, FEW, FEW[:3])
    first = synced(stages)
    assert found(first) == {"studies": 4, "new": 3, "studies_unknown": 1, "patients_unknown": 1}
    assert synced(stages).run is None
    study = stages.study("1.2.1")

    several(stages, FEW[1:], FEW[:3])
    second = synced(stages)
    assert (second.counts.gone, second.counts.gone_from_one, second.counts.same) == (0, 1, 3)
    assert gone_keys(stages) == [(study, "old", "gone")]
    assert second.run is not None
    assert list(stages.gateway.ledger.findings(second.run.run_id)) == []

    several(stages, FEW[1:], FEW[1:3])
    third = synced(stages)
    assert (third.counts.gone, third.counts.gone_from_one) == (1, 0)
    assert gone_keys(stages)[1:] == [(study, "new", "gone")]
    assert synced(stages).run is None


def test_an_archive_that_is_no_longer_asked_has_lost_nothing(stages: GatewayStages) -> None:
    several(stages, FEW, FEW[:3])
    synced(stages)
    stages.gateway = replace(stages.gateway, pacs=SeveralArchives([MemoryPacs(FEW, name="old")]))

    assert synced(stages).run is None


def test_a_study_that_another_archive_lists_too_is_extracted_for_its_source(stages: GatewayStages) -> None:
    several(stages, FEW, [])
    synced(stages)
    several(stages, FEW, FEW[:1])

    report = synced(stages)

    assert (report.counts.changed, report.counts.same) == (1, 2)
    assert stages.warehouse.rows("instance")[-1]["archives"] == "old new"


@pytest.mark.parametrize(("first", "days"), [(date(2022, 1, 2), -1), (date(1900, 1, 1), 40_000)])
def test_a_range_without_days_or_without_end_is_refused(first: date, days: int) -> None:
    with pytest.raises(InvalidRequest):
        SyncOptions(first, first + timedelta(days=days))
