"""Fetch from identity all that de-identification needs for one patient, in lists, before it starts."""

from collections.abc import Sequence
from dataclasses import replace
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


def keys_for(
    gateway: Gateway, work: PatientWork, references: References, studies: frozenset[str]
) -> PatientKeys:
    """Return the keys of *work*'s patient for everything in *references*.

    ``studies`` are the StudyInstanceUIDs of the archive's own answer: these get a row in identity's study
    table, so that their pseudonyms can be resolved later; all other UIDs are derived only.

    Raises:
        Unavailable, Refused, ProtocolViolation: as the identity port.
        Misconfigured: the profile asks for whole weeks, and identity moves by days.

    """
    is_true = gateway.calendar is Calendar.TRUE
    if gateway.profile.whole_weeks and not is_true and work.shift_days % _WEEK:
        raise Misconfigured(
            "identity.shift_by_weeks",
            "is false, but the profile moves dates by whole weeks",
            "set it to true",
        )
    bare = PatientKeys(
        patient=work.patient,
        patient_id=work.patient_id,
        shift_days=0 if is_true else work.shift_days,
        uids={},
        accessions={},
        cases={},
        known=references.known,
        true_dates=is_true,
    )
    keys = extended(gateway, bare, replace(references, uids=references.uids | studies))
    ordered = sorted(studies)
    rows = gateway.identity.pseudonymise(Domain.STUDY, [InstanceUid(uid) for uid in ordered], create=True)
    if any(row != keys.uids[uid] for uid, row in zip(ordered, rows, strict=True)):
        raise ProtocolViolation(
            "identity", "a study's table row and its derived UID differ", "check the identity key version"
        )
    return keys


def extended(gateway: Gateway, keys: PatientKeys, references: References) -> PatientKeys:
    """Return *keys* with what *references* add to them; identity is asked for the new ones only.

    Raises:
        Unavailable, Refused, ProtocolViolation: as the identity port.

    """
    identity = gateway.identity
    uids = sorted(references.uids - keys.uids.keys())
    accessions = sorted(references.accessions - keys.accessions.keys())
    admissions = sorted(references.admissions - keys.cases.keys())
    numbers = [AccessionNumber(value) for value in accessions]
    stays = [CaseStay(value, keys.patient_id, None, None) for value in admissions]
    named = identity.pseudonymise(Domain.ACCESSION, numbers, create=True) if numbers else []
    cases = identity.pseudonymise(Domain.CASE, stays, create=False) if stays else []
    return replace(
        keys,
        uids={**keys.uids, **(identity.derive(uids) if uids else {})},
        accessions={**keys.accessions, **_named(accessions, named)},
        cases={**keys.cases, **_named(admissions, cases)},
        known=references.known,
    )


def _named(values: Sequence[str], answers: Sequence[object]) -> dict[str, Pseudonym]:
    return {
        value: answer for value, answer in zip(values, answers, strict=True) if isinstance(answer, Pseudonym)
    }
