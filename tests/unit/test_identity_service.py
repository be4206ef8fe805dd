from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from p2d.identity.port import Domain
from p2d.identity.service import Asked, ClientView, IdentityService, Outcome
from p2d.model.errors import InvalidRequest, P2DError, Refused, Unavailable
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym
from p2d.testing.identity import MemoryIdentity

PSN = Pseudonym("PSN-1")
CALLS = [f"{domain}:{action}" for domain in Domain for action in ("resolve", "pseudonymise", "create")]
CALLS += ["uid:derive", "patient:date_shift"]


def call(view: ClientView, right: str) -> object:
    domain, _, action = right.partition(":")
    if action == "derive":
        return view.derive(["1.2.3"])
    if action == "date_shift":
        return view.date_shift([PSN])
    if action == "resolve":
        return view.resolve(Domain(domain), [PSN])
    return view.pseudonymise(Domain(domain), [], create=action == "create")


class Journal:
    """A recorder that keeps its lines, and fails where it is told to."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.lines: list[object] = []
        self._is_full = is_full

    @contextmanager
    def __call__(self, asked: Asked) -> Iterator[Callable[[Outcome], None]]:
        if self._is_full:
            raise Unavailable("audit", "is full")
        self.lines.append(asked)
        try:
            yield lambda outcome: self.lines.append(dict(outcome))
        except P2DError as error:
            self.lines.append(error.title)
            raise


def client(*rights: str, journal: Journal | None = None) -> ClientView:
    service = IdentityService(MemoryIdentity(), recorder=journal or Journal())
    return service.as_client("gateway", frozenset(rights))


@pytest.mark.parametrize("right", CALLS)
def test_a_client_may_do_what_its_right_names(right: str) -> None:
    call(client(right), right)


@pytest.mark.parametrize("right", CALLS)
def test_without_the_right_a_call_is_refused_and_recorded(right: str) -> None:
    journal = Journal()
    others = [other for other in CALLS if other != right]
    if right.endswith(":pseudonymise"):  # the right to create includes it
        others.remove(right.replace("pseudonymise", "create"))

    with pytest.raises(Refused, match=right):
        call(client(*others, journal=journal), right)

    assert journal.lines[-1] == "Refused"


def test_the_right_to_create_includes_asking_without() -> None:
    assert client("patient:create").pseudonymise(Domain.PATIENT, [], create=False) == []


def test_intent_comes_before_and_outcome_after_and_both_hold_numbers_only() -> None:
    journal = Journal()
    view = client("patient:create", "patient:resolve", journal=journal)

    (psn, _) = view.pseudonymise(Domain.PATIENT, [PatientId("KANARI"), PatientId("*")], create=True)
    assert isinstance(psn, Pseudonym)
    view.resolve(Domain.PATIENT, [psn, PSN, Pseudonym("?")])

    assert journal.lines == [
        Asked("gateway", "patient", "create", 2),
        {"value": 1, "invalid": 1},
        Asked("gateway", "patient", "resolve", 3),
        {"value": 1, "not_found": 1, "invalid": 1},
    ]


def test_without_a_record_there_is_no_answer() -> None:
    with pytest.raises(Unavailable):
        client("uid:derive", journal=Journal(is_full=True)).derive(["1.2.3"])


def test_a_list_of_more_than_10000_items_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="10000"):
        client("uid:derive").derive(["1.2.3"] * 10_001)


def test_a_shift_is_only_for_a_pseudonym() -> None:
    with pytest.raises(InvalidRequest):
        client("patient:date_shift").date_shift([Pseudonym("*")])
