"""Port to identity management: translate identifiers and pseudonyms, in lists, one outcome an item.

A connector never answers with a default, a neighbour's value or the input itself: an item is a value or says
why there is none. Lists keep order and length; duplicates are answered each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId
from p2d.model.ids import Pseudonym

Identifier = PatientId | AccessionNumber | InstanceUid | CaseStay


class Domain(StrEnum):
    """Pseudonym domains with a table; series, instances and other UIDs are derived without one."""

    PATIENT = "patient"
    CASE = "case"
    ACCESSION = "accession"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class NotFound:
    """Identity management knows no such item."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """The item is not in a form that can be asked (empty, a wildcard, wrong check character)."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """More than one answer; none is given."""


Failure = NotFound | Invalid | Ambiguous


class Identity(Protocol):
    """What the gateway asks of identity management; safe to share between threads.

    All methods take lists of up to 10,000 items; longer ones are split by the connector.

    Raises (all methods):
        Unavailable: the service is silent or busy.
        Refused: this client has no right to the domain and direction.
        ProtocolViolation: an answer of the wrong length, order or form.
    """

    def resolve(self, domain: Domain, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Return what is behind each pseudonym: PatientId, CaseStay, AccessionNumber or InstanceUid."""
        ...

    def pseudonymise(
        self, domain: Domain, identifiers: Sequence[Identifier], *, create: bool
    ) -> list[Pseudonym | Failure]:
        """Return each identifier's pseudonym; with *create* unknown ones are added where the IDM may."""
        ...

    def derive(self, uids: Sequence[str]) -> Mapping[str, str]:
        """Return original → derived UID (``2.25.`` + HMAC); every UID asked for has an entry."""
        ...

    def date_shift(self, patients: Sequence[Pseudonym]) -> list[int]:
        """Return each patient's shift in whole days, never 0, the same in every run."""
        ...

    def ping(self) -> None:
        """Ask whether the service answers and accepts this client's secret."""
        ...
