"""The hold: what waits is encrypted, whole or not there, and ends with its key."""

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.export.held import Decision, Hold, Picture
from p2d.export.hold import HoldStore
from p2d.export.manifest import Line
from p2d.export.sealed import CHUNK, KEY_BYTES, seal, unseal
from p2d.model.errors import Misconfigured, NotFound, ProtocolViolation, Refused
from p2d.model.review import Objection, Standing

KEY = bytes(range(KEY_BYTES))
BLOCK = CHUNK + 28
APPROVED = Decision(Standing.APPROVED, None, "otto", 1.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> HoldStore:
    return HoldStore(tmp_path / "holds", 72, clock)


def line(series: str, number: int) -> Line:
    return {
        "patient": "P1",
        "study": "2.25.1",
        "series": series,
        "instance": f"2.25.9{number}",
        "file": f"{number}",
    }


def held(store: HoldStore, files: int = 3) -> Hold:
    with store.filling("rita") as writer:
        for number in range(files):
            writer.add(line(f"2.25.{number % 2}", number), [b"DICM-plain", bytes([number]) * 9], Picture())
        return writer.finish({"query": "q"})


def sealed(content: bytes, place: str = "H/1") -> bytes:
    file = BytesIO()
    seal(KEY, place, [content], file)
    return file.getvalue()


def opened(content: bytes, place: str = "H/1", key: bytes = KEY) -> bytes:
    return b"".join(unseal(key, place, BytesIO(content)))


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_sealed_parts_come_back_as_one(parts: list[bytes]) -> None:
    file = BytesIO()
    seal(KEY, "H/1", [memoryview(part) for part in parts], file)

    assert opened(file.getvalue()) == b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_files_of_every_size_around_a_chunk_come_back(size: int) -> None:
    content = os.urandom(size)

    assert opened(sealed(content)) == content


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_does_not_open(at: int, change: int) -> None:
    content = bytearray(sealed(b"thirteen byte"))
    content[at] ^= change

    with pytest.raises(ProtocolViolation):
        opened(bytes(content))


@pytest.mark.parametrize("kept", [0, 5, BLOCK - 1, BLOCK, BLOCK + 30, 2 * BLOCK])
def test_a_cut_file_does_not_open(kept: int) -> None:
    whole = sealed(bytes(2 * CHUNK + 10))

    with pytest.raises(ProtocolViolation):
        opened(whole[:kept])


def test_swapped_or_repeated_chunks_do_not_open() -> None:
    whole = sealed(bytes(2 * CHUNK + 10))
    first, second, last = whole[:BLOCK], whole[BLOCK : 2 * BLOCK], whole[2 * BLOCK :]

    for other in (second + first + last, first + first + last, first + second + last + last):
        with pytest.raises(ProtocolViolation):
            opened(other)


def test_a_file_opens_under_its_own_name_and_key_only() -> None:
    with pytest.raises(ProtocolViolation):
        opened(sealed(b"x"), "H/2")
    with pytest.raises(ProtocolViolation):
        opened(sealed(b"x"), key=bytes(KEY_BYTES))


def test_held_files_come_back_and_lie_encrypted_for_their_owner_only(
    store: HoldStore, tmp_path: Path
) -> None:
    hold = held(store)

    found = store.find(hold.hold_id)
    assert found == hold
    assert [store.content(found, file) for file in found.files] == [
        b"DICM-plain" + bytes([n]) * 9 for n in range(3)
    ]
    paths = [path for path in (tmp_path / "holds").rglob("*") if path.is_file()]
    assert not any(b"DICM" in path.read_bytes() or b"rita" in path.read_bytes() for path in paths)
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "holds").rglob("*"))


def test_files_swapped_on_the_disk_do_not_open(store: HoldStore, tmp_path: Path) -> None:
    hold = held(store)
    folder = tmp_path / "holds" / hold.hold_id
    (folder / "0").rename(folder / "x")
    (folder / "1").rename(folder / "0")
    (folder / "x").rename(folder / "1")

    with pytest.raises(ProtocolViolation):
        store.content(hold, hold.files[0])


def test_the_state_of_another_hold_is_not_taken(store: HoldStore, tmp_path: Path) -> None:
    one, other = held(store), held(store)
    store.decide(one.hold_id, list(one.decisions), APPROVED)
    root = tmp_path / "holds"
    (root / other.hold_id / "state").write_bytes((root / one.hold_id / "state").read_bytes())

    with pytest.raises(ProtocolViolation):
        store.find(other.hold_id)


def test_another_master_key_opens_nothing(store: HoldStore, tmp_path: Path) -> None:
    hold = held(store)
    (tmp_path / "holds" / "hold.key").unlink()
    other = HoldStore(tmp_path / "holds")

    with pytest.raises(ProtocolViolation):
        other.find(hold.hold_id)


def test_a_master_key_open_to_others_stops_the_start(store: HoldStore, tmp_path: Path) -> None:
    assert store.holds() == []
    (tmp_path / "holds" / "hold.key").chmod(0o440)

    with pytest.raises(Misconfigured):
        HoldStore(tmp_path / "holds")


