"""What is photographed: studies, series and instances of a patient, counts skewed as in the paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from pydicom.dataset import Dataset

from p2d.testing.hospital.dice import Dice
from p2d.testing.hospital.nouns import Case, Instance, Patient, Series, Study
from p2d.testing.hospital.tables import Row, modality, rows
from p2d.testing.hospital.timeline import LAST_DAY, OPENED

UID_ROOT: Final = "2.999.7314159"  # under the arc reserved for examples (ITU-T X.660)
_STACKS: Final = frozenset({"CT", "MR", "PT"})
_SCOUTS: Final = ("topogramm", "scout", "localizer", "survey", "monitoring")
_LONGEST: Final = 64  # characters of VR LO
_COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"


@dataclass(frozen=True)
class Plan:
    """How much is photographed of a patient, and what must be among it."""

    index: int
    seed: int
    series: int
    images: int
    first_study: str
    """A StudyDescription that must occur, or empty."""
    pixels: int
    canary: bool
    physicians: tuple[str, ...]
    painter: Callable[[Instance], Dataset]


def fill(patient: Patient, plan: Plan, dice: Dice) -> None:
    """Append the planned studies with their series and instances to *patient*, whose cases exist."""
    root = f"{UID_ROOT}.{plan.seed}.{dice.integer(10**8, 10**9 - 1)}{plan.index}"
    left = plan.series
    while left > 0:
        template = _template(plan, dice, is_first=not patient.studies)
        study = _study(patient, template, plan, dice, root)
        patient.studies.append(study)
        left -= _fill_study(study, template, left, dice)
    everything = [series for study in patient.studies for series in study.series]
    for series, count in zip(everything, _counts(everything, plan.images, dice), strict=True):
        _fill_series(series, count, plan, dice)


def _template(plan: Plan, dice: Dice, *, is_first: bool) -> Row:
    templates = rows("studies")
    if is_first and plan.first_study:
        return next(row for row in templates if row["description"] == plan.first_study)
    many = plan.images >= 3 * plan.series
    if many and is_first:
        templates = tuple(row for row in templates if row["modality"] in {"CT", "MR"})
    elif not many:
        templates = tuple(row for row in templates if row["modality"] not in _STACKS)
    return dice.weighted(templates, [float(row["weight"]) for row in templates])


def _study(patient: Patient, template: Row, plan: Plan, dice: Dice, root: str) -> Study:
    number = len(patient.studies) + 1
    before = patient.studies[-1] if patient.studies else None
    twin = before if before and before.accession_number and dice.chance(0.06) else None
    case = (twin.case if twin else dice.one(patient.cases)) if twin or dice.chance(0.85) else None
    if twin:
        day, accession = twin.date, twin.accession_number
    else:
        day = dice.day(case.start, case.end) if case else dice.day(OPENED, LAST_DAY)
        accession = _accession(plan, number, dice, day.year)
    return Study(
        patient=patient,
        case=case,
        study_instance_uid=f"{root}.{number}",
        study_id=accession or str(number),
        accession_number=accession,
        admission_id=case.case_id if case and dice.chance(0.92) else "",
        date=day,
        time=f"{dice.integer(7, 19):02d}{dice.integer(0, 59):02d}{dice.integer(0, 59):02d}",
        description=_described(template["description"], patient, dice, 0.06),
        referring_physician=dice.one(plan.physicians),
        performing_physician=dice.one(plan.physicians),
        character_set=dice.one(("ISO_IR 100", "ISO_IR 192")),
        comment=_comment(patient, case, dice),
        modality=template["modality"],
        body_part=template["body_part"],
    )


def _accession(plan: Plan, number: int, dice: Dice, year: int) -> str:
    if dice.chance(0.04):
        return ""
    if plan.canary:
        return f"ZQX{dice.integer(1000, 9999)}{plan.index:04d}{number:04d}"
    return f"{year}{plan.index:04d}{number:04d}"


def _described(text: str, patient: Patient, dice: Dice, share: float) -> str:
    """Return *text*, at times with the patient's own name or birth date in it, as happens."""
    if not dice.chance(share):
        return text
    endings = (
        f" {patient.family} Verlauf",
        f" geb. {patient.birth_date:%d.%m.%Y}",
        f" {patient.given} {patient.family}",
        f" {patient.family.upper()}",
    )
    named = text + dice.one(endings)
    return named if len(named) <= _LONGEST else text


