"""The index of a test archive: matching as in PS3.4 C.2.2.2 and answers as implicit VR bytes."""

import re
import struct
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Final

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from p2d.dicom.elements import standard_vr
from p2d.testing.holdings import HeldInstance

UNIQUE: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
_COUNTS: Final = {
    "NumberOfPatientRelatedStudies": ("PATIENT", "STUDY"),
    "NumberOfPatientRelatedSeries": ("PATIENT", "SERIES"),
    "NumberOfPatientRelatedInstances": ("PATIENT", "IMAGE"),
    "NumberOfStudyRelatedSeries": ("STUDY", "SERIES"),
    "NumberOfStudyRelatedInstances": ("STUDY", "IMAGE"),
    "NumberOfSeriesRelatedInstances": ("SERIES", "IMAGE"),
}
_HEAD: Final = struct.Struct("<HHI")
_DATES: Final = frozenset({"StudyDate", "SeriesDate", "PatientBirthDate"})
_WILDCARDS: Final = re.compile(r"[*?]")


class ArchiveIndex:
    """Instances by patient, study, series and own UID; not safe against writers in other threads."""

    def __init__(self, instances: Iterable[HeldInstance] = ()) -> None:
        self._by: dict[str, dict[str, dict[str, HeldInstance]]] = {level: {} for level in UNIQUE}
        self._encoded: dict[tuple[str, str, tuple[int, ...]], bytes] = {}
        for one in instances:
            self.add(one)

    def __len__(self) -> int:
        return len(self._by["IMAGE"])

    def add(self, one: HeldInstance) -> None:
        """Add an instance; one with the same SOPInstanceUID is replaced."""
        uid = one["SOPInstanceUID"]
        for level, keyword in UNIQUE.items():
            self._by[level].setdefault(one[keyword], {})[uid] = one
        self._encoded.clear()

    def instances(self, keys: Mapping[str, str]) -> list[HeldInstance]:
        """Return the instances that match all *keys* (keyword → value, empty for universal matching)."""
        stated = {keyword: value for keyword, value in keys.items() if value}
        tests = {keyword: value for keyword, value in stated.items() if keyword in _MATCHED}
        return [
            one for one in self._candidates(stated)
            if all(_matches(keyword, value, self.value(one, keyword)) for keyword, value in tests.items())
        ]  # fmt: skip

    def entities(self, level: str, keys: Mapping[str, str]) -> list[HeldInstance]:
        """Return one instance for each entity at *level* that has an instance matching *keys*."""
        unique = UNIQUE[level]
        return list({one[unique]: one for one in self.instances(keys)}.values())

    def value(self, one: HeldInstance, keyword: str) -> str:
        """Return the text of *keyword*, counts and ModalitiesInStudy computed."""
        if keyword in _COUNTS:
            of, counted = _COUNTS[keyword]
            return str(len({each[UNIQUE[counted]] for each in self._by[of][one[UNIQUE[of]]].values()}))
        if keyword == "ModalitiesInStudy":
            return "\\".join(
                sorted({each["Modality"] for each in self._by["STUDY"][one["StudyInstanceUID"]].values()})
            )
        return one[keyword]

    def answer(self, level: str, one: HeldInstance, tags: tuple[int, ...]) -> bytes:
        """Return the C-FIND answer for *one* at *level* with the elements *tags*, ascending."""
        key = (level, one[UNIQUE[level]] if level != "IMAGE" else one["SOPInstanceUID"], tags)
        found = self._encoded.get(key)
        if found is None:
            values = [(tag, self.value(one, keyword_for_tag(tag))) for tag in tags]
            found = self._encoded[key] = encode(level, values)
        return found

    def _candidates(self, stated: Mapping[str, str]) -> Iterable[HeldInstance]:
        for level in ("IMAGE", "SERIES", "STUDY", "PATIENT"):
            value = stated.get(UNIQUE[level], "")
            if value and not _WILDCARDS.search(value):
                found: dict[str, HeldInstance] = {}
                for uid in value.split("\\"):
                    found.update(self._by[level].get(uid, {}))
                return found.values()
        return [one for some in self._by["IMAGE"].values() for one in some.values()]


_MATCHED: Final = frozenset(
    {
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
        "AccessionNumber", "ModalitiesInStudy", "StudyDescription", "StudyID", "SeriesInstanceUID",
        "Modality", "SeriesDescription", "SeriesNumber", "SOPInstanceUID", "SOPClassUID", "InstanceNumber",
    }
)  # fmt: skip


def asked(identifier: Dataset) -> tuple[str, dict[str, str], tuple[int, ...]]:
    """Return level, matching keys by keyword, and the tags to answer with."""
    keys: dict[str, str] = {}
    tags: list[int] = []
    for element in identifier:
        if int(element.tag) in {0x00080005, 0x00080052}:
            continue
        tags.append(int(element.tag))
        value = element.value
        text = (
            "\\".join(map(str, value))
            if isinstance(value, (list, tuple)) or element.VM > 1
            else str(value or "")
        )
        keys[keyword_for_tag(element.tag)] = text
    return str(identifier.QueryRetrieveLevel), keys, tuple(sorted(tags))


def _matches(keyword: str, key: str, value: str) -> bool:
    if keyword in _DATES and "-" in key:
        first, _, last = key.partition("-")
        return bool(value) and (not first or first <= value) and (not last or value <= last)
    if keyword.endswith("UID") or keyword == "ModalitiesInStudy":
        return not set(key.split("\\")).isdisjoint(value.split("\\"))
    if _WILDCARDS.search(key):
        return re.fullmatch(translate(key.replace("[", "[[]")), value) is not None
    return key.strip() == value.strip()


def encode(level: str, values: Iterable[tuple[int, str]]) -> bytes:
    """Return an identifier in implicit VR little endian; UTF-8 is declared where it is needed."""
    items = [(0x00080052, level), *values]
    if not all(value.isascii() for _, value in items):
        items.append((0x00080005, "ISO_IR 192"))
    return b"".join(_element(tag, value) for tag, value in sorted(items))


def _element(tag: int, value: str) -> bytes:
    vr = standard_vr(tag)
    if vr == "US" and value:
        content = struct.pack("<H", int(value))
    else:
        content = value.encode("utf-8")
        if len(content) % 2:
            content += b"\0" if vr == "UI" else b" "
    return _HEAD.pack(tag >> 16, tag & 0xFFFF, len(content)) + content


def tag_of(keyword: str) -> int:
    """Return the tag of a standard *keyword*."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is not a DICOM keyword")
    return tag
