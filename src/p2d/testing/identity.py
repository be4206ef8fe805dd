"""An identity manager in memory: the port's whole behaviour, a fixed key, nothing on disk."""

from collections.abc import Mapping, Sequence
from typing import Final

from p2d.identity.keys import (
    Keys,
    is_well_known_uid,
    normal_identifier,
    trim_uid,
    why_unresolved,
)
from p2d.identity.port import Ambiguous, Domain, Failure, Identifier, Invalid, NotFound
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId
from p2d.model.ids import Pseudonym

TEST_KEY: Final = bytes(range(32))
_KIND_OF: Final[Mapping[Domain, type[Identifier]]] = {
    Domain.PATIENT: PatientId,
    Domain.CASE: CaseStay,
    Domain.ACCESSION: AccessionNumber,
    Domain.STUDY: InstanceUid,
}


class MemoryIdentity:
    """The ``Identity`` port over dictionaries; the same key gives the same pseudonyms in every test."""

    def __init__(self, key: bytes = TEST_KEY, max_shift_days: int = 365) -> None:
        self._keys = Keys(key, 1)
        self._max_shift_days = max_shift_days
        self._known: dict[tuple[Domain, Pseudonym], Identifier] = {}

    def resolve(self, domain: Domain, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Return the identifier behind each pseudonym; see the port."""
        return [self._known.get((domain, psn), why_unresolved(domain, psn)) for psn in pseudonyms]

    def pseudonymise(
        self, domain: Domain, identifiers: Sequence[Identifier], *, create: bool
    ) -> list[Pseudonym | Failure]:
        """Return the pseudonym of each identifier; see the port."""
        return [self._pseudonym(domain, identifier, create=create) for identifier in identifiers]

    def derive(self, uids: Sequence[str]) -> Mapping[str, str]:
        """Return original → derived UID; see the port."""
        return {uid: self._keys.derive_uid(uid) for uid in uids}

    def date_shift(self, patients: Sequence[Pseudonym]) -> list[int]:
        """Return each patient's shift in days; see the port."""
        return [self._keys.shift_days(patient, self._max_shift_days) for patient in patients]

    def ping(self) -> None:
        """Answer: it is always there."""

    def _pseudonym(self, domain: Domain, identifier: Identifier, *, create: bool) -> Pseudonym | Failure:
        normal = _normal(domain, identifier)
        if normal is None:
            return Invalid()
        if isinstance(normal, CaseStay):
            return self._case(normal, create=create)
        psn = self._keys.table_pseudonym(domain, normal.value)
        if create:
            self._known.setdefault((domain, psn), normal)
        return psn if (domain, psn) in self._known else NotFound()

    def _case(self, stay: CaseStay, *, create: bool) -> Pseudonym | Failure:
        if not stay.patient_id.value:
            found = [
                psn
                for (domain, psn), known in self._known.items()
                if domain is Domain.CASE
                and isinstance(known, CaseStay)
                and known.admission_id == stay.admission_id
            ]
            return found[0] if len(found) == 1 else Ambiguous() if found else NotFound()
        psn = self._keys.table_pseudonym(Domain.CASE, f"{stay.patient_id.value}\0{stay.admission_id}")
        if create and ((Domain.CASE, psn) not in self._known or stay.start or stay.end):
            self._known[Domain.CASE, psn] = stay
        return psn if (Domain.CASE, psn) in self._known else NotFound()


def _normal(domain: Domain, identifier: Identifier) -> Identifier | None:
    if not isinstance(identifier, _KIND_OF[domain]):
        return None
    if isinstance(identifier, CaseStay):
        admission = normal_identifier(identifier.admission_id)
        patient = identifier.patient_id.value and normal_identifier(identifier.patient_id.value)
        is_reversed = identifier.start and identifier.end and identifier.end < identifier.start
        if admission is None or patient is None or is_reversed:
            return None
        return CaseStay(admission, PatientId(patient), identifier.start, identifier.end)
    text = trim_uid(identifier.value) if domain is Domain.STUDY else identifier.value
    normal = normal_identifier(text)
    if normal is None or (domain is Domain.STUDY and is_well_known_uid(normal)):
        return None
    return type(identifier)(normal)