def _comment(patient: Patient, case: Case | None, dice: Dice) -> str:
    if not dice.chance(0.3):
        return ""
    choices = [
        f"Patient {patient.family}, {patient.given}, geb. {patient.birth_date:%d.%m.%Y}",
        f"Voraufnahmen unter ID {patient.patient_id} vorhanden",
        f"{patient.given} {patient.family} war unruhig, Bewegungsartefakte",
        "Aufnahme im Liegen",
    ]
    if case:
        choices.append(f"Fall {case.case_id}, Rückfrage Station")
    return dice.one(choices)


def _fill_study(study: Study, template: Row, left: int, dice: Dice) -> int:
    """Append at most *left* series to *study*; return how many."""
    names = template["series"].split("|")
    count = min(left, dice.integer(max(1, len(names) - 2), len(names) + 1))
    codes = [study.modality] * count
    if study.modality == "PT" and count > 1:
        codes[0] = "CT"
    if count > 1 and dice.chance(0.2):
        codes[-1] = "SR"
    for number, code in enumerate(codes, start=1):
        name = names[(number - 1) % len(names)] + (" Wdh." if number > len(names) else "")
        study.series.append(_series(study, number, code, name, template["protocol"], dice))
    return count


def _series(study: Study, number: int, code: str, name: str, protocol: str, dice: Dice) -> Series:
    text = "Befundbericht" if code == "SR" else name
    return Series(
        study=study,
        series_instance_uid=f"{study.study_instance_uid}.{number}",
        modality=code,
        number=number,
        description=_described(text, study.patient, dice, 0.03),
        protocol="" if code == "SR" else _described(protocol, study.patient, dice, 0.02),
        body_part="" if code == "SR" else study.body_part,
        time=f"{study.time[:4]}{number % 60:02d}",
        device=dice.one([row for row in rows("devices") if row["modality"] == code]),
        frame_of_reference_uid=f"{study.study_instance_uid}.0",
    )


def _counts(everything: list[Series], images: int, dice: Dice) -> list[int]:
    """Share *images* among the series: at least one each, no series beyond what its modality makes."""
    rooms = [_room(series) for series in everything]
    counts = [1] * len(everything)
    weights = [dice.number(0.3, 3, 3) * min(room, 40) for room in rooms]
    left = images - len(everything)
    while left > 0:
        open_ones = [i for i, room in enumerate(rooms) if counts[i] < room]
        if not open_ones:
            break
        total, share = sum(weights[i] for i in open_ones), left
        for i in open_ones:
            more = min(max(1, int(share * weights[i] / total)), rooms[i] - counts[i], left)
            counts[i] += more
            left -= more
    return counts


def _room(series: Series) -> int:
    if series.description.lower().startswith(_SCOUTS):
        return 3
    return cast("int", modality(series.modality)["largest"])


def _fill_series(series: Series, count: int, plan: Plan, dice: Dice) -> None:
    code = series.modality
    sop_class = str(modality(code)["sop_class"])
    if code == "SR" and dice.chance(0.4):
        sop_class = _COMPREHENSIVE_SR
    height, width = _size(code, plan.pixels)
    frames = dice.integer(3, 6) if code == "XA" else 1
    for position, number in enumerate(_numbers(count, dice)):
        series.instances.append(
            Instance(
                series=series,
                sop_instance_uid=f"{series.series_instance_uid}.{position + 1}",
                sop_class_uid=sop_class,
                number=number,
                position=position,
                rows=height,
                columns=width,
                frames=frames,
                painter=plan.painter,
            )
        )


def _numbers(count: int, dice: Dice) -> list[int | None]:
    """Return InstanceNumbers: mostly 1 to n, at times shuffled, offset, doubled or missing."""
    numbers: list[int | None] = list(range(1, count + 1))
    kind = dice.number(0, 1, 4)
    if kind < 0.08:
        return dice.shuffled(numbers)
    if kind < 0.12:
        return [100 + number for number in range(count)]
    if kind < 0.15 and count > 1:
        return [numbers[0], *numbers[:-1]]
    if kind < 0.2:
        return [None if dice.chance(0.4) else number for number in numbers]
    return numbers


def _size(code: str, pixels: int) -> tuple[int, int]:
    sizes: Mapping[str, tuple[int, int]] = {
        "SR": (0, 0),
        "US": (max(96, pixels), max(200, 2 * pixels)),  # room for the name burned in
        "PT": (max(16, pixels // 2), max(16, pixels // 2)),
    }
    return sizes.get(code, (pixels, pixels))
