"""Retrieve what was picked of one patient: resumed where it broke off, compared with the archive at its end.

What arrived is never asked for again, so that an archive which stalls or restarts every few minutes still
brings its largest patient.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from p2d.flows.gateway.gateway import Gateway
from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.governor.port import NotNow
from p2d.pacs.port import Query, RetrieveCounts

_COUNTS: Final = ("00201206", "00201208")
"""NumberOfStudyRelatedSeries, NumberOfStudyRelatedInstances."""


def fetched(
    gateway: Gateway,
    patient_id: PatientId,
    picks: Sequence[IdentifiedHeader],
    counts: RetrieveCounts,
    *,
    pixels: bool,
) -> Iterator[IdentifiedInstance]:
    """Yield each of *picks* that arrives, as ``Pacs.retrieve``; *counts* tells of interruptions and changes.

    Once something has arrived the rest is asked for again, at most ``gateway.attempts`` times in vain.

    Raises:
        Unavailable: nothing arrived, or no more does.
        NotNow: the archive may not be asked any more.
        ProtocolViolation, Misconfigured: as ``Pacs.retrieve``.

    """
    missing = {header.sop_instance_uid: header for header in picks}
    interruptions, fruitless, has_begun = 0, 0, False
    while missing:
        try:
            for one in gateway.pacs.retrieve(patient_id, [*missing.values()], counts, pixels=pixels):
                missing.pop(one.header.sop_instance_uid, None)
                fruitless, has_begun = 0, True
                yield one
            break
        except NotNow:  # not to be asked again so soon
            raise
        except Unavailable:
            fruitless += 1
            if not has_begun or fruitless > gateway.attempts:
                raise
        interruptions += 1
        time.sleep(gateway.retry_seconds * fruitless)
    if interruptions:
        counts.notes.append(f"the retrieve broke off {interruptions} times and was resumed for the rest")
    if has_begun:
        counts.notes.extend(_changes(gateway, patient_id, picks))


def _changes(gateway: Gateway, patient_id: PatientId, picks: Sequence[IdentifiedHeader]) -> Iterator[str]:
    """Tell whether the archive counts otherwise now than when *picks* were listed; one query.

    Archives that count nothing tell nothing.
    """
    before = {uid: stated for uid, stated in _counted(picks).items() if any(stated)}
    if not before:
        return
    study = next(iter(before)) if len(before) == 1 else ""
    try:
        found = [*gateway.pacs.find(Query(Level.STUDY, patient_id, study_instance_uid=study))]
    except (Unavailable, ProtocolViolation):
        yield "the archive could not be asked whether studies changed while their images were fetched"
        return
    now = _counted(found)
    changed = sum(now.get(uid) != stated for uid, stated in before.items())
    if changed:
        yield (
            f"{changed} studies changed in the archive while their images were fetched; what was listed at "
            "first was fetched, the next sync brings the rest"
        )


def _counted(headers: Sequence[IdentifiedHeader]) -> Mapping[str, tuple[str, ...]]:
    return {one.study_instance_uid: tuple(text_of(one.elements, path) for path in _COUNTS) for one in headers}
