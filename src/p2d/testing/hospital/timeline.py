"""When things happen: the hospital's opening day, its last day, and the cases of a patient."""

from datetime import date, timedelta
from typing import Final

from p2d.testing.hospital.dice import Dice
from p2d.testing.hospital.nouns import Case, Patient

OPENED: Final = date(2015, 1, 1)
LAST_DAY: Final = date(2023, 12, 31)


def add_cases(patient: Patient, index: int, count: int, dice: Dice, *, canary: bool) -> None:
    """Append *count* cases that do not overlap to *patient*, in order of time."""
    span = (LAST_DAY - OPENED).days // count
    for number in range(count):
        start = OPENED + timedelta(days=number * span + dice.integer(0, span // 2))
        is_stay = number == 0 or dice.chance(0.7)
        longest = max(1, min(20, span // 2 - 1))
        end = start + timedelta(days=dice.integer(1, longest) if is_stay else 0)
        if canary:
            case_id = f"AQZ{dice.integer(1000, 9999)}{index:04d}{number:04d}"
        else:
            case_id = f"7{dice.integer(100, 999)}{index:04d}{number:03d}"
        patient.cases.append(Case(patient, case_id, start, end, "inpatient" if is_stay else "outpatient"))
