"""The report of a folder: sums that add up, reasons, each file by its number, counts by attribute."""

import json
from pathlib import Path
from typing import Any

from p2d.deid.profile.profile import Profile
from p2d.flows.gateway.folder.run import FolderResult
from p2d.model.errors import Unavailable


def report_of(result: FolderResult, profile: Profile) -> dict[str, Any]:
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
        "counts": result.tally.as_json(),
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


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write *report* to *path*, whole or not at all.

    Raises:
        Unavailable: not writable.

    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise Unavailable("--report", f"cannot be written ({error.strerror})", "name another file") from None
