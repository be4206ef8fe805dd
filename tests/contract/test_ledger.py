"""The ledger on either engine: every patient in one state, every image counted, nothing lost by a crash."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Ledger
from p2d.jobs.report import render
from p2d.model.errors import InvalidRequest, NotFound
from p2d.testing.ledgers import Engine

REQUEST = {"identifiers": [{"kind": "patient", "pseudonym": "P1"}], "scope": "basic"}
PATIENTS = ["P1", "P2", "P3"]


def line(patient: str, expected: int = 10, series: str = "2.25.2", **parts: int) -> SeriesCounts:
    withheld = {"modality not allowed": parts.pop("withheld")} if "withheld" in parts else {}
    received = parts.pop("received", expected)
    released = received - sum(withheld.values()) - sum(parts.values())
    return SeriesCounts(patient, "2.25.1", series, expected, received, released, **parts, withheld=withheld)


@pytest.fixture
def run(ledger: Ledger) -> str:
    return ledger.open_run("bulk", REQUEST, PATIENTS, "olaf")


def test_a_run_keeps_its_request_and_patients(ledger: Ledger, run: str) -> None:
    assert ledger.request_of(run) == REQUEST
    assert ledger.pending(run) == PATIENTS
    assert ledger.report(run).state == "open"


def test_runs_are_listed_oldest_first_and_their_ids_sort_by_time(engine: Engine, ledger: Ledger) -> None:
    runs = []
    for seconds in (0, 86_400):
        engine.clock.pass_(seconds)
        runs.append(ledger.open_run("bulk", {}, ["P1"], "olaf"))

    assert ledger.runs() == runs == sorted(runs)
    assert runs[0].startswith("R20270115-")


@pytest.mark.parametrize("patients", [[], ["P1", "P1"]])
def test_a_run_needs_patients_each_once(ledger: Ledger, patients: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        ledger.open_run("bulk", REQUEST, patients, "olaf")

    assert ledger.runs() == []


def test_a_patient_is_done_by_its_receipt_alone(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1")])

    assert ledger.unconfirmed(run) == ["b1"]
    assert ledger.pending(run) == PATIENTS
    assert ledger.report(run).patients.done == 0

    ledger.loaded(run, "b1")
    ledger.loaded(run, "b1")

    assert ledger.unconfirmed(run) == []
    assert ledger.pending(run) == ["P2", "P3"]
    assert ledger.report(run).patients.done == 1


def test_counters_leave_with_a_forgotten_batch_and_are_never_added_twice(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1")], counted={"a": 3, "b": 1})
    ledger.forget(run, "b1")
    assert ledger.counted(run) == ({}, {})

    ledger.record(run, "b2", "P1", [line("P1")], counted={"a": 3})
    ledger.record(run, "b2", "P2", [line("P2")], counted={"a": 4, "c": 1})
    ledger.record(run, "b2", "P1", [line("P1")], counted={"a": 5})
    unconfirmed, _ = ledger.counted(run)
    ledger.loaded(run, "b2")
    ledger.loaded(run, "b2")

    assert unconfirmed == ledger.counted(run)[0] == {"a": 9, "c": 1}


def test_counters_of_done_patients_survive_the_failure_of_others(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1")], counted={"a": 3})
    ledger.loaded(run, "b1")
    ledger.record(run, "b2", "P2", [line("P2")], counted={"a": 4})
    ledger.fail(run, "P2", "Unavailable", attempts_allowed=3)

    assert ledger.counted(run)[0] == {"a": 3}


def test_a_forgotten_batch_leaves_no_line_and_no_note(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b0", "P2", [line("P2")])
    ledger.record(run, "b1", "P1", [line("P1", withheld=3)], ["a series changed"])

    ledger.forget(run, "b1")

    report = ledger.report(run)
    assert [counted.patient for counted in ledger.lines(run)] == ["P2"]
    assert (report.expected, report.withheld, report.notes) == (10, {}, ())
    assert ledger.unconfirmed(run) == ["b0"]


def test_forgetting_does_not_undo_a_receipt(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1")])
    ledger.loaded(run, "b1")

    ledger.forget(run, "b1")

    assert ledger.report(run).patients.done == 1


def test_recording_again_replaces_the_lines(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1", series="2.25.8"), line("P1", series="2.25.9")])

    ledger.record(run, "b2", "P1", [line("P1", withheld=2)], ["n"])

    assert list(ledger.lines(run)) == [line("P1", withheld=2)]
    assert ledger.unconfirmed(run) == ["b2"]
    assert ledger.progress(run).images_expected == 10


def test_a_failing_patient_is_tried_again_and_then_parked(ledger: Ledger, run: str) -> None:
    ledger.fail(run, "P1", "Unavailable: pacs", attempts_allowed=2)
    assert ledger.pending(run) == PATIENTS

    ledger.fail(run, "P1", "Unavailable: pacs", attempts_allowed=2)

    assert ledger.pending(run) == ["P2", "P3"]
    assert ledger.report(run).patients.parked == {"Unavailable: pacs": 1}
    assert ledger.progress(run).parked == 1


def test_absent_and_unresolved_patients_are_finished_and_counted_apart(ledger: Ledger, run: str) -> None:
    ledger.absent(run, "P1")
    ledger.unresolved(run, "P2", "NotFound")
    ledger.unresolved(run, "P2", "NotFound")
    ledger.unresolved(run, "P3", "Ambiguous")

    report = ledger.report(run)
    assert ledger.pending(run) == []
    assert (report.patients.absent, report.patients.unresolved) == (1, {"NotFound": 1, "Ambiguous": 1})
    assert ledger.progress(run).patients_done == 3
    assert report.is_complete


@pytest.mark.parametrize("operation", ["record", "fail", "absent", "unresolved"])
def test_a_done_patient_stays_done(ledger: Ledger, run: str, operation: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1")])
    ledger.loaded(run, "b1")

    with pytest.raises(InvalidRequest):
        {
            "record": lambda: ledger.record(run, "b2", "P1", []),
            "fail": lambda: ledger.fail(run, "P1", "x", attempts_allowed=1),
            "absent": lambda: ledger.absent(run, "P1"),
            "unresolved": lambda: ledger.unresolved(run, "P1", "NotFound"),
        }[operation]()

    assert list(ledger.lines(run)) == [line("P1")]


@pytest.mark.parametrize(
    "lines",
    [
        [line("P2")],
        [line("P1"), line("P1")],
        [SeriesCounts("P1", "s", "t", -1, 0, 0)],
        [SeriesCounts("P1", "s", "t", 1, 1, 1, withheld={"x": -1})],
    ],
)
def test_impossible_lines_are_refused_and_nothing_written(
    ledger: Ledger, run: str, lines: list[SeriesCounts]
) -> None:
    with pytest.raises(InvalidRequest):
        ledger.record(run, "b1", "P1", lines)

    assert list(ledger.lines(run)) == []
    assert ledger.unconfirmed(run) == []


def test_the_report_adds_up_every_image(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1", 10, received=9, withheld=2, duplicate=1, refused=1)])
    ledger.record(run, "b1", "P2", [line("P2", 5)], ["one note", "one note"])
    ledger.loaded(run, "b1")
    ledger.absent(run, "P3")

    report = ledger.report(run)

    assert (report.expected, report.received, report.missing, report.released) == (15, 14, 1, 10)
    assert (report.withheld, report.duplicate, report.refused) == ({"modality not allowed": 2}, 1, 1)
    assert (report.series, report.studies, report.notes) == (2, 2, ("one note (2 times)",))
    assert report.adds_up
    assert not report.is_complete


@pytest.mark.parametrize(
    "wrong", [SeriesCounts("P1", "s", "t", 5, 5, 4), SeriesCounts("P1", "s", "t", 5, 6, 6)]
)
def test_a_line_that_does_not_add_up_shows(ledger: Ledger, run: str, wrong: SeriesCounts) -> None:
    ledger.record(run, "b1", "P1", [wrong, line("P1")])

    report = ledger.report(run)

    assert not wrong.adds_up
    assert not report.adds_up
    assert "does NOT add up" in render(report)


@pytest.mark.parametrize(
    ("stop", "finish", "state"),
    [
        (False, True, "completed"),
        (True, True, "completed"),
        (True, False, "stopped"),
        (False, False, "incomplete"),
    ],
)
def test_a_closed_run_says_how_it_ended(
    ledger: Ledger, run: str, stop: bool, finish: bool, state: str
) -> None:
    if stop:
        ledger.request_stop(run)
    for patient in PATIENTS if finish else PATIENTS[:1]:
        ledger.absent(run, patient)

    ledger.close_run(run)

    assert ledger.report(run).state == state


def test_a_stop_counts_for_the_working_at_hand_and_not_for_the_next(ledger: Ledger, run: str) -> None:
    ledger.request_stop(run)
    ledger.start(run)
    assert ledger.is_stopping(run)
    ledger.close_run(run)

    ledger.start(run)

    assert not ledger.is_stopping(run)
    assert ledger.state(run) == "running"


def test_a_note_of_the_run_stays(ledger: Ledger, run: str) -> None:
    ledger.note(run, "relational queries were not trusted")

    assert ledger.report(run).notes == ("relational queries were not trusted",)


def test_unknown_runs_patients_and_batches_are_not_found(ledger: Ledger, run: str) -> None:
    for asked in (
        lambda: ledger.pending("R0"),
        lambda: ledger.progress("R0"),
        lambda: ledger.close_run("R0"),
        lambda: ledger.absent(run, "P9"),
        lambda: ledger.loaded(run, "b9"),
        lambda: ledger.forget(run, "b9"),
    ):
        with pytest.raises(NotFound):
            asked()


def test_the_table_is_aligned_and_ends_with_the_verdict(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P1", [line("P1", 12_345, withheld=2)])
    ledger.loaded(run, "b1")

    table = render(ledger.report(run)).splitlines()

    assert table[0] == f"Run {run}: open"
    assert len({len(row) for row in table[1:-1]}) == 1
    assert any(row.startswith("Images expected") and row.endswith(" 12,345") for row in table)
    assert table[-1] == "The ledger adds up; the run is not complete."


def test_the_report_as_json_holds_the_verdict(ledger: Ledger, run: str) -> None:
    found = ledger.report(run).as_json()

    assert found["run_id"] == run
    assert found["adds_up"] is True
    assert found["is_complete"] is False


@dataclass
class Model:
    """What the ledger should hold, kept the naive way."""

    states: dict[str, str] = field(default_factory=lambda: dict.fromkeys(PATIENTS, "pending"))
    batches: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PATIENTS, 0))
    images: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PATIENTS, 0))

    def to_do(self) -> list[str]:
        return [patient for patient in PATIENTS if self.states[patient] in {"pending", "extracted"}]

    def in_batch(self, batch: str) -> list[str]:
        return [p for p in PATIENTS if self.states[p] == "extracted" and self.batches[p] == batch]


steps = st.lists(
    st.tuples(
        st.sampled_from(["record", "loaded", "forget", "fail", "absent", "unresolved", "crash"]),
        st.sampled_from(PATIENTS),
        st.sampled_from(["b1", "b2"]),
        st.integers(0, 20),
    ),
    max_size=25,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_sequence_with_crashes_keeps_the_ledger_true(
    engine: Engine, steps: list[tuple[str, str, str, int]]
) -> None:
    ledger, model = engine.ledger(), Model()
    run = ledger.open_run("bulk", REQUEST, PATIENTS, "olaf")
    for operation, patient, batch, images in steps:
        if operation == "crash":
            engine.close()
            ledger = engine.ledger()
        else:
            apply(ledger, run, model, (operation, patient, batch, images))
        check(ledger, run, model)
    engine.close()


def apply(ledger: Ledger, run: str, model: Model, step: tuple[str, str, str, int]) -> None:
    operation, patient, batch, images = step
    if operation in {"loaded", "forget"}:
        waiting = model.in_batch(batch)
        if not waiting:
            return
        getattr(ledger, operation)(run, batch)
        for name in waiting:
            model.states[name] = "done" if operation == "loaded" else "pending"
            model.images[name] = model.images[name] if operation == "loaded" else 0
    elif patient in model.to_do():
        if operation == "record":
            ledger.record(run, batch, patient, [line(patient, images)])
            model.states[patient], model.batches[patient], model.images[patient] = "extracted", batch, images
            return
        model.images[patient] = 0
        if operation == "fail":
            ledger.fail(run, patient, "Unavailable", attempts_allowed=3)
            model.attempts[patient] += 1
            model.states[patient] = "parked" if model.attempts[patient] >= 3 else "pending"
        elif operation == "absent":
            ledger.absent(run, patient)
            model.states[patient] = "absent"
        else:
            ledger.unresolved(run, patient, "NotFound")
            model.states[patient] = "unresolved"


def check(ledger: Ledger, run: str, model: Model) -> None:
    report, progress = ledger.report(run, recount=True), ledger.progress(run)
    states = list(model.states.values())
    images = sum(model.images.values())
    assert report.adds_up
    assert ledger.pending(run) == model.to_do()
    assert report.patients.done == states.count("done")
    assert report.patients.absent == states.count("absent")
    assert sum(report.patients.unresolved.values()) == states.count("unresolved")
    assert sum(report.patients.parked.values()) == progress.parked == states.count("parked")
    assert report.expected == progress.images_expected == progress.images_released == images
    assert sum(counted.expected for counted in ledger.lines(run)) == images
    waiting = {model.batches[p] for p in PATIENTS if model.states[p] == "extracted"}
    assert set(ledger.unconfirmed(run)) == waiting
