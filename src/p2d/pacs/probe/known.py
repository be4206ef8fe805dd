"""One patient of whom everything is found level by level: the truth that other ways are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.dimse.identifiers import Row
from p2d.dimse.services import FIND
from p2d.model.errors import InvalidRequest
from p2d.model.header import count_of, text_of
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.probe.asking import Answer, Asking
from p2d.pacs.query import KEYS, PATIENT_ID, UNIQUE

STUDY, SERIES, INSTANCE = UNIQUE[Level.STUDY], UNIQUE[Level.SERIES], UNIQUE[Level.INSTANCE]
STUDY_ROOT, PATIENT_ROOT = FIND
WORDS: Final = {Level.STUDY: "STUDY", Level.SERIES: "SERIES", Level.INSTANCE: "IMAGE"}
_SERIES_INSTANCES: Final = "00201209"
_STUDY_INSTANCES: Final = "00201208"
MOST_SERIES: Final = 60
MOST_ROWS: Final = 5000


@dataclass(slots=True)
class Known:
    """A patient's rows by level; ``series`` maps (study, series) to its instance UIDs in the archive's order.

    ``counted`` is how many instances the archive says the listed series have, None where it does not say.
    """

    patient_id: PatientId
    studies: list[Row] = field(default_factory=list, repr=False)
    series_rows: list[Row] = field(default_factory=list, repr=False)
    instance_rows: list[Row] = field(default_factory=list, repr=False)
    series: dict[tuple[str, str], list[str]] = field(default_factory=dict, repr=False)
    character_sets: set[str] = field(default_factory=set)
    counted: int | None = 0
    capped: list[int] = field(default_factory=list)

    @property
    def images(self) -> int:
        """How many instances were listed."""
        return len(self.instance_rows)

    @property
    def places(self) -> set[tuple[str, str, str]]:
        """Every (study, series, instance)."""
        return {(study, series, uid) for (study, series), uids in self.series.items() for uid in uids}

    @property
    def sop_classes(self) -> tuple[str, ...]:
        """The SOP classes of the instances, as far as the archive answers them."""
        found = {text_of(row, "00080016") for row in self.instance_rows} - {""}
        return tuple(sorted(found))

    def keys(self, study: str, series: str, instances: Sequence[str]) -> dict[str, str]:
        """Return the keys of a retrieve of *instances* of one series, all levels stated."""
        return {
            PATIENT_ID: self.patient_id.value,
            STUDY: study,
            SERIES: series,
            INSTANCE: "\\".join(instances),
        }


def asked_keys(level: Level, **matching: str) -> dict[str, str]:
    """Return the return keys of *level*, the matching ones by path."""
    return {**dict.fromkeys(KEYS[level], ""), **matching}


def learn(asking: Asking, patient_id: PatientId, most_images: int) -> Known | None:
    """List one patient level by level; None where there is nothing, or more than a probe should touch.

    Raises:
        Unavailable, ProtocolViolation: the archive does not answer level by level.

    """
    known = Known(patient_id)
    answer = _found(asking, Level.STUDY, {PATIENT_ID: patient_id.value}, known)
    known.studies = [row for row in answer.rows if text_of(row, PATIENT_ID) == patient_id.value.strip()]
    stated = sum(count_of(row, _STUDY_INSTANCES) or 0 for row in known.studies)
    if not known.studies or stated > most_images:
        return None
    for study in known.studies:
        keys = {PATIENT_ID: patient_id.value, STUDY: text_of(study, STUDY)}
        known.series_rows += _found(asking, Level.SERIES, keys, known).rows
    if len(known.series_rows) > MOST_SERIES:
        return None
    for row in known.series_rows:
        _instances(asking, known, row)
        if known.images > most_images:
            return None
    return known if known.images else None


def _instances(asking: Asking, known: Known, row: Row) -> None:
    study, series = text_of(row, STUDY), text_of(row, SERIES)
    study = study or text_of(known.studies[0], STUDY)
    keys = {PATIENT_ID: known.patient_id.value, STUDY: study, SERIES: series}
    rows = _found(asking, Level.INSTANCE, keys, known).rows
    known.instance_rows += rows
    known.series[study, series] = [text_of(one, INSTANCE) for one in rows]
    stated = count_of(row, _SERIES_INSTANCES)
    if stated is None:
        known.counted = None
    elif known.counted is not None:
        known.counted += stated
        if stated > len(rows):
            known.capped.append(len(rows))


def _found(asking: Asking, level: Level, keys: Mapping[str, str], known: Known) -> Answer:
    stated = {**dict.fromkeys(KEYS[level], ""), **keys}
    answer = asking.find(STUDY_ROOT, WORDS[level], stated, MOST_ROWS)
    known.character_sets |= answer.character_sets
    if not answer.is_whole:
        known.capped.append(len(answer.rows))
    return answer


def choose(asking: Asking, patients: Sequence[PatientId], most_images: int) -> Known:
    """Return the first of *patients* with a few series and images, else any with images.

    Raises:
        InvalidRequest: none has images, or all have too many.

    """
    best: Known | None = None
    for patient in patients:
        known = learn(asking, patient, most_images)
        if known is None:
            continue
        if len(known.series) > 1 and known.images > len(known.series):
            return known
        best = best if best and best.images >= known.images else known
    if best is None:
        raise InvalidRequest(
            "LIST",
            f"names no patient with 1 to {most_images:,} images in at most {MOST_SERIES} series",
            "name other patients; a probe should not ask for much",
        )
    return best
