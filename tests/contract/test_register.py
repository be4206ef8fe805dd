"""The inconsistency register on either engine: kept with its patient, counted, queried, gone with a retry."""

from collections import Counter

import pytest

from p2d.jobs.completeness import rows
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Entry, Ledger
from p2d.jobs.register import Finding, Inconsistency, as_table
from p2d.jobs.report import render
from p2d.model.errors import NotFound

LOST = Finding(Inconsistency.NEVER_ARRIVED, "P1", "2.25.1", "2.25.2", "2.25.3")
ODD = Finding(Inconsistency.HEADER_DISAGREES, "P1", "2.25.1", "2.25.2", "2.25.4", "Modality")
COUNT = Finding(Inconsistency.COUNT_DISAGREES, "P2", "2.25.5", "2.25.6", times=4)


def line(patient: str) -> SeriesCounts:
    return SeriesCounts(patient, "2.25.1", "2.25.2", 3, 2, 2)


@pytest.fixture
def run(ledger: Ledger) -> str:
    run_id = ledger.open_run("bulk", {}, ["P1", "P2"], "olaf")
    ledger.record_all(
        run_id,
        "b1",
        [
            Entry("P1", [line("P1")], findings=[LOST, ODD]),
            Entry("P2", [line("P2")], findings=[COUNT]),
        ],
    )
    return run_id


def test_findings_are_kept_as_they_were_and_asked_for_by_kind_and_patient(ledger: Ledger, run: str) -> None:
    assert list(ledger.findings(run)) == [LOST, ODD, COUNT]
    assert list(ledger.findings(run, str(Inconsistency.NEVER_ARRIVED))) == [LOST]
    assert list(ledger.findings(run, patient="P2")) == [COUNT]
    assert list(ledger.findings(run, str(Inconsistency.GONE), "P2")) == []


def test_the_report_counts_them_by_kind_and_a_recount_agrees(ledger: Ledger, run: str) -> None:
    report = ledger.report(run, recount=True)

    assert Counter(report.inconsistencies) == Counter(
        {"never arrived": 1, "header disagrees": 1, "count disagrees": 1}
    )
    assert report.lines_adding_up
    assert "count disagrees" in render(report)


def test_they_leave_with_what_is_forgotten_or_failed(ledger: Ledger, run: str) -> None:
    ledger.forget(run, "b1")
    assert list(ledger.findings(run)) == []
    assert ledger.report(run, recount=True).inconsistencies == {}

    ledger.record_all(run, "b2", [Entry("P1", [line("P1")], findings=[ODD])])
    ledger.fail(run, "P1", "Unavailable: pacs", attempts_allowed=3)
    assert list(ledger.findings(run)) == []
    assert ledger.report(run, recount=True).lines_adding_up


def test_lines_tell_the_failed_attempts_of_their_patient(ledger: Ledger, run: str) -> None:
    ledger.forget(run, "b1")
    ledger.fail(run, "P1", "Unavailable: pacs", attempts_allowed=3)
    ledger.record_all(run, "b3", [Entry("P1", [line("P1")]), Entry("P2", [line("P2")])])

    found = list(rows(ledger.lines_and_retries(run)))
    assert [(row["patient"], row["retries"], row["missing"]) for row in found] == [("P1", 1, 1), ("P2", 0, 1)]


def test_a_run_that_is_not_there_has_no_register(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.findings("R0")


def test_more_findings_than_a_page_are_all_returned(
    ledger: Ledger, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2d.jobs.register._PAGE", 2)

    assert list(ledger.findings(run)) == [LOST, ODD, COUNT]


def test_as_a_table_each_is_a_row(ledger: Ledger, run: str) -> None:
    text = "".join(as_table(ledger.findings(run, patient="P1")))

    assert text.splitlines() == [
        "kind,patient,study,series,instance,attribute,times",
        "never arrived,P1,2.25.1,2.25.2,2.25.3,,1",
        "header disagrees,P1,2.25.1,2.25.2,2.25.4,Modality,1",
    ]


def test_an_answered_query_is_booked_whole_and_is_no_run(ledger: Ledger) -> None:
    entries = [Entry("P1", [line("P1")], ["late"], findings=[LOST]), Entry("P3", [])]

    query = ledger.book("metadata", {"scope": "basic"}, entries, "rita")

    report = ledger.report(query, recount=True)
    assert (report.kind, report.user, report.state) == ("metadata", "rita", "incomplete")
    assert (report.patients.done, report.patients.absent, report.missing) == (1, 1, 1)
    assert (report.adds_up, report.notes) == (True, ("late",))
    assert list(ledger.findings(query)) == [LOST]
    assert (ledger.runs(), ledger.leases.runs()) == ([], [])
    with pytest.raises(NotFound):
        ledger.lines_and_retries("Q0").__next__()


def test_a_query_that_found_all_it_expected_is_complete(ledger: Ledger) -> None:
    whole = SeriesCounts("P1", "2.25.1", "2.25.2", 3, 3, 3)

    assert ledger.state(ledger.book("images", {}, [Entry("P1", [whole])], "rita")) == "completed"
    assert ledger.state(ledger.book("images", {}, [], "rita")) == "completed"
