"""From the pseudonyms of a request to the patients and searches the archive is asked for.

Identifiers live in what this module returns and nowhere else; callers keep it for one patient batch. What is
unknown and what is outside the session end in the same error.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from p2d.access.check import unknown
from p2d.flows.gateway.gateway import Gateway
from p2d.identity.port import Ambiguous, Domain, Failure, Invalid, NotFound
from p2d.model.errors import InvalidRequest
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Kind
from p2d.model.request import Target, TimeFrame

SEARCH_BUDGET: Final = 50
"""Patients searched at most for a series or instance that comes without its study (one C-FIND each)."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for in one patient; days are true dates, both inclusive.

    ``admission_stated`` asks for studies that state the AdmissionID: without days, no other can be told to be
    of the stay.
    """

    study_instance_uid: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    admission_id: str = field(default="", repr=False)
    admission_stated: bool = False
    first_day: date | None = field(default=None, repr=False)
    last_day: date | None = field(default=None, repr=False)
    series: Pseudonym | None = None
    instance: Pseudonym | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no day is left to search: a stay and a time frame that do not meet."""
        return self.first_day is not None and self.last_day is not None and self.last_day < self.first_day


@dataclass(frozen=True, slots=True)
class PatientWork:
    """One patient to search, with the shift of its dates in whole days."""

    patient: Pseudonym
    patient_id: PatientId
    shift_days: int = field(repr=False)
    searches: tuple[Search, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A target without a patient, and why: NotFound, Invalid or Ambiguous."""

    field: str
    pseudonym: Pseudonym
    reason: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A target that has a patient; its frame is still in the calendar of the request."""

    patient: Pseudonym
    patient_id: PatientId
    search: Search
    frame: TimeFrame | None


def locate(
    gateway: Gateway, targets: Sequence[Target], patients: frozenset[Pseudonym] | None
) -> tuple[list[PatientWork], list[Unresolved]]:
    """Resolve *targets*; with *patients* (a session's) only these are searched and asked about.

    Raises:
        NotFound: within a session, a target that is unknown or belongs to another patient.
        InvalidRequest: a series or instance without its study and too many patients to search.

    """
    found: list[_Found] = []
    unresolved: list[Unresolved] = []
    for kind, group in _by_kind(targets).items():
        answers = _RESOLVERS[kind](gateway, [target for _, target in group], patients)
        for (index, target), answer in zip(group, answers, strict=True):
            name = f"identifiers[{index}]"
            inside = (
                answer
                if patients is None or isinstance(answer, Failure)
                else [item for item in answer if item.patient in patients]
            )
            if isinstance(inside, list) and inside:
                found.extend(inside)
            elif patients is not None:
                raise unknown(name)
            else:
                reason = type(answer).__name__ if isinstance(answer, Failure) else NotFound.__name__
                unresolved.append(Unresolved(name, target.pseudonym, reason))
    return _works(gateway, found), unresolved


def _by_kind(targets: Sequence[Target]) -> dict[Kind, list[tuple[int, Target]]]:
    groups: dict[Kind, list[tuple[int, Target]]] = defaultdict(list)
    for index, target in enumerate(targets):
        groups[target.kind].append((index, target))
    return groups


_Answer = list[_Found] | Failure


def _patients(gateway: Gateway, targets: list[Target], _: frozenset[Pseudonym] | None) -> list[_Answer]:
    answers = gateway.identity.resolve(Domain.PATIENT, [target.pseudonym for target in targets])
    return [
        [_Found(target.pseudonym, answer, Search(), target.frame)]
        if isinstance(answer, PatientId)
        else _failure(answer)
        for target, answer in zip(targets, answers, strict=True)
    ]


def _cases(gateway: Gateway, targets: list[Target], _: frozenset[Pseudonym] | None) -> list[_Answer]:
    answers = gateway.identity.resolve(Domain.CASE, [target.pseudonym for target in targets])
    stays = [answer for answer in answers if isinstance(answer, CaseStay)]
    names = _pseudonyms(gateway, [stay.patient_id for stay in stays])
    result: list[_Answer] = []
    for target, answer in zip(targets, answers, strict=True):
        if not isinstance(answer, CaseStay):
            result.append(_failure(answer))
            continue
        patient = names.get(answer.patient_id.value)
        search = Search(
            admission_id=answer.admission_id,
            admission_stated=answer.start is None and answer.end is None,
            first_day=answer.start,
            last_day=answer.end,
        )
        result.append([_Found(patient, answer.patient_id, search, target.frame)] if patient else NotFound())
    return result


def _studies(gateway: Gateway, targets: list[Target], _: frozenset[Pseudonym] | None) -> list[_Answer]:
    return _by_study(gateway, targets, [target.pseudonym for target in targets])


def _accessions(gateway: Gateway, targets: list[Target], _: frozenset[Pseudonym] | None) -> list[_Answer]:
    answers = gateway.identity.resolve(Domain.ACCESSION, [target.pseudonym for target in targets])
    result: list[_Answer] = []
    for target, answer in zip(targets, answers, strict=True):
        if not isinstance(answer, AccessionNumber):
            result.append(_failure(answer))
            continue
        owners = gateway.pacs.owners(accession_number=answer.value)
        result.append(_owned(gateway, owners, Search(accession_number=answer.value), target))
    return result


def _below_study(
    gateway: Gateway, targets: list[Target], patients: frozenset[Pseudonym] | None
) -> list[_Answer]:
    with_study = [target for target in targets if target.study]
    answers = iter(_by_study(gateway, with_study, [t.study for t in with_study if t.study]))
    return [next(answers) if target.study else _everywhere(gateway, target, patients) for target in targets]


def _everywhere(gateway: Gateway, target: Target, patients: frozenset[Pseudonym] | None) -> _Answer:
    if patients is None or len(patients) > SEARCH_BUDGET:
        raise InvalidRequest(
            "identifiers.study",
            f"is missing: without it at most {SEARCH_BUDGET} patients of a session are searched",
            "send the pseudonym of the study that the series or instance belongs to",
        )
    wanted = [Target(Kind.PATIENT, patient, None, target.frame) for patient in sorted(patients)]
    search = _part(target, Search())
    return [
        _Found(item.patient, item.patient_id, search, item.frame)
        for answer in _patients(gateway, wanted, patients)
        if isinstance(answer, list)
        for item in answer
    ]


def _by_study(gateway: Gateway, targets: list[Target], studies: list[Pseudonym]) -> list[_Answer]:
    answers = gateway.identity.resolve(Domain.STUDY, studies)
    result: list[_Answer] = []
    for target, answer in zip(targets, answers, strict=True):
        if not isinstance(answer, InstanceUid):
            result.append(_failure(answer))
            continue
        owners = gateway.pacs.owners(study_instance_uid=answer.value)
        search = _part(target, Search(study_instance_uid=answer.value))
        result.append(_owned(gateway, owners, search, target))
    return result


def _part(target: Target, search: Search) -> Search:
    return Search(
        study_instance_uid=search.study_instance_uid,
        series=target.pseudonym if target.kind is Kind.SERIES else None,
        instance=target.pseudonym if target.kind is Kind.INSTANCE else None,
    )


def _owned(gateway: Gateway, owners: list[PatientId], search: Search, target: Target) -> _Answer:
    names = _pseudonyms(gateway, owners)
    found = [
        _Found(names[owner.value], owner, search, target.frame) for owner in owners if owner.value in names
    ]
    return found or NotFound()


def _pseudonyms(gateway: Gateway, patients: Iterable[PatientId]) -> dict[str, Pseudonym]:
    unique = list(dict.fromkeys(patients))
    answers = gateway.identity.pseudonymise(Domain.PATIENT, unique, create=False) if unique else []
    return {
        patient.value: answer
        for patient, answer in zip(unique, answers, strict=True)
        if isinstance(answer, Pseudonym)
    }


def _failure(answer: object) -> Failure:
    return answer if isinstance(answer, (NotFound, Invalid, Ambiguous)) else NotFound()


_RESOLVERS: Final = {
    Kind.PATIENT: _patients,
    Kind.CASE: _cases,
    Kind.STUDY: _studies,
    Kind.ACCESSION: _accessions,
    Kind.SERIES: _below_study,
    Kind.INSTANCE: _below_study,
}


def _works(gateway: Gateway, found: list[_Found]) -> list[PatientWork]:
    by_patient: dict[Pseudonym, list[_Found]] = defaultdict(list)
    for item in found:
        by_patient[item.patient].append(item)
    names = list(by_patient)
    shifts = dict(zip(names, gateway.identity.date_shift(names), strict=True)) if names else {}
    return [
        PatientWork(
            patient=patient,
            patient_id=items[0].patient_id,
            shift_days=shifts[patient],
            searches=tuple(dict.fromkeys(_framed(gateway, item, shifts[patient]) for item in items)),
        )
        for patient, items in by_patient.items()
    ]


def _framed(gateway: Gateway, item: _Found, shift_days: int) -> Search:
    frame = item.frame
    if frame is None:
        return item.search
    is_shifted = frame.calendar is Calendar.SHIFTED and gateway.calendar is Calendar.SHIFTED
    back = timedelta(days=shift_days if is_shifted else 0)
    starts = [day for day in (item.search.first_day, _moved(frame.start, back)) if day]
    ends = [day for day in (item.search.last_day, _moved(frame.end, back)) if day]
    return replace(item.search, first_day=max(starts, default=None), last_day=min(ends, default=None))


def _moved(day: date | None, back: timedelta) -> date | None:
    try:
        return day and day - back
    except OverflowError:  # stated at an end of the calendar to mean "open"
        return date.min if back > timedelta(0) else date.max
