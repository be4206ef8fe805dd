"""Seen studies and claims on either engine: seen when their patient is done, claimed by one at a time."""

from dataclasses import replace
from datetime import date

import pytest

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Ledger
from p2d.jobs.register import Finding, Inconsistency
from p2d.jobs.seen import SeenStudy, write_found
from p2d.jobs.store import Db
from p2d.testing.ledgers import Engine

ONE = SeenStudy("2.25.1", "P1", "main", 2, 12, ("CT", "SR"), date(2025, 3, 4), "basic all *")
TWO = SeenStudy("2.25.2", "P2", "main", None, None, (), None, "basic all *")


def opened(ledger: Ledger, *found: SeenStudy) -> str:
    def beside(db: Db, run_id: str) -> None:
        write_found(db, run_id, found)

    patients = sorted({one.patient for one in found})
    return ledger.open_run("sync", {}, patients, "olaf", beside=beside)


def done(ledger: Ledger, run: str, patient: str) -> None:
    ledger.record(run, f"{run}-{patient}", patient, [SeriesCounts(patient, "s", "t", 1, 1, 1)])
    ledger.loaded(run, f"{run}-{patient}")


def test_a_study_is_seen_when_its_patient_is_done_and_not_before(ledger: Ledger) -> None:
    run = opened(ledger, ONE, TWO)
    ledger.seen.settle(run)
    assert ledger.seen.of(["2.25.1", "2.25.2"]) == []
    assert ledger.seen.unsettled() == [run]

    done(ledger, run, "P1")
    for _ in range(2):
        ledger.seen.settle(run)
        assert ledger.seen.of(["2.25.1", "2.25.2"]) == [replace(ONE, run_id=run)]
    ledger.fail(run, "P2", "Unavailable", attempts_allowed=1)
    ledger.seen.settle(run)
    ledger.close_run(run)

    assert ledger.seen.unsettled() == []
    assert len(ledger.seen.of(["2.25.2"])) == 0


def test_what_is_dropped_is_neither_seen_nor_waited_for(ledger: Ledger) -> None:
    run = opened(ledger, ONE, TWO)
    done(ledger, run, "P2")
    ledger.orders.cancel(run)
    ledger.close_run(run)

    ledger.seen.settle(run, drop=True)

    assert ledger.seen.unsettled() == []
    assert [one.key for one in ledger.seen.of(["2.25.1", "2.25.2"])] == [TWO.key]


def test_a_later_run_replaces_numbers_and_keeps_the_mark_until_it_is_taken_away(ledger: Ledger) -> None:
    first = opened(ledger, ONE)
    done(ledger, first, "P1")
    ledger.seen.settle(first)
    ledger.seen.note_presence(first, [ONE], [], [Finding(Inconsistency.GONE, "P1", "2.25.1")])
    assert [one.is_gone for one in ledger.seen.of(["2.25.1"])] == [True]
    assert ledger.report(first, recount=True).inconsistencies == {"gone": 1}
    assert ledger.report(first, recount=True).lines_adding_up

    again = opened(ledger, replace(ONE, instances=14))
    done(ledger, again, "P1")
    ledger.seen.settle(again)
    assert ledger.seen.of(["2.25.1"]) == [replace(ONE, instances=14, run_id=again, is_gone=True)]

    ledger.seen.note_presence(again, [], [ONE], [])
    ledger.seen.move([replace(ONE, day=None)])
    assert ledger.seen.of(["2.25.1"]) == [replace(ONE, instances=14, run_id=again, day=None)]


def test_all_that_was_seen_comes_in_pages_of_whole_patients(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2d.jobs.seen._PAGE", 2)
    several = [
        replace(ONE, patient=f"P{number}", study=f"2.25.{number}{part}")
        for number in range(5)
        for part in range(2)
    ]
    run = opened(ledger, *several)
    for number in range(5):
        done(ledger, run, f"P{number}")
    ledger.seen.settle(run)

    pages = list(ledger.seen.by_patient())

    assert [len(page) for page in pages] == [4, 4, 2]
    assert {one.key for page in pages for one in page} == {one.key for one in several}


def test_a_claim_is_one_workers_until_it_ends(engine: Engine) -> None:
    here, there = engine.ledger().claims("sync"), engine.ledger().claims("sync")

    assert here.take("w1", 60)
    assert not there.take("w2", 60)
    assert there.is_taken()
    engine.clock.pass_(40)
    assert here.renew("w1", 60)
    engine.clock.pass_(40)
    assert not there.take("w2", 60)
    here.give_back("w1")
    assert not there.is_taken()
    assert there.take("w2", 60)
    assert not here.renew("w1", 60)


def test_a_claim_that_ran_out_goes_to_who_asks_next(engine: Engine) -> None:
    claims = engine.ledger().claims("sync")
    claims.take("w1", 60)
    engine.clock.pass_(61)

    assert not claims.is_taken()
    assert claims.take("w2", 60)
    claims.give_back("w1")
    assert claims.is_taken()


def test_what_was_done_last_is_known_to_others_and_outlives_the_claim(engine: Engine) -> None:
    claims = engine.ledger().claims("sync")
    assert claims.noted() == ""
    claims.take("w1", 60)
    claims.note("2026-11-26")
    claims.give_back("w1")

    assert engine.ledger().claims("sync").noted() == "2026-11-26"
    assert engine.ledger().claims("other").noted() == ""
