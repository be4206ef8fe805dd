"""Fetch from identity all that de-identification needs for one patient, in lists, before it starts."""

from collections.abc import Sequence

from p2d.deid.release import References
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import PatientWork
from p2d.identity.port import Domain
from p2d.model.errors import ProtocolViolation
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientKeys
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar


def keys_for(
    gateway: Gateway, work: PatientWork, references: References, studies: frozenset[str]
) -> PatientKeys:
    """Return the keys of *work*'s patient for everything in *references*.

    ``studies`` are the StudyInstanceUIDs of the archive's own answer: these get a row in identity's study
    table, so that their pseudonyms can be resolved later; all other UIDs are derived only.

    Raises:
        Unavailable, Refused, ProtocolViolation: as the identity port.

    """
    uids = dict(gateway.identity.derive(sorted(references.uids | studies)))
    ordered = sorted(studies)
    rows = gateway.identity.pseudonymise(Domain.STUDY, [InstanceUid(uid) for uid in ordered], create=True)
    for uid, row in zip(ordered, rows, strict=True):
        if row != uids[uid]:
            raise ProtocolViolation(
                "identity", "a study's table row and its derived UID differ", "check the identity key version"
            )
    cases = [CaseStay(admission, work.patient_id, None, None) for admission in sorted(references.admissions)]
    accessions = sorted(references.accessions)
    return PatientKeys(
        patient=work.patient,
        patient_id=work.patient_id,
        shift_days=0 if gateway.calendar is Calendar.TRUE else work.shift_days,
        uids=uids,
        accessions=_named(
            accessions,
            gateway.identity.pseudonymise(
                Domain.ACCESSION, [AccessionNumber(value) for value in accessions], create=True
            ),
        ),
        cases=_named(
            sorted(references.admissions), gateway.identity.pseudonymise(Domain.CASE, cases, create=False)
        ),
        known=references.known,
        true_dates=gateway.calendar is Calendar.TRUE,
    )


def _named(values: Sequence[str], answers: Sequence[object]) -> dict[str, Pseudonym]:
    return {
        value: answer for value, answer in zip(values, answers, strict=True) if isinstance(answer, Pseudonym)
    }
