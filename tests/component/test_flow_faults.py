"""Bulk runs over an archive that fails by script: rows are the truth or missing, and every number adds up.

Numbers are those of docs/reference/faults.md.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from p2d.flows.gateway.bulk import BulkExtractor
from p2d.identity.port import Domain, Failure, Identifier
from p2d.jobs.report import RunReport
from p2d.model.errors import Misconfigured
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Scope
from p2d.model.request import Request
from p2d.pacs.lean.connector import LeanArchive
from p2d.settings.gateway import Archive
from p2d.testing.datasets import held_ct, three_patients
from p2d.testing.faulty.script import (
    CALLED_AE_UNKNOWN,
    CONGESTED,
    Abort,
    Also,
    Behaviour,
    Cap,
    Change,
    Damage,
    Damaged,
    Fault,
    ForeignRows,
    Hang,
    Omit,
    Operation,
    Restart,
    Status,
    Twice,
    Unsupported,
    When,
    once,
)
from p2d.testing.faulty_archive import FaultyArchive
from p2d.testing.gateway_stages import OPERATOR, CountingIdentity, GatewayStages, gateway_stages
from p2d.testing.holdings import HeldInstance
from p2d.testing.installation import free_ports

FIND, RETRIEVE, ASSOCIATE = Operation.FIND, Operation.RETRIEVE, Operation.ASSOCIATE
PATIENTS = ("P-1", "P-2", "P-3")
IMAGES = {"P-1": 22, "P-2": 18, "P-3": 20}
STRAY = held_ct(PatientID="P-9", PatientName="Stranger^Zoe", SOPInstanceUID="1.2.3.99")


@dataclass
class Site:
    archive: FaultyArchive
    stages: GatewayStages

    def run(self, *patients: str, choice: Choice = Choice.ALL, scope: Scope = Scope.EXTENDED) -> RunReport:
        targets = tuple(self.stages.target(patient) for patient in patients or PATIENTS)
        extractor = BulkExtractor(self.stages.gateway)
        run_id = extractor.open(Request(targets, choice=choice, scope=scope), OPERATOR)
        return extractor.run(run_id, OPERATOR)

    def rows(self, table: str = "instance") -> list[dict[str, object]]:
        return list(self.stages.warehouse.rows(table))


@contextmanager
def site(
    folder: Path, *script: Fault, held: Sequence[HeldInstance] = three_patients().listed, **more: object
) -> Iterator[Site]:
    """A gateway over fakes, but for its archive, and the lean connector to that."""
    port = free_ports(1)[0]
    stages = gateway_stages(folder, [])
    with FaultyArchive(held, *script, peers={"P2D": ("127.0.0.1", port)}) as archive:
        settings = {
            "host": archive.host,
            "port": archive.port,
            "called_ae_title": archive.ae_title,
            "store_port": port,
            "connect_seconds": 1,
            "answer_seconds": 1,
            **more,
        }
        with LeanArchive(Archive.model_validate(settings)) as pacs:
            gateway = replace(stages.gateway, pacs=pacs)
            yield Site(archive, replace(stages, gateway=gateway))


def always(operation: Operation, what: Behaviour, level: str = "") -> Fault:
    return Fault(When(operation, level), what)


def whole(report: RunReport, images: int = 60) -> bool:
    sums = (report.expected, report.received, report.released, report.missing)
    return report.is_complete and sums == (images, images, images, 0)


# 2, 3, 4, 11: who is told, who is tried again -----------------------------------------------------------


def test_a_permanent_rejection_ends_the_run_at_once_and_gives_no_patient_up(tmp_path: Path) -> None:
    with site(tmp_path, always(ASSOCIATE, CALLED_AE_UNKNOWN)) as one:
        with pytest.raises(Misconfigured, match="register AE title"):
            one.run()

        assert one.archive.count(ASSOCIATE) <= len(PATIENTS)  # those at hand; none is tried again
        ledger = one.stages.gateway.ledger
        report = ledger.report(ledger.runs()[-1])
        assert (report.patients.pending, dict(report.patients.parked)) == (3, {})
        assert one.stages.records()[-1]["error"] == "Misconfigured"
        assert one.stages.warehouse.batches == {}


def test_an_unknown_destination_ends_the_run_at_once(tmp_path: Path) -> None:
    with site(tmp_path, retrieve="move") as one:
        one.archive.peers.clear()
        with pytest.raises(Misconfigured, match="destination"):
            one.run()

        assert one.archive.count(RETRIEVE) <= len(PATIENTS)
        assert one.stages.warehouse.batches == {}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(When(ASSOCIATE, last=2), CONGESTED),
        Fault(once(FIND, 1, "IMAGE"), Abort(3)),
        Fault(once(FIND, 2, "IMAGE"), Hang(3)),
        Fault(once(FIND, 1, "STUDY"), Status(0xA700)),
        Fault(once(RETRIEVE), Abort(0)),
        Fault(once(RETRIEVE), Abort(0, amid=True)),
    ],
    ids=["congested", "abort", "hang", "out of resources", "no retrieve", "half an object"],
)
def test_what_passes_costs_an_attempt_and_no_row(tmp_path: Path, fault: Fault) -> None:
    with site(tmp_path, fault) as one:
        report = one.run()

        assert whole(report)
        assert len(one.rows()) == 60


@pytest.mark.parametrize(
    "fault", [always(FIND, Abort(3), "IMAGE"), always(FIND, ForeignRows(), "STUDY")], ids=["abort", "foreign"]
)
def test_a_patient_whose_list_never_ends_well_is_given_up_without_a_row(tmp_path: Path, fault: Fault) -> None:
    with site(tmp_path, fault, query="hierarchical") as one:
        report = one.run()

        assert sum(report.patients.parked.values()) == 3
        assert (report.received, report.is_complete, report.adds_up) == (0, False, True)
        assert one.stages.warehouse.batches == {}
        text = str(dict(report.patients.parked))
        assert not any(word in text for word in ("P-1", "P-2", "P-3", "Example", "1.2.826"))


# 6: cut short -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 0xA700, 0xFE00])
def test_lists_cut_short_are_completed(tmp_path: Path, status: int) -> None:
    script = (always(FIND, Cap(12, status), "IMAGE"), always(FIND, Cap(2, status), "SERIES"))

    with site(tmp_path, *script) as one:
        assert whole(one.run("P-1", "P-2", scope=Scope.BASIC), 40)


def test_what_an_archive_never_lists_is_missing(tmp_path: Path) -> None:
    with site(tmp_path, always(FIND, Cap(5), "IMAGE")) as one:
        report = one.run("P-1", scope=Scope.BASIC)

        assert (report.expected, report.received, report.missing) == (22, 11, 11)
        assert (report.adds_up, report.state) == (True, "incomplete")
        assert any("the archive counts 12 instances, lists 5" in note for note in report.notes)


@pytest.mark.parametrize(("choice", "expected"), [(Choice.ALL, 20), (Choice.FIRST, 3)])
def test_series_that_an_archive_never_lists_are_missing(
    tmp_path: Path, choice: Choice, expected: int
) -> None:
    with site(tmp_path, always(FIND, Cap(1), "SERIES"), query="hierarchical") as one:
        report = one.run("P-3", choice=choice, scope=Scope.BASIC)

        assert report.expected == expected
        assert report.missing == (15 if choice is Choice.ALL else 2)
        assert (report.adds_up, report.is_complete) == (True, False)


def test_a_list_that_ends_where_limits_are_is_noted_where_nobody_counts(tmp_path: Path) -> None:
    held = [held_ct(SOPInstanceUID=f"1.2.3.{n}", InstanceNumber=str(n)) for n in range(1, 51)]
    script = always(FIND, Unsupported(("NumberOfSeriesRelatedInstances",)))

    with site(tmp_path, script, held=held) as one:
        report = one.run("P-1", scope=Scope.BASIC)

        assert report.received == 50
        assert any("exactly 50 instances" in note for note in report.notes)


# 9, 10: identity management -----------------------------------------------------------------------------


class OddIdentity(CountingIdentity):
    """Answers with something that no archive may be asked for."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value

    def resolve(self, domain: Domain, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        return [PatientId(self.value) for _ in super().resolve(domain, pseudonyms)]


@pytest.mark.parametrize("value", ["", " ", "*", "P-?", "P-1\\P-2", "P-1\n", "*" * 65])
def test_what_could_match_other_patients_is_never_asked(tmp_path: Path, value: str) -> None:
    identity = OddIdentity(value)
    with site(tmp_path) as one:
        gateway = replace(one.stages.gateway, identity=identity)
        odd = Site(one.archive, replace(one.stages, gateway=gateway, identity=identity))
        report = odd.run("P-1")

        assert one.archive.count(FIND) == one.archive.count(RETRIEVE) == 0
        assert sum(report.patients.parked.values()) == 1
        assert one.stages.warehouse.batches == {}


# 12-16, 38: retrieves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("claimed", [True, False])
def test_what_does_not_come_is_missing_whatever_the_status_says(
    tmp_path: Path, way: str, claimed: bool
) -> None:
    with site(tmp_path, always(RETRIEVE, Omit(3, claimed=claimed)), retrieve=way) as one:
        report = one.run("P-2")

        assert report.expected == 18
        assert report.missing == 18 - report.received == 6
        assert (report.adds_up, report.state) == (True, "incomplete")
        assert len(one.rows()) == report.released == 12
        assert one.archive.count(RETRIEVE) <= 80  # by C-GET a list may need many associations, a class each


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("end", [Hang(3), Abort(3), Abort(3, amid=True), Restart(3, seconds=0.2)], ids=repr)
def test_a_retrieve_that_breaks_off_is_resumed_for_the_rest(tmp_path: Path, way: str, end: Behaviour) -> None:
    with site(tmp_path, Fault(once(RETRIEVE), end), retrieve=way) as one:
        gateway = replace(one.stages.gateway, retry_seconds=0.3)
        resumed = Site(one.archive, replace(one.stages, gateway=gateway))
        report = resumed.run("P-2")

        assert whole(report, 18)
        assert any("was resumed for the rest" in note for note in report.notes)
        assert report.patients.done == 1
        assert one.archive.statuses.count(0) == 18  # nothing came twice


@pytest.mark.parametrize("way", ["get", "move"])
def test_an_archive_that_restarts_again_and_again_makes_progress(tmp_path: Path, way: str) -> None:
    script = Fault(When(RETRIEVE, every=2), Restart(4, seconds=0.1))

    with site(tmp_path, script, retrieve=way, list_length=6) as one:
        gateway = replace(one.stages.gateway, retry_seconds=0.2)
        report = Site(one.archive, replace(one.stages, gateway=gateway)).run()

        assert whole(report)
        assert one.archive.statuses.count(0) <= 66  # an object or two at the moment of a restart


# 17-21: objects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [False, True])
def test_an_instance_that_comes_twice_makes_one_row(tmp_path: Path, changed: bool) -> None:
    with site(tmp_path, always(RETRIEVE, Twice(changed=changed))) as one:
        report = one.run("P-2")

        assert whole(report, 18)
        assert len(one.rows()) == 18
        assert any("content" in note for note in report.notes) is changed
        assert ("duplicate differs" in report.inconsistencies) is changed


@pytest.mark.parametrize("way", ["get", "move"])
def test_foreign_objects_make_no_row_and_an_alarm(tmp_path: Path, way: str) -> None:
    other = next(one for one in three_patients().listed if one["PatientID"] == "P-1")

    with site(tmp_path, always(RETRIEVE, Also((STRAY, other))), retrieve=way) as one:
        report = one.run("P-2")

        assert whole(report, 18)
        assert len(one.rows()) == 18
        assert report.inconsistencies["not asked for"] == 1
        alarms = [record for record in one.stages.records() if record["action"] == "foreign objects refused"]
        assert [alarm["subject"]["objects"] for alarm in alarms] == [4]
        assert "Stranger" not in str(one.rows("header"))


BROKEN = (
    Damage.TRUNCATED, Damage.WRONG_SYNTAX, Damage.BAD_VR, Damage.UNDEFINED_LENGTH, Damage.DEEP_SEQUENCE,
    Damage.CHARACTER_SET, Damage.NOISE, Damage.OTHER_UID,
)  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_damaged_object_is_withheld_or_missing_and_the_others_go_on(tmp_path: Path, how: Damage) -> None:
    uid = three_patients().listed[0]["SOPInstanceUID"]
    held = [one for one in three_patients().listed if one["PatientID"] != "P-1"]
    broken = next(one for one in three_patients().listed if one["SOPInstanceUID"] == uid)

    with site(tmp_path, always(RETRIEVE, Damaged(how)), held=[*held, broken]) as one:
        report = one.run("P-1")
        one.archive.script = ()
        others = one.run("P-2", "P-3")

        assert (report.expected, report.adds_up) == (1, True)
        assert report.released + report.missing + sum(report.withheld.values()) == 1
        assert report.patients.pending == 0
        if report.released:  # what is harmless below the pixel data
            assert how in {Damage.BAD_VR, Damage.UNDEFINED_LENGTH, Damage.TRUNCATED}
        assert whole(others, 38)


def test_an_object_without_a_patient_is_refused_and_missing(tmp_path: Path) -> None:
    with site(tmp_path, Fault(When(RETRIEVE), Damaged(Damage.NO_PATIENT))) as one:
        report = one.run("P-2")

        assert report.adds_up
        assert report.missing == 18 - report.received == 2  # the first of each list, and by itself
        assert set(one.archive.statuses) == {0, 0xA900}
        assert len(one.rows()) == 16


@pytest.mark.parametrize("how", [Damage.OTHER_PATIENT, Damage.OTHER_STUDY])
def test_where_object_and_archive_disagree_the_archive_counts(tmp_path: Path, how: Damage) -> None:
    with site(tmp_path, always(RETRIEVE, Damaged(how))) as one:
        report = one.run("P-2")

        assert report.adds_up
        assert report.expected == report.received == 18
        rows = one.rows()
        assert {row["patient"] for row in rows} == {str(one.stages.patient("P-2"))}
        assert len({row["study"] for row in rows}) == 1
        assert len({row["series"] for row in rows}) == 2
        assert any("mismatch" in str(row["flags"]) for row in rows)
        assert report.inconsistencies
        assert "Stranger" not in str(one.rows("header"))
        assert "P-9" not in str(one.rows("header"))


# 39: the archive changes under way ----------------------------------------------------------------------


@pytest.mark.parametrize("added", [True, False])
def test_a_study_that_changes_while_it_is_fetched_is_noted(tmp_path: Path, added: bool) -> None:
    of_patient = [one for one in three_patients().listed if one["PatientID"] == "P-2"]
    more = HeldInstance({**of_patient[0].attributes, "SOPInstanceUID": "1.2.3.7"}, of_patient[0].render)
    change = Change((more,)) if added else Change(removed=frozenset({of_patient[-1]["SOPInstanceUID"]}))

    with site(tmp_path, Fault(once(RETRIEVE), change)) as one:
        report = one.run("P-2")

        assert report.adds_up
        assert any("1 studies changed in the archive" in note for note in report.notes)
        assert report.missing == (0 if added else 1)


def test_a_study_that_stays_as_it_is_makes_no_note(tmp_path: Path) -> None:
    with site(tmp_path) as one:
        report = one.run()

        assert whole(report)
        assert report.notes == ()
