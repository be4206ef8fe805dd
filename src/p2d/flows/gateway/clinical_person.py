"""One patient while its clinical rows pass: what identifies it, and what keeps that out of the output."""

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from p2d.deid.scrub.cleaner import TextCleaner
from p2d.model.identified import KnownValues
from p2d.model.ids import Pseudonym

_SHORTEST_ID: Final = 5
_SHORTEST_NAME: Final = 3
_NAME_PARTS: Final = re.compile(r"[\^=,\s]+")
_WORDS: Final = re.compile(r"\w+")


@dataclass(slots=True)
class Person:
    """A patient's pseudonym and shift beside its own values; cases and accession numbers are learnt."""

    pseudonym: Pseudonym
    shift_days: int = field(repr=False)
    patient_id: str = field(repr=False)
    names: frozenset[str] = field(repr=False)
    birth_date: date | None = field(repr=False)
    contacts: frozenset[str] = field(default=frozenset(), repr=False)
    more_ids: frozenset[str] = field(default=frozenset(), repr=False)
    cases: dict[str, Pseudonym] = field(default_factory=dict, repr=False)
    accessions: set[str] = field(default_factory=set, repr=False)

    def known(self) -> KnownValues:
        """Return what identifies this patient, as de-identification asks for it."""
        return KnownValues(
            names=self.names,
            ids=frozenset({self.patient_id, *self.cases, *self.more_ids}),
            accessions=frozenset(self.accessions),
            birth_dates=frozenset([self.birth_date.strftime("%Y%m%d")] if self.birth_date else []),
            contacts=self.contacts,
        )


class Guard:
    """Keeps one patient's own values out: cleans them from texts, finds them in coded words."""

    def __init__(self, person: Person) -> None:
        self._known = person.known()
        self._shift_days = person.shift_days
        self._cleaner: TextCleaner | None = None
        ids = {value.casefold() for value in self._known.ids | self._known.accessions}
        self._values = {value for value in ids if len(value) >= _SHORTEST_ID} | self._known.birth_dates
        self._values |= {person.birth_date.isoformat()} if person.birth_date else set()
        parts = [part for name in person.names for part in _NAME_PARTS.split(name.casefold())]
        self._names = {part for part in parts if len(part) >= _SHORTEST_NAME}

    def clean(self, text: str) -> str:
        """Return *text* without this patient's own values, its dates moved with the patient."""
        if not text:
            return text
        if self._cleaner is None:  # made for patients with texts only
            self._cleaner = TextCleaner(self._known, self._shift_days)
        return self._cleaner.clean(text)

    def finds_in(self, word: str) -> bool:
        """Whether a coded *word* holds an id, accession number, birth date or part of the name."""
        folded = word.casefold()
        in_part = any(value in folded for value in self._values)
        return in_part or not self._names.isdisjoint(_WORDS.findall(folded))
