"""Fetch from identity all that de-identification needs, in lists over several patients, before it starts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from p2d.deid.references import References
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import PatientWork
from p2d.identity.port import Domain
from p2d.model.errors import Misconfigured, ProtocolViolation
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientKeys
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar

_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be released of one patient.

    ``studies`` are the StudyInstanceUIDs of the archive's own answer: these get a row in identity's study
    table, so that their pseudonyms can be resolved later; all other UIDs are derived only.
    """

    work: PatientWork
    references: References = field(repr=False)
    studies: frozenset[str] = field(repr=False)


def keys_for(gateway: Gateway, wanted: Sequence[Wanted]) -> list[PatientKeys]:
    """Return the keys of each of *wanted*; identity is asked once for all of them, list by list.

    Raises:
        Unavailable, Refused, ProtocolViolation: as the identity port.
        Misconfigured: the profile asks for whole weeks, and identity moves by days.

    """
    keys = extended(
        gateway,
        [
            (_bare(gateway, one), replace(one.references, uids=one.references.uids | one.studies))
            for one in wanted
        ],
    )
    ordered = sorted(frozenset().union(*(one.studies for one in wanted)))
    rows = gateway.identity.pseudonymise(Domain.STUDY, [InstanceUid(uid) for uid in ordered], create=True)
    row_of = dict(zip(ordered, rows, strict=True))
    if any(
        row_of[uid] != own.uids[uid] for one, own in zip(wanted, keys, strict=True) for uid in one.studies
    ):
        raise ProtocolViolation(
            "identity", "a study's table row and its derived UID differ", "check the identity key version"
        )
    return keys


def _bare(gateway: Gateway, wanted: Wanted) -> PatientKeys:
    work, is_true = wanted.work, gateway.calendar is Calendar.TRUE
    if gateway.profile.whole_weeks and not is_true and work.shift_days % _WEEK:
        raise Misconfigured(
            "identity.shift_by_weeks",
            "is false, but the profile moves dates by whole weeks",
            "set it to true",
        )
    return PatientKeys(
        patient=work.patient,
        patient_id=work.patient_id,
        shift_days=0 if is_true else work.shift_days,
        uids={},
        accessions={},
        cases={},
        known=wanted.references.known,
        true_dates=is_true,
    )


def extended(gateway: Gateway, several: Sequence[tuple[PatientKeys, References]]) -> list[PatientKeys]:
    """Return each patient's keys with what its references add to them; identity is asked for new ones only.

    Raises:
        Unavailable, Refused, ProtocolViolation: as the identity port.

    """
    identity = gateway.identity
    new = [
        (
            keys,
            references,
            references.uids - keys.uids.keys(),
            references.accessions - keys.accessions.keys(),
            references.admissions - keys.cases.keys(),
        )
        for keys, references in several
    ]
    uids = sorted(frozenset().union(*(found for _, _, found, _, _ in new)))
    accessions = sorted(frozenset().union(*(found for _, _, _, found, _ in new)))
    stays = [
        CaseStay(value, keys.patient_id, None, None)
        for keys, _, _, _, found in new
        for value in sorted(found)
    ]
    numbers = [AccessionNumber(value) for value in accessions]
    named = identity.pseudonymise(Domain.ACCESSION, numbers, create=True) if numbers else []
    cases = iter(identity.pseudonymise(Domain.CASE, stays, create=False) if stays else [])
    derived = identity.derive(uids) if uids else {}
    number_of = dict(zip(accessions, named, strict=True))
    return [
        replace(
            keys,
            uids={**keys.uids, **{uid: derived[uid] for uid in own_uids}},
            accessions={**keys.accessions, **_named((value, number_of[value]) for value in own_numbers)},
            cases={**keys.cases, **_named([(value, next(cases)) for value in sorted(own_stays)])},
            known=references.known,
        )
        for keys, references, own_uids, own_numbers, own_stays in new
    ]


def _named(answers: Iterable[tuple[str, object]]) -> dict[str, Pseudonym]:
    return {value: answer for value, answer in answers if isinstance(answer, Pseudonym)}
