"""Any history of workers, deaths and pauses: each patient with one worker, counted once, never lost."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.ledger import Ledger
from p2d.testing.clock import Clock

PATIENTS = [f"P{number}" for number in range(6)]
SECONDS = 10.0
ALLOWED = 3


@dataclass
class Truth:
    """What should be so, kept the naive way."""

    holder: dict[str, int] = field(default_factory=dict)
    expires: dict[int, float] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PATIENTS, 0))
    done: set[str] = field(default_factory=set)
    parked: set[str] = field(default_factory=set)

    def lives(self, lease: Lease) -> bool:
        return lease.lease_id in self.expires

    def let_go(self, lease_id: int) -> None:
        self.expires.pop(lease_id)
        for patient in [one for one, holder in self.holder.items() if holder == lease_id]:
            del self.holder[patient]
            self.begun.discard(patient)

    def blame(self, patient: str) -> None:
        self.attempts[patient] += 1
        if self.attempts[patient] >= ALLOWED:
            self.parked.add(patient)


class Workers(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = Clock()
        self.ledger = Ledger(Path(self.folder.name) / "l.sqlite", self.clock)
        self.run = self.ledger.open_run("bulk", {}, PATIENTS, "olaf")
        self.truth = Truth()
        self.paused = False
        self.batches = 0

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(target=leases, most=st.integers(1, 4))
    def take(self, most: int) -> Lease | None:
        lease = self.ledger.leases.take(self.run, "w", most=most, seconds=SECONDS)
        if lease is None:
            return None
        assert not self.paused
        for patient in lease.patients:
            assert patient not in self.truth.holder
            assert patient not in self.truth.done | self.truth.parked
            self.truth.holder[patient] = lease.lease_id
        assert len(lease.patients) == 1 or not any(self.truth.attempts[one] for one in lease.patients)
        self.truth.expires[lease.lease_id] = self.clock.now + SECONDS
        return lease

    @rule(lease=leases, number=st.integers(0, 3))
    def begin(self, lease: Lease | None, number: int) -> None:
        if lease is None:
            return
        patient = lease.patients[number % len(lease.patients)]
        try:
            goes_on = self.ledger.leases.begin(lease, patient)
        except LeaseLost:
            assert self.truth.holder.get(patient) != lease.lease_id
        else:
            assert self.truth.holder[patient] == lease.lease_id
            assert goes_on is not self.paused
            self.truth.begun.add(patient)

    @rule(lease=leases)
    def renew(self, lease: Lease | None) -> None:
        if lease is None:
            return
        try:
            self.ledger.leases.renew(lease)
        except LeaseLost:
            assert not self.truth.lives(lease)
        else:
            assert self.truth.lives(lease)
            self.truth.expires[lease.lease_id] = self.clock.now + SECONDS

    @rule(lease=leases, number=st.integers(0, 3), receipt=st.booleans())
    def load(self, lease: Lease | None, number: int, receipt: bool) -> None:
        if lease is None:
            return
        patient = lease.patients[number % len(lease.patients)]
        self.batches += 1
        batch, images = f"b{self.batches}", [SeriesCounts(patient, "s", "t", 7, 7, 7)]
        try:
            self.ledger.record(self.run, batch, patient, images, lease=lease)
            if receipt:
                self.ledger.loaded(self.run, batch, lease=lease)
            else:
                self.ledger.forget(self.run, batch, lease=lease)
        except LeaseLost:
            assert self.truth.holder.get(patient) != lease.lease_id
            return
        assert self.truth.holder[patient] == lease.lease_id
        if receipt:
            self.truth.done.add(patient)
            del self.truth.holder[patient]
            self.truth.begun.discard(patient)

    @rule(lease=leases, number=st.integers(0, 3))
    def fail(self, lease: Lease | None, number: int) -> None:
        if lease is None:
            return
        patient = lease.patients[number % len(lease.patients)]
        try:
            self.ledger.fail(self.run, patient, "x", attempts_allowed=ALLOWED, lease=lease)
        except LeaseLost:
            assert self.truth.holder.get(patient) != lease.lease_id
            return
        self.truth.blame(patient)
        del self.truth.holder[patient]
        self.truth.begun.discard(patient)

    @rule(lease=consumes(leases))
    def end(self, lease: Lease | None) -> None:
        if lease is None:
            return
        self.ledger.leases.end(lease)
        if self.truth.lives(lease):
            self.truth.let_go(lease.lease_id)

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def time_passes_and_the_silent_are_taken_over(self, seconds: float) -> None:
        self.clock.pass_(seconds)
        for lease_id in [one for one, until in self.truth.expires.items() if until <= self.clock.now]:
            for patient in [one for one, holder in self.truth.holder.items() if holder == lease_id]:
                if patient in self.truth.begun:
                    self.truth.blame(patient)
            self.truth.let_go(lease_id)
        waiting = self.ledger.leases.take_over(self.run, "v", seconds=SECONDS, attempts_allowed=ALLOWED)
        assert waiting is None  # batches are settled in the step that records them

    @rule()
    def pause_or_resume(self) -> None:
        order = self.ledger.orders.resume if self.paused else self.ledger.orders.pause
        order(self.run)
        self.paused = not self.paused

    @rule()
    def retry(self) -> None:
        assert self.ledger.orders.retry(self.run) == len(self.truth.parked)
        for patient in self.truth.parked:
            self.truth.attempts[patient] = 0
        self.truth.parked.clear()

    @rule()
    def crash(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(Path(self.folder.name) / "l.sqlite", self.clock)

    @invariant()
    def the_ledger_is_true(self) -> None:
        report, progress = self.ledger.report(self.run, recount=True), self.ledger.progress(self.run)
        assert report.adds_up
        assert report.expected == 7 * len(self.truth.done)
        assert report.patients.done == len(self.truth.done)
        assert progress.parked == len(self.truth.parked)
        assert progress.patients_leased == len(self.truth.holder)
        left = len(PATIENTS) - len(self.truth.done) - len(self.truth.parked)
        assert progress.patients_pending == left
        assert (self.ledger.leases.next_due(self.run) is None) == (left == 0 and not self.truth.expires)


Workers.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestWorkers = Workers.TestCase
