"""Retrieve requests by lists of UIDs (PS3.4 C.4.2.1.4, C.4.3.1.3): few, and none longer than is safe."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.query import PATIENT_ID, UNIQUE

LIST_LENGTH: Final = 200
"""UIDs in one request; what all archives tried took."""

LONGEST_LIST: Final = 65_534
"""Bytes of one list: the longest value of VR UI in explicit VR, which some archives turn requests into."""

_RELATED: Final = {Level.STUDY: "00201208", Level.SERIES: "00201209"}  # NumberOf…RelatedInstances


@dataclass(frozen=True, slots=True)
class Request:
    """What one C-GET or C-MOVE names: *keys* at *level*, *count* instances."""

    level: Level
    keys: dict[str, str] = field(repr=False)
    count: int


def by_series(patient_id: PatientId, instances: Sequence[IdentifiedHeader], length: int) -> list[Request]:
    """Return requests of at most *length* instances of one series each; all upper keys are named."""
    return [
        _request(patient_id, Level.INSTANCE, uids, {UNIQUE[Level.STUDY]: study, UNIQUE[Level.SERIES]: series})
        for (study, series), some in _grouped(instances).items()
        for uids in _split([one.sop_instance_uid for one in some], length)
    ]


def by_patient(patient_id: PatientId, instances: Sequence[IdentifiedHeader], length: int) -> list[Request]:
    """Return requests that name the patient and at most *length* instances, whatever their series."""
    return [
        _request(patient_id, Level.INSTANCE, uids, {})
        for uids in _split([one.sop_instance_uid for one in instances], length)
    ]


def whole(
    patient_id: PatientId, instances: Sequence[IdentifiedHeader], level: Level
) -> tuple[list[Request], list[IdentifiedHeader]]:
    """Return a request for each study or series that *instances* are all of, and the instances left over.

    Whether they are all is told by NumberOfStudyRelatedInstances or NumberOfSeriesRelatedInstances; single
    instances are left over.
    """
    requests, rest = [], []
    groups: dict[tuple[str, ...], list[IdentifiedHeader]] = {}
    for (study, series), some in _grouped(instances).items():
        groups.setdefault((study,) if level is Level.STUDY else (study, series), []).extend(some)
    for place, some in groups.items():
        if len(some) > 1 and text_of(some[0].elements, _RELATED[level]) == str(len(some)):
            keys = dict(zip((UNIQUE[Level.STUDY], UNIQUE[Level.SERIES]), place, strict=False))
            requests.append(Request(level, {PATIENT_ID: patient_id.value, **keys}, len(some)))
        else:
            rest += some
    return requests, rest


def _request(patient_id: PatientId, level: Level, uids: list[str], upper: dict[str, str]) -> Request:
    keys = {PATIENT_ID: patient_id.value, **upper, UNIQUE[level]: "\\".join(uids)}
    return Request(level, keys, len(uids))


def _grouped(instances: Iterable[IdentifiedHeader]) -> dict[tuple[str, str], list[IdentifiedHeader]]:
    series: dict[tuple[str, str], list[IdentifiedHeader]] = {}
    for header in instances:
        series.setdefault((header.study_instance_uid, header.series_instance_uid), []).append(header)
    return series


def _split(uids: Sequence[str], length: int) -> Iterator[list[str]]:
    """Yield *uids* in lists of at most *length*, each shorter than ``LONGEST_LIST`` when joined."""
    some: list[str] = []
    size = 0
    for uid in uids:
        if some and (len(some) == length or size + len(uid) + 1 > LONGEST_LIST):
            yield some
            some, size = [], 0
        some.append(uid)
        size += len(uid) + 1
    if some:
        yield some
