"""Who is treated: names, ids, birth dates. Plausible ones, or improbable ones to search for."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from p2d.testing.hospital.dice import Dice
from p2d.testing.hospital.nouns import Patient
from p2d.testing.hospital.tables import column, rows

_FAILING: Final = 0.2  # the share of heart-failure patients
_PHYSICIANS: Final = 8
_LONGEST: Final = 64  # characters of a component group of VR PN, and of LO, where names are repeated


@dataclass(frozen=True)
class Population:
    """Patients without anything that happened to them, and the physicians of the house (PN values)."""

    patients: tuple[Patient, ...]
    physicians: tuple[str, ...]
    cohort: frozenset[int]
    """Indices of the patients that must satisfy the paper's example cohort."""


def population(count: int, seed: int, *, canary: bool) -> Population:
    """Return *count* patients and the physicians, deterministic by *seed*."""
    dice = Dice("population", seed, count, canary)
    names = _improbable(dice, count + _PHYSICIANS) if canary else _plausible(dice, count + _PHYSICIANS)
    first = 0 if canary or count == 1 else 1  # Kopf has a healthy heart: his examination is of the head
    order = dice.shuffled(range(first, count))
    failing = order[: max(1, round(count * _FAILING))]
    patients = tuple(
        _patient(dice, index, count, names[index], canary=canary, is_failing=index in failing)
        for index in range(count)
    )
    physicians = tuple(f"{family}^{given}^^Dr." for family, given, _ in names[count:])
    return Population(patients, physicians, frozenset(failing[: (len(failing) + 1) // 2]))


def _patient(
    dice: Dice, index: int, count: int, name: tuple[str, str, str], *, canary: bool, is_failing: bool
) -> Patient:
    family, given, sex = name
    if canary:
        # Evenly spaced over 1890-1919, so that one patient's shifted date is seldom another's true one.
        born = date(1890, 1, 1) + timedelta(
            days=index * 10956 // count + dice.integer(0, 10956 // count // 8)
        )
        patient_id = f"QXP{dice.integer(1000, 9999)}{index:05d}{dice.integer(10, 99)}"
    else:
        born = dice.day(date(1930, 1, 1), date(2001, 12, 31))
        patient_id = f"{dice.integer(100, 999)}{index:05d}{dice.integer(0, 9)}"
    street = f"{dice.one(column('streets', 'street'))} {dice.integer(1, 99)}, 97999 Musterstadt"
    return Patient(patient_id, family, given, sex, born, street, is_failing)


def _plausible(dice: Dice, count: int) -> list[tuple[str, str, str]]:
    """Ordinary names; the first is Kopf, the next two share a name, then hyphen and umlaut."""
    given = rows("given_names")
    men = [row["given"] for row in given if row["sex"] == "M"]
    double = (dice.one(column("family_names", "family")), dice.one(men), "M")
    names = [
        ("Kopf", dice.one(men), "M"),
        double,
        double,
        ("Brandtner-Groß", "Anna-Sophie", "F"),
        ("Müller", "Jürgen", "M"),
    ]
    while len(names) < count:
        row = dice.one(given)
        names.append((dice.one(column("family_names", "family")), row["given"], row["sex"]))
    return names


def _improbable(dice: Dice, count: int) -> list[tuple[str, str, str]]:
    """Family and given names of ten and more letters, none twice, some with umlauts, some hyphenated."""
    syllables = {
        place: [row["syllable"] for row in rows("syllables") if row["place"] == place]
        for place in ("start", "middle", "end")
    }
    seen: set[str] = set()

    def word() -> str:
        while True:
            middles = ["middle"] * (
                1 + (len(seen) > 600) + (len(seen) > 8000)
            )  # longer words once the short ones run out
            made = "".join(dice.one(syllables[place]) for place in ["start", *middles, "end"])
            if len(made) >= 10 and made not in seen:
                seen.add(made)
                return made

    names = []
    for index in range(count):
        family, given = word(), word()
        if index % 7 == 3 and len(double := f"{family}-{word()}") + len(given) <= _LONGEST - 6:
            family = double
        names.append((family, given, "FM"[index % 2]))
    return names
