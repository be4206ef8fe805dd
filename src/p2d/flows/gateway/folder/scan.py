"""What lies in a folder: its files in a fixed order, opened without reading their pixels, by patient."""

import mmap
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2d.deid.rewrite.content import DEFLATED, inflated, syntax_of
from p2d.dicom.charset import DEFAULT, character_set, decoded
from p2d.dicom.part10 import NotDicom, open_part10
from p2d.dicom.walk import Malformed, Source, first_spans
from p2d.model.errors import InvalidRequest
from p2d.model.header import Element, Elements
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance
from p2d.model.level import Level
from p2d.model.released import Reason

_PATIENT_ID: Final = 0x00100020
_CHARACTER_SET: Final = 0x00080005
_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_INSTANCE: Final = 0x00080018
_MODALITY: Final = 0x00080060
_ACCESSION: Final = 0x00080050
_ANSWERED: Final = {
    _INSTANCE: "UI",
    _ACCESSION: "SH",
    _MODALITY: "CS",
    _PATIENT_ID: "LO",
    _STUDY: "UI",
    _SERIES: "UI",
}
_LEVEL: Final = Level.INSTANCE
_ANSWERED_PATHS: Final = tuple(f"{tag:08X}" for tag in _ANSWERED)
_HEAD: Final = 1 << 13
"""Bytes at the begin of a file that nearly always hold PatientID."""

_LARGEST_MEMORY: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Input:
    """One file of the folder: its place in the order of all and its path, which no output ever shows."""

    number: int
    path: Path = field(repr=False)
    name: str = field(repr=False)
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is no DICOM object or cannot be read."""

    number: int
    reason: Reason


def inputs_of(folder: Path) -> list[Input]:
    """Return the regular files below *folder* by name; links are not followed.

    Raises:
        InvalidRequest: *folder* is none, or cannot be listed.

    """
    if not folder.is_dir():
        raise InvalidRequest("IN", "is not a folder", "name the folder with the DICOM files")
    found = sorted(_files(folder, ""), key=lambda entry: entry[0])
    return [
        Input(number, path, name, status.st_size, status.st_mtime_ns)
        for number, (name, path, status) in enumerate(found, 1)
    ]


def _files(folder: Path, above: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Yield name below the first folder, path and status of each regular file; one system call a file."""
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except OSError:
        raise InvalidRequest(
            "IN", "holds a folder that cannot be listed", "give this user the right to read it"
        ) from None
    for entry in listed:
        name = f"{above}{os.fsencode(entry.name).decode('utf-8', 'replace')}"
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name, Path(entry.path), entry.stat(follow_symlinks=False)


def instance_of(item: Input, last: int = _SERIES) -> IdentifiedInstance | Unusable:
    """Return the object in the file *item* as an archive would give it, with its own header as the answer.

    The answer holds what stands up to tag *last*.
    """
    try:
        source = _mapped(item.path)
        opened = open_part10(source)
        header = _answer(source, opened.offset, opened.transfer_syntax_uid, last)
    except NotDicom:
        return Unusable(item.number, Reason.NOT_DICOM)
    except OSError:
        return Unusable(item.number, Reason.UNREADABLE)
    except (Malformed, ValueError, zlib.error, MemoryError):
        return Unusable(item.number, Reason.UNDECODABLE)
    return IdentifiedInstance(
        header=header,
        content=source,
        transfer_syntax_uid=opened.transfer_syntax_uid,
        sop_class_uid=opened.sop_class_uid,
        offset=opened.offset,
    )


def _mapped(path: Path) -> Source:
    """Return the bytes of *path*: small files as they are, others mapped, so that pixels are not read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if size > _LARGEST_MEMORY:
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        content = os.read(descriptor, size + 1)
        if len(content) != size:
            raise OSError("changed while it was read")
        return content
    finally:
        os.close(descriptor)


def answer_in(elements: Elements) -> IdentifiedHeader:
    """Return what an archive would answer for a data set with *elements*."""
    return IdentifiedHeader(_LEVEL, {path: elements[path] for path in _ANSWERED_PATHS if path in elements})


def _answer(source: Source, offset: int, transfer_syntax_uid: str, last: int) -> IdentifiedHeader:
    if transfer_syntax_uid == DEFLATED:
        source, offset = inflated(source[offset:]), 0
    found: dict[str, Element] = {}
    codecs = DEFAULT
    for tag, _, _, value, end, _ in first_spans(source, syntax_of(transfer_syntax_uid), offset, last):
        if tag == _CHARACTER_SET:
            codecs = character_set(source[value:end])
        elif vr := _ANSWERED.get(tag):
            text = decoded(source[value:end], codecs, guess=True).strip(" \0")
            path = f"{tag:08X}"
            found[path] = Element(path, vr, (text,) if text else ())
    return IdentifiedHeader(_LEVEL, found)


def by_patient(items: Sequence[Input]) -> tuple[dict[str, list[Input]], list[Unusable]]:
    """Return the files of each patient, by PatientID or, where that is empty, by ``study:`` and its UID."""
    groups: dict[str, list[Input]] = {}
    unusable: list[Unusable] = []
    for item in items:
        key = _patient_of(item)
        if isinstance(key, Unusable):
            unusable.append(key)
        else:
            groups.setdefault(key, []).append(item)
    return groups, unusable


def _patient_in_head(path: Path) -> str:
    """Return the PatientID that the first bytes of a file hold; empty where they do not tell it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.read(descriptor, _HEAD)
        finally:
            os.close(descriptor)
        opened = open_part10(head)
        if opened.transfer_syntax_uid == DEFLATED:
            return ""
        patient, codecs = "", DEFAULT
        syntax = syntax_of(opened.transfer_syntax_uid)
        for tag, _, _, value, end, _ in first_spans(head, syntax, opened.offset, _PATIENT_ID):
            if tag == _CHARACTER_SET:
                codecs = character_set(head[value:end])
            elif tag == _PATIENT_ID:
                patient = decoded(head[value:end], codecs, guess=True).strip(" \0").strip()
    except (OSError, ValueError):  # the whole file is looked at then
        return ""
    return patient


def _patient_of(item: Input) -> str | Unusable:
    """Return PatientID, or the study where there is none; most files are read only as far as that."""
    if patient := _patient_in_head(item.path):
        return patient
    instance = instance_of(item, _PATIENT_ID)
    if isinstance(instance, Unusable):
        return instance
    if patient := instance.header.patient_id.strip():
        return patient
    instance = instance_of(item)
    study = "" if isinstance(instance, Unusable) else instance.header.study_instance_uid
    return f"study:{study}" if study else Unusable(item.number, Reason.NO_PATIENT)
