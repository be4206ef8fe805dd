"""What an archive's answer refers to: all that identity is asked for before de-identification starts."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final, Self

from p2d.deid.uids import is_class_uid, is_registered, looks_like_uid
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, KnownValues

_ACCESSION: Final = "00080050"
_ADMISSION: Final = "00380010"
_BIRTH_DATE: Final = "00100030"
_IDS: Final = frozenset({"00100020", "00101000", _ADMISSION})
_OF_INTEREST: Final = _IDS | {_ACCESSION, _BIRTH_DATE}


@dataclass(frozen=True, slots=True)
class References:
    """Original UIDs, accession numbers and AdmissionIDs that need a pseudonym, and values that identify.

    ``known`` holds PatientName and all other PN values, PatientID, OtherPatientIDs, AdmissionID, accession
    numbers and birth dates.
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
    def of(cls, elements: Iterable[Element]) -> Self:
        """Return what *elements* refer to, those of sequence items included."""
        uids: set[str] = set()
        accessions: set[str] = set()
        admissions: set[str] = set()
        names: set[str] = set()
        ids: set[str] = set()
        births: set[str] = set()
        for element in elements:
            vr, values = element.vr, element.values
            if not values:
                continue
            if vr == "UI" and not is_class_uid(element.path[-8:]):
                uids.update(v for v in values if isinstance(v, str) and v and looks_like_uid(v))
            elif vr == "PN":
                names.update(str(value) for value in values if value)
            elif (tag := element.path[-8:]) in _OF_INTEREST:
                if tag == _ACCESSION:
                    accessions.add(element.text)
                elif tag == _BIRTH_DATE:
                    births.update(str(value).replace(".", "") for value in values if value)
                else:
                    ids.update(str(value) for value in values if value)
                    if tag == _ADMISSION:
                        admissions.add(str(values[0]))
        return cls(
            uids=frozenset(uid for uid in uids if not is_registered(uid)),
            accessions=frozenset(filter(None, accessions)),
            admissions=frozenset(filter(None, admissions)),
            known=KnownValues(
                names=frozenset(names),
                ids=frozenset(ids),
                accessions=frozenset(filter(None, accessions)),
                birth_dates=frozenset(births),
            ),
        )


def references_in_header(header: IdentifiedHeader) -> References:
    """Return what a C-FIND answer refers to."""
    return References.of(header.elements.values())


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
