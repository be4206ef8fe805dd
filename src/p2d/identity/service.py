"""The service's core: own table and foreign connector behind one port, each client within its rights.

Every call states its intent to the recorder before anything is looked up and its outcome afterwards; where
the recorder fails there is no answer. The record holds client, domain, action and numbers, no identifier.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from p2d.identity.port import Domain, Failure, Identifier, Identity
from p2d.identity.wire import MAX_ITEMS, VALUE, status_of
from p2d.model.errors import InvalidRequest, Refused
from p2d.model.ids import Pseudonym

Outcome = Mapping[str, int]
_RIGHT_OF_CREATE: Final = "create"


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: who asks for what, and for how many items."""

    client: str
    domain: str
    action: str
    count: int


class Recorder(Protocol):
    """Keeps the audit record of a call: intent when the ``with`` block is entered, outcome when it ends."""

    def __call__(self, asked: Asked) -> AbstractContextManager[Callable[[Outcome], None]]:
        """Return the block's guard; what it yields takes the number of items by status.

        Raises:
            Unavailable: on entry or exit, where it cannot be recorded; then nothing may be answered.

        """
        ...


class ForeignPatients(Protocol):
    """A foreign identity manager for the patient domain."""

    def resolve(self, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Return the patient behind each pseudonym."""
        ...

    def pseudonymise(self, identifiers: Sequence[Identifier]) -> list[Pseudonym | Failure]:
        """Return the pseudonym of each patient."""
        ...


@contextmanager
def no_record(asked: Asked) -> Iterator[Callable[[Outcome], None]]:
    """Record nothing: for tests, and for the command line on identity's own machine."""
    del asked
    yield lambda outcome: None  # noqa: ARG005 - dropped on purpose


class IdentityService:
    """Own table plus an optional foreign manager of patients; ``as_client`` is the way in."""

    def __init__(
        self, own: Identity, foreign: ForeignPatients | None = None, recorder: Recorder = no_record
    ) -> None:
        self._own = own
        self._foreign = foreign
        self._recorder = recorder

    def as_client(self, name: str, rights: frozenset[str]) -> "ClientView":
        """Return the port as the client *name* may use it; *rights* are ``domain:action``."""
        return ClientView(self._own, self._foreign, self._recorder, name, rights)


class ClientView:
    """The ``Identity`` port with one client's rights and record."""

    def __init__(
        self,
        own: Identity,
        foreign: ForeignPatients | None,
        recorder: Recorder,
        client: str,
        rights: frozenset[str],
    ) -> None:
        self._own = own
        self._foreign = foreign
        self._recorder = recorder
        self._client = client
        self._rights = rights

    def resolve(self, domain: Domain, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Return the identifier behind each pseudonym; see the port."""
        with self._recorded(domain, "resolve", len(pseudonyms)) as outcome:
            answers = (
                self._foreign.resolve(pseudonyms)
                if domain is Domain.PATIENT and self._foreign
                else self._own.resolve(domain, pseudonyms)
            )
            outcome.update(_statuses(answers))
        return answers

    def pseudonymise(
        self, domain: Domain, identifiers: Sequence[Identifier], *, create: bool
    ) -> list[Pseudonym | Failure]:
        """Return the pseudonym of each identifier; see the port. Creating needs its own right."""
        action = _RIGHT_OF_CREATE if create else "pseudonymise"
        with self._recorded(domain, action, len(identifiers)) as outcome:
            answers = (
                self._foreign.pseudonymise(identifiers)
                if domain is Domain.PATIENT and self._foreign
                else self._own.pseudonymise(domain, identifiers, create=create)
            )
            outcome.update(_statuses(answers))
        return answers

    def derive(self, uids: Sequence[str]) -> Mapping[str, str]:
        """Return original → derived UID; see the port."""
        with self._recorded("uid", "derive", len(uids)) as outcome:
            derived = self._own.derive(uids)
            outcome[VALUE] = len(uids)
        return derived

    def date_shift(self, patients: Sequence[Pseudonym]) -> list[int]:
        """Return each patient's shift in days; see the port.

        Raises:
            InvalidRequest: an item is not a pseudonym.

        """
        with self._recorded(Domain.PATIENT, "date_shift", len(patients)) as outcome:
            shifts = self._own.date_shift([Pseudonym.parse(patient, "patients") for patient in patients])
            outcome[VALUE] = len(patients)
        return shifts

    def ping(self) -> None:
        """Ask whether the database answers."""
        self._own.ping()

    @contextmanager
    def _recorded(self, domain: str, action: str, count: int) -> Iterator[Counter[str]]:
        outcome: Counter[str] = Counter()
        with self._recorder(Asked(self._client, domain, action, count)) as report:
            self._check(domain, action, count)
            yield outcome
            report(outcome)

    def _check(self, domain: str, action: str, count: int) -> None:
        implied = action == "pseudonymise" and f"{domain}:{_RIGHT_OF_CREATE}" in self._rights
        if f"{domain}:{action}" not in self._rights and not implied:
            problem = f"client {self._client} has no right {domain}:{action}"
            raise Refused(
                "rights", problem, "add it under [[clients]] in identity's settings, if it is meant"
            )
        if count > MAX_ITEMS:
            raise InvalidRequest("items", f"are more than {MAX_ITEMS}", "split the list")


def _statuses(answers: Sequence[object]) -> Counter[str]:
    return Counter(status_of(a) if isinstance(a, Failure) else VALUE for a in answers)
