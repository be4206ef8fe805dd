"""Runs in the peers' own environment: one tool over a folder, once; prints its seconds as JSON.

Usage: python deid_peer.py TOOL IN OUT. Starting Python, importing the tool and a few files to warm up are not
counted.
"""

import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

_WARM_UP = 20
_OneFile = Callable[[Path, Path], None]


def _dicognito() -> _OneFile:
    pydicom = importlib.import_module("pydicom")
    anonymizer = importlib.import_module("dicognito.anonymizer").Anonymizer()

    def one(path: Path, out: Path) -> None:
        dataset = pydicom.dcmread(path)
        anonymizer.anonymize(dataset)
        dataset.save_as(out)

    return one


def _dicom_anonymizer() -> _OneFile:
    module = importlib.import_module("dicomanonymizer.simpledicomanonymizer")

    def one(path: Path, out: Path) -> None:
        module.anonymize_dicom_file(str(path), str(out))

    return one


_TOOLS = {"dicognito": _dicognito, "dicom-anonymizer": _dicom_anonymizer}


def main() -> None:
    """Run the tool named by the arguments."""
    tool, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")
    one = _TOOLS[tool]()
    files = sorted(source.rglob("*.dcm"))
    target.mkdir(parents=True)
    for number, path in enumerate(files[:_WARM_UP]):
        one(path, target / f"warm{number}.dcm")
    began = time.perf_counter()
    for number, path in enumerate(files):
        one(path, target / f"{number}.dcm")
    sys.stdout.write(json.dumps(time.perf_counter() - began) + "\n")


if __name__ == "__main__":
    main()
