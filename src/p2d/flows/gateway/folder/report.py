"""The report of a folder: sums that add up, reasons, each file by its number, counts by attribute."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from p2d.deid.profile.profile import Profile
from p2d.deid.report.document import Document, RunFacts, Sums, described, document
from p2d.deid.report.page import page
from p2d.flows.gateway.folder.run import FolderResult
from p2d.model.errors import Unavailable


def report_of(result: FolderResult, profile: Profile, made: Document) -> dict[str, Any]:
    """Return the report as JSON-like data; files are numbered in the order of their names, which it omits."""
    withheld = result.withheld
    return {
        "p2d deid report": 1,
        "profile": {
            "name": profile.name,
            "version": profile.version,
            "mode": str(profile.mode),
            "options": sorted(option.code for option in profile.options),
        },
        "key space": "project",
        "patients": result.patients,
        "received": len(result.files),
        "released": result.released,
        "withheld": {
            "total": withheld.total(),
            "reasons": {str(reason): count for reason, count in sorted(withheld.items())},
        },
        "complete": result.is_complete,
        "deidentification": made.body,
        "files": [
            {
                "number": outcome.number,
                "outcome": "withheld" if outcome.reason else "released",
                "reason": str(outcome.reason) if outcome.reason else None,
                "output": outcome.output or None,
            }
            for outcome in result.files
        ],
    }


def document_of(result: FolderResult, profile: Profile) -> Document:
    """Return the de-identification report of the run, as a data protection officer reads it."""
    started = datetime.fromtimestamp(result.started_at, UTC)
    facts = RunFacts(
        run=f"folder {started:%Y-%m-%dT%H:%M:%SZ}",
        kind="folder",
        user="local",
        started_at=result.started_at,
        ended_at=time.time(),
        objects="files",
    )
    reasons = {str(reason): count for reason, count in sorted(result.withheld.items())}
    sums = Sums(len(result.files), result.released, reasons)
    return document(facts, [described(profile, true_dates=False)], result.tally, sums)


def write_report(path: Path, result: FolderResult, profile: Profile) -> None:
    """Write the report to *path* and beside it the page to sign, whole or not at all.

    Raises:
        Unavailable: not writable.

    """
    made = document_of(result, profile)
    report = report_of(result, profile, made)
    try:
        for target, text in (
            (path, json.dumps(report, indent=1, ensure_ascii=False) + "\n"),
            (path.with_suffix(".html"), page(made)),
        ):
            part = target.with_name(f".{target.name}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(target)
    except OSError as error:
        raise Unavailable("--report", f"cannot be written ({error.strerror})", "name another file") from None
