"""Fail when a pytest report (JUnit XML) holds no test, a skipped or a failed one; names the skipped."""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def complaints(report: str) -> list[str]:
    """Return what speaks against the run in *report*, an XML text; empty when all tests ran and passed."""
    cases = list(ET.fromstring(report).iter("testcase"))  # noqa: S314 - our own pytest wrote it
    found = [] if cases else ["no test ran"]
    for case in cases:
        name = f"{case.get('classname')}::{case.get('name')}"
        found += [f"skipped: {name}: {skip.get('message')}" for skip in case.findall("skipped")]
        found += [f"failed: {name}" for kind in ("failure", "error") if case.find(kind) is not None]
    return found


if __name__ == "__main__":
    problems = complaints(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(problems), file=sys.stderr)
    sys.exit(1 if problems else 0)