def test_a_hold_ends_by_its_expiry_and_nothing_of_it_stays(
    store: HoldStore, tmp_path: Path, clock: Clock
) -> None:
    hold = held(store)
    clock.now += 72 * 3600 - 1
    assert [one.hold_id for one in store.holds()] == [hold.hold_id]
    clock.now += 1

    assert store.sweep() == [hold.hold_id]
    assert not (tmp_path / "holds" / hold.hold_id).exists()
    with pytest.raises(NotFound):
        store.find(hold.hold_id)


def test_an_expired_hold_that_no_sweep_met_is_not_opened(
    store: HoldStore, tmp_path: Path, clock: Clock
) -> None:
    hold = held(store)
    clock.now += 72 * 3600

    with pytest.raises(NotFound):
        store.find(hold.hold_id)
    assert not (tmp_path / "holds" / hold.hold_id).exists()


def test_a_hold_that_was_changed_is_not_listed_and_ends_all_the_same(
    store: HoldStore, tmp_path: Path, clock: Clock
) -> None:
    changed, other = held(store), held(store)
    folder = tmp_path / "holds" / changed.hold_id
    (folder / "index").write_bytes(b"changed")
    os.utime(folder / "key", (clock.now, clock.now))

    assert [hold.hold_id for hold in store.holds()] == [other.hold_id]
    with pytest.raises(ProtocolViolation):
        store.find(changed.hold_id)
    clock.now += 72 * 3600
    assert set(store.sweep()) == {changed.hold_id, other.hold_id}


def test_who_keeps_the_record_is_told_of_expired_holds(tmp_path: Path, clock: Clock) -> None:
    told: list[str] = []
    store = HoldStore(tmp_path / "holds", 1, clock, told.append)
    one, other = held(store), held(store)
    clock.now += 3600
    with pytest.raises(NotFound):
        store.find(one.hold_id)
    store.sweep()
    store.sweep()

    assert told == [one.hold_id, other.hold_id]


def test_a_hold_without_its_key_is_swept(store: HoldStore, tmp_path: Path) -> None:
    hold = held(store)
    (tmp_path / "holds" / hold.hold_id / "key").unlink()  # killed while it was wiped

    with pytest.raises(NotFound):
        store.find(hold.hold_id)
    HoldStore(tmp_path / "holds")
    assert not (tmp_path / "holds" / hold.hold_id).exists()


def test_a_hold_that_fails_half_way_leaves_nothing(store: HoldStore, tmp_path: Path) -> None:
    def fail() -> None:
        with store.filling("rita") as writer:
            writer.add(line("2.25.1", 1), [b"x"], Picture())
            raise ValueError("archive")

    with pytest.raises(ValueError, match="archive"):
        fail()

    assert [path.name for path in (tmp_path / "holds").iterdir()] == ["hold.key"]


def test_a_sweep_leaves_alone_what_is_being_filled(store: HoldStore, tmp_path: Path) -> None:
    with store.filling("rita") as writer:
        writer.add(line("2.25.1", 1), [b"x"], Picture())
        assert HoldStore(tmp_path / "holds").sweep() == []
        assert store.holds() == []
        hold = writer.finish({})

    assert store.find(hold.hold_id) == hold


def test_a_process_killed_between_files_leaves_nothing_visible_and_is_swept(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from p2d.export.hold import HoldStore; from p2d.export.held import Picture\n"
        "with HoldStore(Path(sys.argv[1])).filling('rita') as writer:\n"
        "    writer.add({'series': '2.25.1', 'file': 'a'}, [b'x'], Picture())\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    left = [path.name for path in tmp_path.iterdir() if path.name != "hold.key"]

    assert killed.returncode == -signal.SIGKILL
    assert len(left) == 1
    store = HoldStore(tmp_path)
    assert store.holds() == []
    assert [path.name for path in tmp_path.iterdir()] == ["hold.key"]


def test_series_are_decided_once_all_or_none(store: HoldStore) -> None:
    hold = held(store)
    rejected = Decision(Standing.REJECTED, Objection.TEXT, "otto", 1.0)
    with pytest.raises(NotFound):
        store.decide(hold.hold_id, ["2.25.0", "2.25.77"], rejected)

    decided = store.decide(hold.hold_id, ["2.25.0"], rejected)

    assert store.find(hold.hold_id) == decided
    assert (decided.images(Standing.REJECTED), decided.images(Standing.PENDING)) == (2, 1)
    with pytest.raises(Refused):
        store.decide(hold.hold_id, ["2.25.0", "2.25.1"], APPROVED)
    assert store.find(hold.hold_id).images(Standing.PENDING) == 1


def test_of_many_decisions_at_once_one_counts(store: HoldStore) -> None:
    hold = held(store)

    def decides(user: str) -> bool:
        try:
            store.decide(hold.hold_id, ["2.25.0"], Decision(Standing.APPROVED, None, user, 1.0))
        except Refused:
            return False
        return True

    users = [f"officer{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        counted = [user for user, done in zip(users, pool.map(decides, users), strict=True) if done]

    assert [store.find(hold.hold_id).decisions["2.25.0"].by] == counted


@pytest.mark.parametrize(
    "name", ["", "..", "H123", "Hzzzzzzzzzzzzzzzz", "H0123456789abcdef", "../H0123456789abcdef"]
)
def test_other_names_are_no_holds(store: HoldStore, name: str) -> None:
    with pytest.raises(NotFound):
        store.find(name)
