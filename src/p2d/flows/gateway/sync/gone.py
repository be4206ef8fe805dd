"""Find studies that were seen on the days of a sync and are not listed any more; each is asked for by itself.

A list can miss a study for other reasons than that it is gone: another day now, a list cut short, a modality.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date

from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.sync.look import shifted, shifts_of
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.identity.port import Domain
from p2d.jobs.register import Finding, Inconsistency
from p2d.jobs.seen import SeenStudy
from p2d.model.errors import ProtocolViolation
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, InstanceUid, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Level
from p2d.pacs.port import Query
from p2d.pacs.query import STUDY_DATE, day_of
from p2d.pacs.several import SeveralArchives


@dataclass(slots=True)
class Vanished:
    """Studies that are listed no more, by archive: ``gone``, or ``moved`` to the day that they have now.

    ``held`` are those of *gone* that another archive still lists.
    """

    gone: list[SeenStudy] = field(default_factory=list)
    held: set[tuple[str, str]] = field(default_factory=set)
    moved: list[SeenStudy] = field(default_factory=list)
    unjudged: int = 0

    @property
    def wholly(self) -> dict[tuple[str, str], SeenStudy]:
        """Studies that are in no archive any more, by study and patient."""
        return {(one.study, one.patient): one for one in self.gone if one.key[:2] not in self.held}

    def findings(self) -> list[Finding]:
        """Return what the register says of them."""
        return [
            Finding(Inconsistency.GONE, one.patient, one.study, times=max(one.instances or 1, 1))
            for one in self.wholly.values()
        ]


def vanished(gateway: Gateway, options: SyncOptions, listed: AbstractSet[tuple[str, str, str]]) -> Vanished:
    """Return what was seen on the days of *options*, is not marked yet, and is not among those *listed*.

    All that was ever seen is read, some patients at a time: their days are known by their shifts alone. Asks
    the archives one query for each study that is missing from the lists.

    Raises:
        Unavailable: as the archive's and the identity port.

    """
    found, archives = Vanished(), archive_names(gateway)
    for seen in gateway.ledger.seen.by_patient():
        shifts = shifts_of(gateway, sorted({one.patient for one in seen}))
        lost = [
            one
            for one in seen
            if not one.is_gone
            and one.key not in listed
            and one.archive in archives
            and options.includes(shifted(one.day, -shifts[one.patient]), one.modalities)
        ]
        _judge(gateway, lost, listed, found)
    return found


def archive_names(gateway: Gateway) -> tuple[str, ...]:
    """Return the names of the archives that are asked."""
    pacs = gateway.pacs
    return pacs.names if isinstance(pacs, SeveralArchives) else (pacs.name,)


def _judge(
    gateway: Gateway,
    lost: Sequence[SeenStudy],
    listed: AbstractSet[tuple[str, str, str]],
    found: Vanished,
) -> None:
    studies: dict[tuple[str, str], list[SeenStudy]] = defaultdict(list)
    for one in lost:
        studies[one.study, one.patient].append(one)
    patients = _resolved(gateway, Domain.PATIENT, (patient for _, patient in studies))
    uids = _resolved(gateway, Domain.STUDY, (study for study, _ in studies))
    shifts = shifts_of(gateway, sorted({patient for _, patient in studies}))
    for (study, patient), some in studies.items():
        patient_id, uid = patients.get(patient), uids.get(study)
        if not isinstance(patient_id, PatientId) or not isinstance(uid, InstanceUid):
            found.unjudged += 1
            continue
        try:
            header = _by_itself(gateway, patient_id, uid)
        except ProtocolViolation:  # of this study alone: others are judged all the same
            found.unjudged += 1
            continue
        holders = (header.archives or (gateway.pacs.name,)) if header else ()
        day = shifted(day_of(text_of(header.elements, STUDY_DATE)), shifts[patient]) if header else None
        _sort(some, holders, day, found)
        if holders or any((study, patient, archive) in listed for archive in archive_names(gateway)):
            found.held.add((study, patient))


def _by_itself(gateway: Gateway, patient_id: PatientId, uid: InstanceUid) -> IdentifiedHeader | None:
    """Return the archive's answer to a query for one study of one patient, or None."""
    found = list(gateway.pacs.find(Query(Level.STUDY, patient_id, study_instance_uid=uid.value)))
    return found[0] if found else None


def _sort(some: Iterable[SeenStudy], holders: Sequence[str], day: date | None, found: Vanished) -> None:
    for one in some:
        if one.archive in holders:
            found.moved.append(replace(one, day=day))
        else:
            found.gone.append(one)


def _resolved(
    gateway: Gateway, domain: Domain, pseudonyms: Iterable[str]
) -> dict[str, PatientId | InstanceUid]:
    unique = sorted(set(pseudonyms))
    answers = gateway.identity.resolve(domain, [Pseudonym(one) for one in unique]) if unique else []
    return {
        one: answer
        for one, answer in zip(unique, answers, strict=True)
        if isinstance(answer, PatientId | InstanceUid)
    }
