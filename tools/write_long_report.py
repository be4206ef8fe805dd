#!/usr/bin/env python3
"""Write docs/reference/long-tests.md from the JUnit report of the second test tier: when, at which commit.

Usage: tools/write_long_report.py REPORT.xml
"""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "reference" / "long-tests.md"


def main() -> int:
    """Write the page from the report that the first argument names."""
    (suite,) = ET.parse(sys.argv[1]).getroot().iter("testsuite")  # noqa: S314 - pytest's own file
    counts = ", ".join(f"{suite.get(name)} {name}" for name in ("tests", "failures", "errors", "skipped"))
    day, seconds = str(suite.get("timestamp"))[:10], float(suite.get("time", 0))
    rows = sorted(_row(case) for case in suite.iter("testcase"))
    lines = [
        "# Long tests",
        "",
        "The last run of the second tier, `make test-long`, which writes this page.",
        "",
        f"{day}, commit {_commit()}: {counts}; {seconds:,.0f} s.",
        "",
        "| test | outcome | seconds |",
        "|---|---|---|",
        *rows,
    ]
    _PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _row(case: ET.Element) -> str:
    name = f"{str(case.get('classname')).removeprefix('tests.')}::{case.get('name')}"
    return f"| `{name}` | {_outcome(case)} | {float(case.get('time', 0)):,.0f} |"


def _outcome(case: ET.Element) -> str:
    return next((one for one in ("failure", "error", "skipped") if case.find(one) is not None), "passed")


if __name__ == "__main__":
    sys.exit(main())
