"""De-identification reports: of a bulk run from its ledger, of a request for images beside the images."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.profile.profile import Profile
from p2d.deid.report.document import Document, ReviewSums, RunFacts, Sums, described, document
from p2d.deid.report.page import page
from p2d.deid.report.tally import DeidTally
from p2d.export.zip import Member
from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Entry
from p2d.model.level import Calendar, Scope

DOCUMENT: Final = "deidentification.json"
PAGE: Final = "deidentification.html"
_PROFILE: Final = "profile "


@dataclass(slots=True)
class ImageRun:
    """One request for images, filled while it is worked: who asked, ledger lines, counts of attributes.

    ``query`` is the id of its records in the audit; ``started_at`` is in seconds since the epoch;
    ``entries`` are the ledger's, one a patient.
    """

    query: str = ""
    user: str = ""
    started_at: float = field(default_factory=time.time)
    lines: list[SeriesCounts] = field(default_factory=list)
    tally: DeidTally = field(default_factory=DeidTally)
    entries: list[Entry] = field(default_factory=list)


def profile_of(gateway: Gateway) -> dict[str, object]:
    """Return what a report says of the profile that *gateway* works by now."""
    return described(gateway.profile, true_dates=gateway.calendar is Calendar.TRUE)


def describe_run(gateway: Gateway, run_id: str) -> None:
    """Keep the profile beside the run; a run that goes on under another profile names both."""
    profile: Profile = gateway.profile
    gateway.ledger.describe(run_id, _PROFILE + profile.version, json.dumps(profile_of(gateway)))


def report_of_run(gateway: Gateway, run_id: str) -> Document:
    """Return the report of a bulk run as its ledger stands.

    Raises:
        NotFound: no such run.

    """
    report = gateway.ledger.report(run_id)
    counters, kept = gateway.ledger.counted(run_id)
    profiles = [json.loads(text) for name, text in kept.items() if name.startswith(_PROFILE)]
    is_extended = report.request.get("scope") == str(Scope.EXTENDED)
    facts = RunFacts(
        run=run_id,
        kind=report.kind,
        user=report.user,
        started_at=report.started_at,
        ended_at=report.updated_at,
        objects="whole headers" if is_extended else "answers of the archive",
        state=report.state,
    )
    sums = Sums(
        report.received, report.released, report.withheld, report.missing, report.duplicate, report.refused
    )
    return document(facts, profiles, DeidTally.of_counters(counters), sums)


def image_sums(lines: list[SeriesCounts], moved: Mapping[str, int]) -> Sums:
    """Return the sums of *lines*; *moved* are images that were released there and stay, by reason."""
    withheld: dict[str, int] = {}
    for reason, images in [pair for line in lines for pair in line.withheld.items()]:
        withheld[reason] = withheld.get(reason, 0) + images
    for reason, images in moved.items():
        if images:
            withheld[reason] = withheld.get(reason, 0) + images
    return Sums(
        received=sum(line.received for line in lines),
        released=sum(line.released for line in lines) - sum(moved.values()),
        withheld=withheld,
        missing=sum(line.missing for line in lines),
        duplicate=sum(line.duplicate for line in lines),
        refused=sum(line.refused for line in lines),
    )


def report_members(
    run: ImageRun, profile: Mapping[str, object], sums: Sums, review: ReviewSums | None = None
) -> list[Member]:
    """Return the report of *run* as two files of a download."""
    facts = RunFacts(run.query, "images", run.user, run.started_at, time.time())
    made = document(facts, [profile], run.tally, sums, review)
    return [Member(DOCUMENT, made.content), Member(PAGE, page(made).encode())]
