"""The most memory that the gateway takes, measured in a process that does nothing else."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from p2d.testing.site import Site

_PROGRAM: Final = """
import sys
from p2d.__main__ import main
try:
    main()
except SystemExit as ended:
    print(ended.code or 0)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(int(line.split()[1]))
"""


def peak_mib(site: Site, patients: Sequence[int], choice: str, scope: str) -> tuple[bool, float]:
    """Run ``p2d extract`` over *patients*; return whether it was complete, and its highest resident MiB."""
    listed: Path = site.folder / "some.csv"
    listed.write_text("pseudonym\n" + "\n".join(site.patients[place] for place in patients) + "\n")
    settings = str(site.installation.settings("gateway"))
    arguments = ["extract", str(listed), "--settings", settings, "--choice", choice, "--scope", scope]
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=True, timeout=1800
    )
    *_, code, kib = ended.stdout.split()
    return code == "0", int(kib) / 1024
