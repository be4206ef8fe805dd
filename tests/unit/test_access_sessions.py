"""Sessions: opened with a key shown once, found by it alone, ended by time, idleness or close."""

import stat
from pathlib import Path

import pytest

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.access.sessions import MOST_PATIENTS, SessionStore
from p2d.model.errors import InvalidRequest, Refused
from p2d.model.ids import Pseudonym

RUTH = Caller("ruth", Role.RESEARCHER, "warehouse")
PATIENTS = [Pseudonym("P-ANNA"), Pseudonym("P-BODO")]
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> SessionStore:
    return SessionStore(tmp_path / "state" / "sessions.sqlite", clock)


def test_a_key_finds_its_session(store: SessionStore) -> None:
    key, opened = store.open(
        RUTH, PATIENTS, modalities_allowed=frozenset({"CT"}), modalities_denied=frozenset({"US"}), images=True
    )

    found = store.find(key)

    assert found == opened
    assert found.patients == frozenset(PATIENTS)
    assert (found.user, found.role, found.allow, found.deny, found.images) == (
        "ruth", Role.RESEARCHER, frozenset({"CT"}), frozenset({"US"}), True,
    )  # fmt: skip


def test_a_session_survives_a_restart(tmp_path: Path, clock: Clock) -> None:
    key, opened = SessionStore(tmp_path / "s.sqlite", clock).open(RUTH, PATIENTS)

    assert SessionStore(tmp_path / "s.sqlite", clock).find(key) == opened


def test_unknown_expired_idle_and_closed_keys_get_one_answer(store: SessionStore, clock: Clock) -> None:
    closed, session = store.open(RUTH, PATIENTS)
    store.close(session.session_id)
    idle, _ = store.open(RUTH, PATIENTS, idle_minutes=5)
    expired, _ = store.open(RUTH, PATIENTS, hours=0.5, idle_minutes=100)
    clock.seconds += 0.5 * HOUR
    answers = set()

    for key in ("unknown", "", "\ud800", closed, idle, expired):
        with pytest.raises(Refused) as caught:
            store.find(key)
        answers.add(str(caught.value))

    assert len(answers) == 1


def test_use_keeps_a_session_from_idling_but_not_from_expiring(store: SessionStore, clock: Clock) -> None:
    key, _ = store.open(RUTH, PATIENTS, hours=1, idle_minutes=15)
    for _ in range(5):
        clock.seconds += 600
        store.find(key)

    clock.seconds += 600

    with pytest.raises(Refused):
        store.find(key)


def test_closing_in_one_process_ends_the_session_in_another(tmp_path: Path, clock: Clock) -> None:
    one, other = (SessionStore(tmp_path / "s.sqlite", clock) for _ in range(2))
    key, session = one.open(RUTH, PATIENTS)
    other.find(key)

    one.close(session.session_id)

    with pytest.raises(Refused):
        other.find(key)


def test_neither_key_nor_the_patients_of_an_ended_session_are_on_disk(tmp_path: Path, clock: Clock) -> None:
    store = SessionStore(tmp_path / "s.sqlite", clock)
    key, session = store.open(RUTH, PATIENTS)
    assert key not in on_disk(tmp_path)

    store.close(session.session_id)
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert "P-ANNA" not in on_disk(tmp_path)


def test_keys_are_long_and_never_alike(store: SessionStore) -> None:
    keys = {store.open(RUTH, PATIENTS)[0] for _ in range(20)}

    assert len(keys) == 20
    assert min(len(key) for key in keys) >= 43


def test_the_file_is_its_owners_alone(tmp_path: Path, store: SessionStore) -> None:
    store.open(RUTH, PATIENTS)

    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()} == {0o600}


@pytest.mark.parametrize("patients", [[], [Pseudonym("P-1")] * (MOST_PATIENTS + 1)])
def test_no_patient_or_too_many_are_invalid(store: SessionStore, patients: list[Pseudonym]) -> None:
    with pytest.raises(InvalidRequest):
        store.open(RUTH, patients)


@pytest.mark.parametrize(("hours", "idle"), [(0, 15), (-1, 15), (25, 15), (8, 0), (float("nan"), 15)])
def test_times_out_of_range_are_invalid(store: SessionStore, hours: float, idle: float) -> None:
    with pytest.raises(InvalidRequest):
        store.open(RUTH, PATIENTS, hours=hours, idle_minutes=idle)


def test_an_officer_opens_no_session(store: SessionStore) -> None:
    with pytest.raises(Refused):
        store.open(Caller("otto", Role.OFFICER, "warehouse"), PATIENTS)


def on_disk(folder: Path) -> str:
    return "".join(file.read_bytes().decode("latin-1") for file in folder.iterdir())
