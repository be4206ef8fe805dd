"""Runs in the peers' own environment: one tool over a folder, a time limit for each file, no end at an error.

Usage: python peer_driver.py TOOL IN OUT. A file that fails or takes too long is not written.
"""

import importlib
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_SECONDS: Final = 30
_OneFile = Callable[[Path, Path], None]


def _dicognito() -> _OneFile:
    """Defaults of ``python -m dicognito``; one Anonymizer for all files, as its users are told."""
    pydicom = importlib.import_module("pydicom")
    anonymizer = importlib.import_module("dicognito.anonymizer").Anonymizer()

    def one(path: Path, out: Path) -> None:
        dataset = pydicom.dcmread(path)
        anonymizer.anonymize(dataset)
        dataset.save_as(out.with_name(f"{dataset.SOPInstanceUID}.dcm"))

    return one


def _dicom_anonymizer() -> _OneFile:
    """Use the newest table that it ships, 2026c."""
    module = importlib.import_module("dicomanonymizer.simpledicomanonymizer")

    def rules() -> Any:
        return module.initialize_actions("dicomfields_2026c")

    def one(path: Path, out: Path) -> None:
        module.anonymize_dicom_file(str(path), str(out), {}, True, rules)

    return one


def _deid_header() -> _OneFile:
    """Use the recipe that it ships."""
    header = importlib.import_module("deid.dicom")

    def one(path: Path, out: Path) -> None:
        ids = header.get_identifiers([str(path)])
        done = header.replace_identifiers([str(path)], ids=ids, save=False, remove_private=True)
        done[0].save_as(out)

    return one


def _deid_pixels() -> _OneFile:
    """Its pixel filter first: known layouts are blanked, other flagged pictures refused; then the header."""
    header, cleaners = _deid_header(), importlib.import_module("deid.dicom")

    def one(path: Path, out: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            cleaner = cleaners.DicomCleaner(output_folder=folder)
            found = cleaner.detect(str(path))
            source = path
            if found["flagged"]:
                if not any(result.get("coordinates") for result in found["results"]):
                    raise ValueError("flagged without coordinates")
                cleaner.clean()
                source = Path(cleaner.save_dicom(output_folder=folder))
            header(source, out)

    return one


_TOOLS: Final[dict[str, Callable[[], _OneFile]]] = {
    "dicognito": _dicognito,
    "dicom-anonymizer": _dicom_anonymizer,
    "deid": _deid_header,
    "deid+pixels": _deid_pixels,
}


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"more than {_SECONDS} s (signal {number}, {type(frame).__name__})")


def main() -> None:
    """Treat each file of IN in the order of names; results go to a folder of its own, OUT/NAME/."""
    tool, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")
    one = _TOOLS[tool]()
    signal.signal(signal.SIGALRM, _late)
    for path in sorted(source.iterdir()):
        folder = target / path.name
        folder.mkdir(parents=True)
        signal.alarm(_SECONDS)
        try:
            one(path, folder / path.name)
        except Exception as error:  # noqa: BLE001 - a tool's failure on a file is a result
            print(f"{path.name}: {type(error).__name__}: {error}"[:300])
            for left in folder.iterdir():
                left.unlink()
        finally:
            signal.alarm(0)


if __name__ == "__main__":
    main()
