"""Windows, breaker, stepping back, repetition: the governor's rules on a clock of the test's own."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from p2d.pacs.governor.adaptive import CLEAN_SECONDS, LEAST, Adaptive
from p2d.pacs.governor.book import Book, new_book
from p2d.pacs.governor.breaker import Breaker, State
from p2d.pacs.governor.port import (
    Ask,
    Ending,
    Latency,
    Lease,
    Operation,
    Report,
    Resource,
    Wait,
    Why,
    WorkClass,
)
from p2d.pacs.governor.retry import backoff
from p2d.pacs.governor.state import plain, restart, state_of
from p2d.pacs.governor.timetable import Timetable
from p2d.settings.governor import Governing, Windows

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday


def nights(*spans: str, holidays: frozenset[date] = frozenset()) -> Timetable:
    return Timetable(Windows(bulk=spans, time_zone="Europe/Berlin", holidays=holidays))


def is_open(timetable: Timetable, year: int, *rest: int, fold: int = 0) -> bool:
    month, day, hour, minute = rest
    at = datetime(year, month, day, hour, minute, tzinfo=BERLIN, fold=fold)
    return timetable.is_open(WorkClass.BULK, at.astimezone(UTC))


def find(work_class: WorkClass = WorkClass.BULK, ticket: str = "t", **more: object) -> Ask:
    return Ask(work_class, Operation.FIND, ticket, {Resource.QUERIES: 1}, **more)  # type: ignore[arg-type]  # fields of Ask


def book(**more: object) -> Book:
    return new_book("main", Governing.model_validate(more), 0.0)


def lease(of: Book, ask: Ask, now: float) -> Lease:
    answer = of.ask(ask, "me", now, NOON)
    assert isinstance(answer, Lease)
    return answer


def test_a_window_past_midnight_belongs_to_the_day_it_begins_on() -> None:
    timetable = nights("mon-fri 19:00-06:30")

    assert is_open(timetable, 2026, 3, 2, 19, 0)
    assert is_open(timetable, 2026, 3, 3, 6, 29)
    assert not is_open(timetable, 2026, 3, 3, 6, 30)
    assert is_open(timetable, 2026, 3, 7, 6, 29)  # Saturday morning is Friday's night
    assert not is_open(timetable, 2026, 3, 7, 19, 0)
    assert not is_open(timetable, 2026, 3, 2, 6, 0)  # Sunday night was not allowed


def test_a_holiday_counts_as_a_sunday() -> None:
    timetable = nights("sun 00:00-24:00", holidays=frozenset({date(2026, 12, 25)}))

    assert is_open(timetable, 2026, 12, 25, 12, 0)
    assert not is_open(timetable, 2026, 12, 24, 12, 0)


def test_local_time_decides_when_clocks_change() -> None:
    timetable = nights("daily 02:15-04:00")

    spring = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 02:00 becomes 03:00: the window begins at 03:00
    assert not timetable.is_open(WorkClass.BULK, spring - timedelta(minutes=1))
    assert timetable.is_open(WorkClass.BULK, spring)
    assert timetable.changes_at(WorkClass.BULK, spring - timedelta(minutes=30)) == spring
    assert timetable.changes_at(WorkClass.BULK, spring) == spring + timedelta(hours=1)
    assert is_open(timetable, 2026, 10, 25, 2, 30, fold=0)  # 02:30 comes twice
    assert not is_open(timetable, 2026, 10, 25, 2, 0, fold=1)  # and so does 02:00
    assert is_open(timetable, 2026, 10, 25, 2, 30, fold=1)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 2, 28), date(2028, 2, 29)])
def test_a_night_shift_lasts_its_local_hours_whatever_the_clocks_do(day: date) -> None:
    timetable = nights("daily 22:00-06:00")
    noon = datetime.combine(day - timedelta(days=1), datetime.min.time(), BERLIN).replace(hour=12)

    opens = timetable.changes_at(WorkClass.BULK, noon.astimezone(UTC))
    closes = opens and timetable.changes_at(WorkClass.BULK, opens)

    assert opens
    assert closes
    assert opens.astimezone(BERLIN).strftime("%H:%M") == "22:00"
    assert closes.astimezone(BERLIN).strftime("%H:%M") == "06:00"


spans = st.builds(
    lambda first, last, start, end: (
        f"{first}-{last} {start:02}:{end % 60:02}-{end % 24:02}:{start * 7 % 60:02}"
    ),
    *[st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])] * 2,
    st.integers(0, 23),
    st.integers(0, 300),
).filter(lambda text: text.split()[1].split("-")[0] != text.split()[1].split("-")[1])


@given(
    st.lists(spans, min_size=1, max_size=3),
    st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]),
    st.datetimes(datetime(2026, 3, 20), datetime(2026, 11, 5)),  # noqa: DTZ001 - made aware below
)
@settings(max_examples=30, deadline=None)
def test_a_change_is_the_first_minute_that_differs(some: list[str], zone: str, start: datetime) -> None:
    timetable = Timetable(Windows(bulk=tuple(some), time_zone=zone))
    start = start.replace(tzinfo=UTC, second=0, microsecond=0)
    now = timetable.is_open(WorkClass.BULK, start)

    found = timetable.changes_at(WorkClass.BULK, start)

    minutes = (start + timedelta(minutes=n) for n in range(1, 3000))
    first = next((one for one in minutes if timetable.is_open(WorkClass.BULK, one) is not now), None)
    if first is not None:
        assert found == first


@pytest.mark.parametrize(
    "wrong",
    [
        {"bulk": ["nights"]},
        {"bulk": ["mon 10:00-10:00"]},
        {"bulk": ["mon 24:00-25:00"]},
        {"bulk": ["mo 10:00-11:00"]},
        {"bulk": ["mon 10:61-11:00"]},
        {"time_zone": "Middle/Earth"},
        {"time_zone": "../../etc/passwd"},
    ],
)
def test_a_window_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Windows.model_validate({"time_zone": "UTC", **wrong})


def test_hours_without_a_time_zone_are_refused() -> None:
    with pytest.raises(ValidationError, match="time_zone"):
        Windows(bulk=("daily 20:00-06:00",))


def test_a_closed_window_makes_bulk_wait_but_lets_a_begun_study_end() -> None:
    of = book(windows={"bulk": ["mon-fri 19:00-06:00"], "time_zone": "Europe/Berlin"})

    closed = of.ask(find(), "me", 60.0, NOON)

    assert closed == Wait(6 * 3600, Why.WINDOW)
    assert isinstance(of.ask(find(continues=True), "me", 60.0, NOON), Lease)
    assert isinstance(of.ask(find(WorkClass.INTERACTIVE), "me", 61.0, NOON), Lease)


def test_an_empty_window_never_opens() -> None:
    of = book(windows={"export": []})

    assert of.ask(find(WorkClass.EXPORT), "me", 60.0, NOON) == Wait(5.0, Why.WINDOW)


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    breaker = Breaker(failures=3, open_seconds=30)
    for now in (0, 1):
        breaker.ended("x", now, well=False)
    breaker.ended("x", 2, well=True)
    for now in (3, 4):
        breaker.ended("x", now, well=False)
    assert breaker.state(4) is State.CLOSED

    breaker.ended("x", 5, well=False)

    assert breaker.state(5) is State.OPEN
    assert breaker.wait(5) == 30
    assert breaker.state(35) is State.HALF_OPEN
    breaker.probe = "p"
    assert breaker.wait(35) > 0
    breaker.ended("other", 36, well=True)  # an operation from before says nothing
    assert breaker.state(36) is State.HALF_OPEN
    breaker.ended("p", 36, well=True)
    assert breaker.state(36) is State.CLOSED


def test_a_failed_probe_doubles_the_pause_up_to_a_limit() -> None:
    breaker = Breaker(failures=1, open_seconds=10)
    breaker.ended("x", 0, well=False)
    pauses = []
    now = 0.0
    for _ in range(7):
        pauses.append(breaker.until - now)
        now = breaker.until
        breaker.probe = "p"
        breaker.ended("p", now, well=False)

    assert pauses == [10, 20, 40, 80, 160, 160, 160]


def test_failures_of_one_operation_leave_the_others_alone() -> None:
    of = book(failures=2, open_seconds=30)
    for now in (10.0, 20.0):
        one = of.ask(Ask(WorkClass.BULK, Operation.RETRIEVE, "r", {Resource.IMAGES: 1}), "me", now, NOON)
        assert isinstance(one, Lease)
        of.report(one.lease_id, Report(ending=Ending.FAILED), "me", now, NOON)

    retrieve = of.ask(Ask(WorkClass.BULK, Operation.RETRIEVE, "r", {}), "me", 21.0, NOON)

    assert retrieve == Wait(29.0, Why.BREAKER)
    assert isinstance(of.ask(find(), "me", 21.0, NOON), Lease)


def test_the_probe_of_a_half_open_breaker_says_so_and_is_alone() -> None:
    of = book(failures=1, open_seconds=10)
    of.report(lease(of, find(), 10.0).lease_id, Report(ending=Ending.FAILED), "me", 10.0, NOON)

    probe = lease(of, find(), 30.0)

    assert probe.is_probe
    assert isinstance(of.ask(find(ticket="u"), "me", 30.0, NOON), Wait)
    of.report(probe.lease_id, Report({Resource.QUERIES: 1}, ending=Ending.DONE), "me", 31.0, NOON)
    assert not lease(of, find(ticket="u"), 31.0).is_probe


def test_trouble_halves_and_clean_minutes_add_steps_up_to_the_caps() -> None:
    adaptive = Adaptive()
    for now in (100, 101, 120, 140, 160, 180, 200):
        adaptive.trouble(now)
    assert adaptive.factor == LEAST

    factors = []
    for minute in range(1, 12):
        adaptive.recover(200 + minute * CLEAN_SECONDS)
        factors.append(adaptive.factor)

    assert factors == sorted(factors)
    assert factors[0] == LEAST + 1 / 8
    assert factors[-1] == 1.0


@given(
    st.lists(
        st.tuples(st.sampled_from(["trouble", "saw", "recover"]), st.floats(0, 300), st.floats(0.0001, 1000)),
        max_size=200,
    )
)
@settings(max_examples=50, deadline=None)
def test_whatever_is_seen_the_factor_stays_between_a_sixteenth_and_the_caps(
    events: list[tuple[str, float, float]],
) -> None:
    adaptive, now = Adaptive(), 0.0
    for kind, seconds, latency in events:
        now += seconds
        if kind == "trouble":
            adaptive.trouble(now)
        elif kind == "saw":
            adaptive.saw(Latency.ANSWER, latency, 3, now)
        adaptive.recover(now)

        assert LEAST <= adaptive.factor <= 1.0


def test_an_archive_twice_as_slow_as_usual_for_this_hour_is_left_alone() -> None:
    adaptive, dice = Adaptive(), random.Random(1)  # noqa: S311 - a simulation is to be repeatable
    for second in range(200):
        adaptive.saw(Latency.ANSWER, dice.uniform(4, 6), 10, second)  # always slow at ten
    for second in range(200, 400):
        adaptive.saw(Latency.ANSWER, dice.uniform(0.8, 1.2), 3, second)
    assert adaptive.factor == 1.0

    for second in range(400, 410):
        adaptive.saw(Latency.ANSWER, 3.0, 10, second)
    assert adaptive.factor == 1.0  # quick for ten o'clock
    for second in range(410, 420):
        adaptive.saw(Latency.ANSWER, 3.0, 3, second)

    assert adaptive.factor == 0.5


def test_a_quick_archive_may_vary_by_more_than_twice() -> None:
    adaptive = Adaptive()
    for second in range(100):
        adaptive.saw(Latency.ANSWER, 0.005, 3, second)
    for second in range(100, 200):
        adaptive.saw(Latency.ANSWER, 0.05, 3, second)

    assert adaptive.factor == 1.0


def test_stepping_back_leaves_fewer_associations_and_slower_rates() -> None:
    of = book(limits={"associations": 4, "images_per_minute": 600})
    of.adaptive.trouble(0.0)

    assert of.allowed == 2
    of.tidy(1.0)
    assert of.buckets[Resource.IMAGES].level == pytest.approx(5.0)


def test_the_dead_give_their_associations_back_but_not_what_they_may_have_used() -> None:
    of = book(limits={"associations": 1, "queries_per_minute": 60, "burst_seconds": 10})
    lease(of, find(ahead=5), 10.0)
    assert isinstance(of.ask(find(ticket="u"), "you", 10.0, NOON), Wait)

    of.drop("me", 10.0)

    assert of.buckets[Resource.QUERIES].lent == 0
    assert of.buckets[Resource.QUERIES].level < 6
    assert isinstance(of.ask(find(WorkClass.INTERACTIVE, "u"), "you", 10.0, NOON), Lease)


def test_an_overdrawn_rate_is_paid_before_anything_is_admitted() -> None:
    of = book(limits={"megabytes_per_second": 1, "burst_seconds": 1})
    ask = Ask(WorkClass.INTERACTIVE, Operation.RETRIEVE, "r", {Resource.IMAGES: 1})
    one = lease(of, ask, 10.0)

    pause = of.report(one.lease_id, Report({Resource.IMAGES: 1, Resource.BYTES: 5e6}), "me", 10.0, NOON)
    of.report(one.lease_id, Report(ending=Ending.DONE), "me", 10.0, NOON)

    assert pause == pytest.approx(4.0, abs=0.5)
    assert isinstance(of.ask(ask, "me", 13.0, NOON), Wait)
    assert isinstance(of.ask(ask, "me", 15.0, NOON), Lease)


def test_the_size_of_images_is_learned() -> None:
    of = book()
    for now in range(10, 160):
        one = lease(of, Ask(WorkClass.BULK, Operation.RETRIEVE, "r", {Resource.IMAGES: 10}), now)
        used = {Resource.IMAGES: 10.0, Resource.BYTES: 10 * 30_000.0}
        of.report(one.lease_id, Report(used, ending=Ending.DONE), "me", now, NOON)

    ask = Ask(WorkClass.BULK, Operation.RETRIEVE, "r", {Resource.IMAGES: 10})

    assert lease(of, ask, 160).lent[Resource.BYTES] == pytest.approx(300_000, rel=0.1)


def test_the_load_tells_rates_shares_and_who_waits() -> None:
    of = book(limits={"queries_per_minute": 60, "associations": 1})
    one = lease(of, find(ahead=2), 10.0)
    of.ask(find(WorkClass.EXPORT, "u"), "you", 10.0, NOON)
    of.report(one.lease_id, Report({Resource.QUERIES: 3}), "me", 10.0, NOON)

    load = of.load(11.0, NOON)

    assert load.rates[Resource.QUERIES].last_minute == 3
    assert load.rates[Resource.QUERIES].share == pytest.approx(0.05)
    assert load.associations[WorkClass.BULK] == 1
    assert load.waiting[WorkClass.EXPORT] == 1
    assert load.totals[WorkClass.BULK, Resource.QUERIES] == 3
    assert of.load(11.0 + 120, NOON).rates[Resource.QUERIES].last_minute == 0
    assert of.load(11.0 + 120, NOON).rates[Resource.QUERIES].last_quarter == 3


@given(st.integers(-5, 10_000), st.randoms())
def test_a_pause_before_another_attempt_is_anything_up_to_a_limit(attempt: int, dice: random.Random) -> None:
    assert 0 <= backoff(attempt, dice) <= min(60.0, 2.0 * 2 ** min(max(attempt - 1, 0), 10))


def test_pauses_spread_out() -> None:
    dice = random.Random(1)  # noqa: S311 - as above
    pauses = [backoff(4, dice) for _ in range(400)]

    assert min(pauses) < 1
    assert max(pauses) > 15


def test_leases_of_before_a_restart_end_unless_their_holders_go_on() -> None:
    of = book(limits={"associations": 3})
    kept, gone = (lease(of, find(WorkClass.INTERACTIVE, str(i)), 10.0) for i in range(2))
    state, leases = state_of(of, 11.0), {one: plain(held) for one, held in of.leases.items()}
    after = book(limits={"associations": 3})
    restart(after, json.loads(json.dumps(state)), json.loads(json.dumps(leases)), 5.0)

    after.report(kept.lease_id, Report({Resource.QUERIES: 1}), "me", 6.0, NOON)

    assert after.load(14.0, NOON).associations[WorkClass.INTERACTIVE] == 2
    assert after.load(16.0, NOON).associations[WorkClass.INTERACTIVE] == 1
    with pytest.raises(LookupError):
        after.report(gone.lease_id, Report(), "you", 17.0, NOON)


def test_a_restart_keeps_debts_and_what_was_learned_but_nothing_that_was_saved_up() -> None:
    of = book(failures=1)
    of.tidy(100.0)
    of.buckets[Resource.BYTES].level = -5e6
    of.mean_bytes = 1234.0
    of.adaptive.trouble(100.0)
    of.breakers[Operation.FIND].ended("x", 100.0, well=False)
    after = book(failures=1)

    restart(after, json.loads(json.dumps(state_of(of, 100.0))), {}, 7.0)

    assert {one: b.level for one, b in after.buckets.items()} == {
        **dict.fromkeys(Resource, 0.0),
        Resource.BYTES: -5e6,
    }
    assert (after.mean_bytes, after.adaptive.factor) == (1234.0, 0.5)
    assert after.ask(find(), "me", 7.0, NOON) == Wait(30.0, Why.BREAKER)
