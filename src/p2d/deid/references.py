"""What an archive's answer refers to: all that identity is asked for before de-identification starts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final

from p2d.deid.scrub.words import is_placeholder
from p2d.deid.uids import is_class_uid, is_registered, looks_like_uid
from p2d.model.header import Element, Value
from p2d.model.identified import IdentifiedHeader, KnownValues

_ACCESSION: Final = "00080050"
_ADMISSION: Final = "00380010"
_BIRTH_DATE: Final = "00100030"
_MEANING: Final = "00080104"
_INSTITUTION_CODE: Final = "00080082["
_IDS: Final = frozenset(
    {
        *("00100020", "00101000", "00101050", "00101090", _ADMISSION, "00380060"),
        *("00402006", "00402007", "00402016", "00402017"),
    }
)
"""PatientID, OtherPatientIDs; insurance, medical record, admission, service episode, orders."""

_STEP_IDS: Final = frozenset({"00200010", "00400009", "00400253", "00401001"})
"""StudyID, step and procedure ids: known where they are long enough not to be a mere count."""

_CONTACTS: Final = frozenset(
    {
        *("00101040", "00102152", "00102154", "00102155", "00080092", "00080094", "00380400"),
        *("00401102", "00401103", "00401104", "00402010", "00402011"),
    }
)
_PLACES: Final = frozenset(
    {
        *("00080080", "00080081", "00081040", "00102299", "00321020", "00321033", "00380300"),
        *("00400011", "00400243", "00401005", "00402009", "0040A027"),
    }
)
_DAYS: Final = frozenset(
    {
        *("00080012", "00080020", "00080021", "00080022", "00080023", "0008002A", "00321000", "00321050"),
        *("00380020", "00380030", "00400002", "00400244", "00400250", "00402004", "00404005"),
    }
)
_OF_INTEREST: Final = (
    _IDS | _STEP_IDS | _CONTACTS | _PLACES | _DAYS | {_ACCESSION, _ADMISSION, _BIRTH_DATE, _MEANING}
)
_MIN_STEP_ID: Final = 5
_DAY: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")


@dataclass(frozen=True, slots=True)
class References:
    """Original UIDs, accession numbers and AdmissionIDs that need a pseudonym, and values that identify.

    ``known`` holds all PN values, ids of patient, stay and orders, accession numbers, birth dates, days of
    examinations, addresses, telephone numbers and institutions; what stands for no value is left out of it.
    """

    uids: frozenset[str] = field(default=frozenset(), repr=False)
    accessions: frozenset[str] = field(default=frozenset(), repr=False)
    admissions: frozenset[str] = field(default=frozenset(), repr=False)
    known: KnownValues = field(default_factory=KnownValues, repr=False)

    def merge(self, *others: "References") -> "References":
        """Return the union of this one and *others*."""
        parts = (self, *others)
        return References(
            uids=frozenset().union(*(part.uids for part in parts)),
            accessions=frozenset().union(*(part.accessions for part in parts)),
            admissions=frozenset().union(*(part.admissions for part in parts)),
            known=merge_known(*(part.known for part in parts)),
        )

    @classmethod
    def of(cls, elements: Iterable[Element]) -> "References":
        """Return what *elements* refer to, those of sequence items included."""
        gathering = Gathering()
        gathering.read(elements)
        return gathering.references


class Gathering:
    """References that grow while a patient's objects are read; what is new costs, what is known does not."""

    def __init__(self) -> None:
        self._uids: set[str] = set()
        self._accessions: set[str] = set()
        self._admissions: set[str] = set()
        self._told: dict[str, set[str]] = {f.name: set() for f in fields(KnownValues)}
        self._sizes: tuple[int, int] = (0, 0)
        self._references = References()

    @property
    def references(self) -> References:
        """All that was gathered so far; ``known`` stays the same object while nothing is added to it."""
        sizes = (self._size(), sum(map(len, self._told.values())))
        if sizes != self._sizes:
            known = self._references.known
            if sizes[1] != self._sizes[1]:
                known = KnownValues(**{kind: frozenset(found) for kind, found in self._told.items()})
            self._references = References(
                frozenset(self._uids), frozenset(self._accessions), frozenset(self._admissions), known
            )
            self._sizes = sizes
        return self._references

    def _size(self) -> int:
        return len(self._uids) + len(self._accessions) + len(self._admissions)

    def add(self, references: References) -> None:
        """Add *references*."""
        self._uids |= references.uids
        self._accessions |= references.accessions
        self._admissions |= references.admissions
        for kind, found in self._told.items():
            found.update(getattr(references.known, kind))

    def read(self, elements: Iterable[Element]) -> None:
        """Add what *elements* refer to, those of sequence items included."""
        for element in elements:
            vr, values = element.vr, element.values
            if not values:
                continue
            tag = element.path[-8:]
            if vr == "UI":
                if not is_class_uid(tag):
                    self._uids.update(uid for uid in values if isinstance(uid, str) and _is_own_uid(uid))
            elif vr == "PN":
                self._told["names"].update(_telling(values))
            elif tag in _OF_INTEREST:
                if tag == _ACCESSION and element.text:
                    self._accessions.add(element.text)
                elif tag == _ADMISSION and values[0] != "":
                    self._admissions.add(str(values[0]))
                _tell(self._told, tag, element)


def _is_own_uid(uid: str) -> bool:
    return uid != "" and looks_like_uid(uid) and not is_registered(uid)


def _telling(values: Iterable[Value]) -> list[str]:
    return [text for value in values if value != "" and not is_placeholder(text := str(value))]


def _tell(told: dict[str, set[str]], tag: str, element: Element) -> None:
    """Add what *element*, whose tag is of interest, tells of its patient to *told*."""
    if tag == _BIRTH_DATE or tag in _DAYS:
        days = ("".join(day.groups()) for value in element.values if (day := _DAY.match(str(value))))
        told["birth_dates" if tag == _BIRTH_DATE else "dates"].update(days)
    elif tag == _ACCESSION:
        told["accessions"].update(_telling([element.text]))
    elif tag in _IDS:
        told["ids"].update(_telling(element.values))
    elif tag in _STEP_IDS:
        told["ids"].update(text for text in _telling(element.values) if _is_no_count(text))
    elif tag in _CONTACTS:
        told["contacts"].update(_telling(element.values))
    elif tag in _PLACES or _INSTITUTION_CODE in element.path:
        told["places"].update(_telling(element.values))


def _is_no_count(text: str) -> bool:
    return len(text.strip()) >= _MIN_STEP_ID and any(character.isdecimal() for character in text)


def references_in_headers(headers: Iterable[IdentifiedHeader]) -> References:
    """Return what C-FIND answers refer to; elements that several share are read once."""
    distinct = {id(element): element for header in headers for element in header.elements.values()}
    return References.of(distinct.values())


def covers(known: KnownValues, told: KnownValues) -> bool:
    """Whether *known* holds all values of *told*."""
    return all(getattr(told, f.name) <= getattr(known, f.name) for f in fields(KnownValues))


def merge_known(*several: KnownValues) -> KnownValues:
    """Return the union of *several* known values."""
    return KnownValues(
        **{
            f.name: frozenset().union(*(getattr(known, f.name) for known in several))
            for f in fields(KnownValues)
        }
    )
