"""Errors that dciodvfy (Debian dicom3tools) finds after and did not find before."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

DCIODVFY: Final = Path("/usr/bin/dciodvfy")
_SECONDS: Final = 20
_VALUES: Final = re.compile(r"\[\d+\]|( = <.*| - have .*| but have .*)$")
"""What differs without another error: the number of an item or value, and what was found there."""

_DID_NOT_END: Final = "dciodvfy did not end"


def errors(path: Path) -> Counter[str] | None:
    """Return the error lines of ``dciodvfy -new`` without values; None where it cannot read or end."""
    if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return None  # dciodvfy reads the deflated bytes as elements
    try:
        ended = subprocess.run(
            [str(DCIODVFY), "-new", str(path)], capture_output=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return None
    if ended.returncode < 0:
        return None
    lines = (ended.stderr + b"\n" + ended.stdout).decode("latin-1").splitlines()
    return Counter(_VALUES.sub("", line) for line in lines if line.startswith("Error"))


def all_errors(paths: Iterable[Path]) -> dict[Path, Counter[str] | None]:
    """Return the errors of every file, two processes at a time."""
    listed = list(paths)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(listed, pool.map(errors, listed), strict=True))


def new_errors(before: Counter[str] | None, after: Counter[str] | None) -> list[str]:
    """Return the kinds of error that are there after and not before; nothing where either did not end."""
    if before is None:
        return []
    if after is None:
        return [_DID_NOT_END]
    return sorted(line for line in after if line not in before)
