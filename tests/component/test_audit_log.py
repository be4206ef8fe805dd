"""The audit chain: what was asked and what became of it; every change shows; no record, no data."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2d.audit.chain import GENESIS, seal
from p2d.audit.log import AuditLog, head, verify
from p2d.model.errors import InvalidRequest, Misconfigured, NotFound, Unavailable

ASKED = {"identifiers": ["patient:P-ANNA"], "scope": "basic"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.jsonl"


def filled(path: Path, queries: int = 3) -> bytes:
    log = AuditLog(path)
    for number in range(queries):
        with log.query(action="metadata", user="ruth", session="S1", subject=ASKED) as entry:
            entry.outcome(series=number)
    return path.read_bytes()


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_intent_is_on_disk_before_the_block_and_the_outcome_after_it(path: Path) -> None:
    log = AuditLog(path, lambda: 0.0)

    with log.query(action="images", user="ruth", session="S1", subject=ASKED) as entry:
        before = records(path)
        entry.outcome(released=7)
        entry.outcome(withheld=1)

    (intent,) = before
    outcome = records(path)[1]
    assert (intent["kind"], intent["action"], intent["user"], intent["session"], intent["subject"]) == (
        "intent", "images", "ruth", "S1", ASKED,
    )  # fmt: skip
    assert intent["at"] == "1970-01-01T00:00:00.000+00:00"
    assert intent["previous"] == GENESIS
    assert (outcome["kind"], outcome["outcome"], outcome["counts"]) == (
        "outcome", "ok", {"released": 7, "withheld": 1},
    )  # fmt: skip
    assert outcome["query"] == intent["query"] == entry.query
    assert outcome["previous"] == intent["hash"]


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (NotFound("identifiers", "MARY SHELLEY"), "NotFound"),
        (ValueError("MARY SHELLEY"), "Internal"),
        (KeyboardInterrupt("MARY SHELLEY"), "Cancelled"),
    ],
)
def test_an_error_is_recorded_by_its_family_never_by_its_message(
    path: Path, error: BaseException, family: str
) -> None:
    with pytest.raises(type(error)), AuditLog(path).query(action="a", user="u", session="", subject={}):
        raise error

    assert records(path)[1]["outcome"] == "error"
    assert records(path)[1]["error"] == family
    assert "MARY" not in path.read_text()


def test_a_query_without_outcome_shows_as_interrupted(path: Path) -> None:
    filled(path)

    AuditLog(path).begin(action="images", user="ruth", session="S1", subject=ASKED)

    found = verify(path)
    assert (found.is_good, found.records, found.interrupted) == (True, 7, 1)


def test_an_entry_closes_once(path: Path) -> None:
    entry = AuditLog(path).begin(action="images", user="ruth", session="S1", subject=ASKED)
    entry.close()

    entry.close(ValueError())

    assert verify(path).records == 2


def test_a_single_event_is_recorded(path: Path) -> None:
    AuditLog(path).record("refused", user="ruth", subject={"field": "role"})

    assert records(path)[0]["kind"] == "event"
    assert verify(path).interrupted == 0


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_any_changed_byte_is_found_in_its_record(path: Path, place: int, flip: int) -> None:
    content = bytearray(filled(path.with_name("seed")) if not path.exists() else path.read_bytes())
    path.write_bytes(content)
    place %= len(content)
    number = bytes(content[:place]).count(b"\n") + 1
    content[place] ^= flip
    changed = path.with_name("changed")
    changed.write_bytes(content)

    found = verify(changed)

    assert found.first_bad == number
    assert found.records == number - 1
    assert found.reason


@pytest.mark.parametrize(
    ("change", "first_bad"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: lines[:2] + lines[3:], 3),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (lambda lines: [*lines[:2], b"\n", *lines[2:]], 3),
        (lambda lines: [*lines[:2], b"[" * 100_000 + b"\n", *lines[2:]], 3),
        (lambda lines: [*lines[:2], seal({"seq": 3, "kind": "event", "query": "x"})[0], *lines[2:]], 3),
        (lambda lines: [seal({"seq": 1, "previous": GENESIS})[0], *lines], 1),
    ],
)
def test_removed_moved_and_inserted_records_are_found(
    path: Path, change: Callable[[list[bytes]], list[bytes]], first_bad: int
) -> None:
    lines = filled(path).splitlines(keepends=True)

    path.write_bytes(b"".join(change(lines)))

    assert verify(path).first_bad == first_bad


def test_a_cut_end_is_found_with_a_noted_head_only(path: Path) -> None:
    lines = filled(path).splitlines(keepends=True)
    noted = head(path)
    path.write_bytes(b"".join(lines[:-2]))

    assert verify(path).is_good
    assert verify(path, noted).first_bad == 5


def test_a_noted_head_stays_good_while_the_log_grows(path: Path) -> None:
    filled(path)
    noted = head(path)
    filled(path)

    assert verify(path, noted).is_good
    assert verify(path, noted).head == head(path)


def test_an_empty_log_is_good_and_has_the_first_head(path: Path) -> None:
    filled(path)
    path.write_bytes(b"")

    assert head(path) == GENESIS
    assert verify(path, GENESIS).is_good


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_record_is_set_aside_and_noted_in_the_next(path: Path, kept: int) -> None:
    lines = filled(path).splitlines(keepends=True)
    torn = lines[-1][:kept]
    path.write_bytes(b"".join(lines[:-1]) + torn)
    assert verify(path).first_bad == 6

    AuditLog(path).record("next")

    found = verify(path)
    recovery = records(path)[5]
    assert (found.is_good, found.records) == (True, 7)
    assert recovery["action"] == "recover"
    assert isinstance(recovery["subject"], dict)
    assert path.with_name(str(recovery["subject"]["file"])).read_bytes() == torn
    assert recovery["subject"]["torn_bytes"] == len(torn)


def test_a_log_that_is_torn_from_the_start_is_recovered(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"action":')

    AuditLog(path).record("next")

    assert verify(path).records == 2


def test_a_damaged_last_record_stops_all_queries(path: Path) -> None:
    content = filled(path)
    path.write_bytes(content[:-30] + b"x" + content[-29:])
    ran = []

    with (
        pytest.raises(Unavailable, match="damaged"),
        AuditLog(path).query(action="a", user="u", session="", subject={}),
    ):
        ran.append(1)

    assert not ran


def test_two_logs_on_one_file_make_one_chain(path: Path) -> None:
    one, other = AuditLog(path), AuditLog(path)

    for _ in range(5):
        one.record("one")
        other.record("other")

    assert verify(path).records == 10


def test_a_file_replaced_by_rotation_begins_a_new_chain(path: Path) -> None:
    log = AuditLog(path)
    log.record("before")
    path.rename(path.with_name("old"))

    log.record("after")

    assert verify(path).records == 1


def test_without_a_record_there_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    ran = []

    with (
        pytest.raises(Unavailable),
        AuditLog(tmp_path / "audit.jsonl").query(action="a", user="u", session="", subject={}),
    ):
        ran.append(1)

    assert not ran


def test_an_outcome_that_cannot_be_written_fails_the_query_but_hides_no_error(path: Path) -> None:
    log = AuditLog(path)
    first = log.begin(action="a", user="u", session="", subject={})
    second = log.begin(action="a", user="u", session="", subject={})
    path.rename(path.with_name("old"))
    path.mkdir()

    with pytest.raises(Unavailable):
        first.close()
    second.close(ValueError())

    assert verify(path.with_name("old")).interrupted == 2


def test_a_link_in_place_of_the_log_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Unavailable):
        AuditLog(path).record("a")


def test_a_folder_that_cannot_be_made_is_a_misconfiguration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Misconfigured):
        AuditLog(tmp_path / "file" / "audit.jsonl")


@pytest.mark.parametrize(
    "value",
    [{1, 2}, b"x", float("nan"), float("inf"), object(), {1: 2}, "two\nlines", "\x1b[2J", "x" * 257, [b"x"]],
)
def test_what_is_not_plain_is_refused_and_nothing_written(path: Path, value: object) -> None:
    log = AuditLog(path)

    with pytest.raises(InvalidRequest):
        log.begin(action="a", user="u", session="", subject={"value": value})

    entry = log.begin(action="a", user="u", session="", subject={})
    with pytest.raises(InvalidRequest):
        entry.outcome(value=value)
    assert verify(path).records == 1


def test_folder_and_file_are_their_owners_alone(path: Path) -> None:
    filled(path)

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_longer_than_a_read_is_found_again(path: Path) -> None:
    AuditLog(path).record("long", subject={"identifiers": [f"patient:P-{n}" for n in range(20_000)]})

    AuditLog(path).record("next")

    assert verify(path).records == 2
    assert head(path) == verify(path).head


def test_a_file_that_cannot_be_read_is_not_found(path: Path) -> None:
    with pytest.raises(NotFound):
        verify(path)
    with pytest.raises(NotFound):
        head(path)
