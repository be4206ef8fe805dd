"""Controls: everything untouched, everything withheld, and a reference that reads the answer key."""

import hashlib
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian

from phi.folding import contains, fold
from phi.judging.outputs import Output
from phi.key import Act, AnswerKey, Expected, PlantedFile
from phi.places import element_at, text_of, walk

_DATE: Final = 8
_SHIFT: Final = 35
_GROUPS_DROPPED: Final = (0x0033, 0x5000, 0x6000)
_META_DROPPED: Final = (0x00020016, 0x00020017, 0x00020100, 0x00020102)
_DROPPED: Final = (0x0018FFF0, 0x0020FFF2, 0xFFFCFFFC, 0xFFFAFFFA, 0x4FFE0001, 0x00880200)


@dataclass(frozen=True, slots=True)
class Untouched:
    """Copies every file: no privacy, all utility."""

    name: str = "untouched"

    def run(self, planted: Path, key: AnswerKey, work: Path) -> Mapping[str, Path]:
        """Copy the files under numbers."""
        outputs = {}
        for number, name in enumerate(key.files):
            outputs[name] = work / f"{number:04d}.dcm"
            shutil.copyfile(planted / name, outputs[name])
        return outputs


@dataclass(frozen=True, slots=True)
class Withholding:
    """Releases nothing: all privacy, no utility."""

    name: str = "all withheld"

    def run(self, planted: Path, key: AnswerKey, work: Path) -> Mapping[str, Path]:
        """Release no file."""
        del planted, key, work
        return {}


@dataclass(frozen=True, slots=True)
class Reference:
    """Does what the answer key says: the best there is."""

    name: str = "reference"

    def run(self, planted: Path, key: AnswerKey, work: Path) -> Mapping[str, Path]:
        """Carry out the rows of every file."""
        rows: dict[str, list[Expected]] = {}
        for row in key.rows:
            rows.setdefault(row.file, []).append(row)
        outputs = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number, (name, file) in enumerate(key.files.items()):
                outputs[name] = work / f"{number:04d}.dcm"
                dataset = dcmread(planted / name)
                dataset.decode()
                _carry_out(dataset, rows[name], Output(planted / name), file)
                dataset.preamble = b"\0" * 128
                dataset.save_as(outputs[name], enforce_file_format=True)
        return outputs


def _carry_out(dataset: Dataset, rows: list[Expected], planted: Output, file: PlantedFile) -> None:
    for row in rows:
        if row.act in (Act.TEXT_REMOVED, Act.MIXED_TEXT):
            _rewrite(dataset, row)
    _hide(dataset, [row for row in rows if row.act is Act.PIXELS_HIDDEN], planted)
    for tag in list(dataset.keys()):
        if tag.group in _GROUPS_DROPPED or tag in _DROPPED:
            del dataset[tag]
    for tag in list(dataset.file_meta.keys()):
        if tag in _META_DROPPED:
            del dataset.file_meta[tag]
    for _, element in walk(dataset):
        if element.VR not in ("SQ", "UI") and _tells(text_of(element), file.needles):
            element.value = b"" if element.VR in ("OB", "OW", "UN") else "REMOVED"
    _renew(dataset)
    dataset.PatientID = "PSN-" + hashlib.sha256(file.patient.encode()).hexdigest()[:8]
    dataset.PatientName, dataset.PatientBirthDate = dataset.PatientID, ""
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _rewrite(dataset: Dataset, row: Expected) -> None:
    element = element_at(dataset, row.path)
    if element is None or row.path.startswith(("0002", "0033")):
        return
    if row.act is Act.MIXED_TEXT:
        element.value = " ".join(row.kept)
    elif row.category == "age over 89":
        element.value = "090Y"
    elif element.VR in ("OB", "OW", "UN"):
        element.value = b"\0\0"
    elif element.VR == "SQ":
        element.value = []
    elif element.VR in ("DA", "TM", "DT"):
        element.value = ""
    else:
        element.value = "REMOVED"


def _tells(text: str, needles: Sequence[str]) -> bool:
    folded = fold(text)
    return any(contains(folded, needle) for needle in needles)


def _renew(dataset: Dataset) -> None:
    """Shift every date by the same days and derive every UID."""
    for _, element in walk(dataset):
        if element.VR == "UI" and element.value:
            values = element.value if isinstance(element.value, MultiValue) else [element.value]
            new = [_uid(str(value)) for value in values]
            element.value = new if len(new) > 1 else new[0]
        elif element.VR in ("DA", "DT") and str(element.value or "")[:_DATE].isdigit():
            text = str(element.value)
            try:
                day = date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}") - timedelta(days=_SHIFT)
            except ValueError:
                continue
            element.value = f"{day:%Y%m%d}{text[_DATE:]}"


def _uid(uid: str) -> str:
    if uid.startswith("1.2.840.10008."):
        return uid
    return f"2.25.{int(hashlib.sha256(uid.encode()).hexdigest()[:32], 16)}"


def _hide(dataset: Dataset, rows: list[Expected], planted: Output) -> None:
    """Blank the boxes and write the pixels natively."""
    if not rows or planted.pixels is None:
        return
    pixels = np.array(planted.pixels)
    for row in rows:
        frame, left, top, right, bottom, _ = row.box
        pixels[frame, top:bottom, left:right] = 0
    if pixels.ndim == 4:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    data = pixels.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
