"""Invented patients: everything about a person that a hospital writes into objects."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from phi.folding import spellings, spelt_out
from phi.names import CITIES, INSTITUTIONS, NAMINGS, PHYSICIANS, STREETS, Naming

_STUDIES: Final = 3
_LEAST_NEEDLE: Final = 4


@dataclass(frozen=True, slots=True)
class Person:
    """One invented patient; ``studies`` are (date, accession number, case) of the visits."""

    naming: Naming
    family: str
    given: str
    ideographic: str
    phonetic: str
    sex: str
    born: date
    patient_id: str
    other_id: str
    insurance: str
    phone: str
    email: str
    street: str
    city: str
    referring: tuple[str, str]
    performing: tuple[str, str]
    institution: str
    studies: tuple[tuple[date, str, str], ...]

    @property
    def pn(self) -> str:
        """The name as PatientName writes it, with its groups."""
        name = f"{self.family}^{self.given}"
        return f"{name}={self.ideographic}={self.phonetic}".rstrip("=")

    @property
    def alphabetic(self) -> str:
        """The alphabetic group alone."""
        return f"{self.family}^{self.given}"

    @property
    def address(self) -> str:
        """Street and city."""
        return f"{self.street}, {self.city}"

    def name_needles(self) -> tuple[str, ...]:
        """Return the folded name parts that must not be left; a family name that is a word only as a pair."""
        parts = [self.given, *self.ideographic.split("^"), *self.phonetic.split("^")]
        if not self.naming.is_word:
            parts += [
                self.family,
                *(p for p in self.family.replace("-", " ").split() if len(p) >= _LEAST_NEEDLE),
            ]
        parts += [p for p in self.given.split("-") if len(p) >= _LEAST_NEEDLE]
        return tuple(sorted({spelling for part in parts if part for spelling in spellings(part)}))

    def needles(self) -> tuple[str, ...]:
        """Return every folded value of this person that may stand nowhere in a released file."""
        values = [
            self.patient_id,
            self.other_id,
            self.insurance,
            self.phone,
            self.phone.replace(" ", "").replace("/", "").replace("-", ""),
            self.email,
            self.street,
            self.referring[0],
            self.performing[0],
            self.institution,
            *(f"{self.born:{form}}" for form in ("%Y%m%d", "%d.%m.%Y", "%Y-%m-%d", "%d/%m/%Y")),
            *(value for study in self.studies for value in study[1:]),
        ]
        folded = {spelling for value in values for spelling in spellings(value)}
        return tuple(sorted(folded | set(self.name_needles())))

    def table_row(self) -> dict[str, str]:
        """Return what a hospital's table of patients knows, by DICOM keyword."""
        return {
            "PatientID": self.patient_id,
            "PatientName": self.pn,
            "PatientBirthDate": f"{self.born:%Y%m%d}",
            "OtherPatientIDs": self.other_id,
            "PatientAddress": self.address,
            "PatientTelephoneNumbers": self.phone,
            "EMail": self.email,
            "InsuranceNumber": self.insurance,
        }


def invent(count: int, rng: Random) -> list[Person]:
    """Return *count* people, no two with the same name or number, over all languages in turn."""
    namings = list(NAMINGS)
    rng.shuffle(namings)
    return [_person(namings[n % len(namings)], n // len(namings), n, rng) for n in range(count)]


def _person(naming: Naming, turn: int, number: int, rng: Random) -> Person:
    which = (rng.randrange(len(naming.family)) + turn) % len(naming.family)
    family, given = naming.family[which], naming.given[(which + turn) % len(naming.given)]
    ideographic, phonetic = naming.groups[which] if naming.groups else ("", "")
    if naming.groups:
        given = naming.given[which]
    postal, city = rng.choice(CITIES)
    referring, performing = rng.sample(PHYSICIANS, 2)
    user = f"{spelt_out(family)}.{spelt_out(given)}".lower()
    user = "".join(c for c in user if c.isascii() and (c.isalnum() or c == ".")).strip(".") or "patient"
    return Person(
        naming=naming,
        family=family,
        given=given,
        ideographic=ideographic,
        phonetic=phonetic,
        sex=rng.choice("MF"),
        born=date(rng.randint(1921, 2005), 1, 1) + timedelta(days=rng.randrange(365)),
        patient_id=_patient_id(number, rng),
        other_id=f"EXT{rng.randint(10**7, 10**8 - 1)}",
        insurance=f"{rng.choice('ABKMT')}{rng.randint(10**8, 10**9 - 1)}",
        phone=f"0{rng.randint(201, 999)}/{rng.randint(10**5, 10**7 - 1)}-{rng.randint(10, 99)}",
        email=f"{user}{rng.randint(10, 99)}@example-mail.org",
        street=rng.choice(STREETS),
        city=f"{postal} {city}",
        referring=referring,
        performing=performing,
        institution=rng.choice(INSTITUTIONS),
        studies=_studies(number, rng),
    )


def _patient_id(number: int, rng: Random) -> str:
    digits = f"{rng.randint(10**6, 10**7 - 1)}{number:02d}"
    return (digits, f"P-{digits}", f"{digits[:3]}-{digits[3:6]}-{digits[6:]}", f"KIS{digits}")[number % 4]


def _studies(number: int, rng: Random) -> tuple[tuple[date, str, str], ...]:
    day = date(2012, 1, 1) + timedelta(days=rng.randrange(3000))
    studies = []
    for _ in range(_STUDIES):
        accession = f"{rng.choice(('RA', 'A', ''))}{rng.randint(10**8, 10**9 - 1)}{number:02d}"
        studies.append((day, accession, f"F{rng.randint(10**8, 10**9 - 1)}"))
        day += timedelta(days=rng.randint(1, 400))
    return tuple(studies)
