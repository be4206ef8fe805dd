"""Probe an archive with patients named by their pseudonyms: operators only, audited."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from p2d.access.caller import Caller
from p2d.access.check import check_bulk
from p2d.audit.refusals import refusals_recorded
from p2d.flows.gateway.forms import check_forms
from p2d.flows.gateway.gateway import Gateway
from p2d.identity.port import Domain
from p2d.model.errors import InvalidRequest
from p2d.model.identified import PatientId
from p2d.model.level import Kind
from p2d.model.request import Target
from p2d.pacs.governor.port import (
    Ask,
    Ending,
    Governor,
    NotNow,
    Operation,
    Report,
    Resource,
    Wait,
    Why,
    WorkClass,
)
from p2d.pacs.probe.probe import Probe, Probed
from p2d.pacs.probe.web import WebProbe

AnyProbe = Probe | WebProbe
MOST_PATIENTS: Final = 20
_LONGEST_WAIT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Prober:
    """Probes the archives of one gateway; ``probes`` are by the archives' names in the settings."""

    gateway: Gateway
    probes: Mapping[str, AnyProbe]

    def probe(self, archive: str) -> AnyProbe:
        """Return the probe of *archive*; of the only one there is, when *archive* is empty.

        Raises:
            InvalidRequest: no such archive, or none named where there are several.

        """
        if not archive and len(self.probes) == 1:
            return next(iter(self.probes.values()))
        if archive not in self.probes:
            raise InvalidRequest(
                "--archive",
                "names no archive that can be probed" if archive else "is needed: there are several",
                f"use one of {', '.join(sorted(self.probes))}",
            )
        return self.probes[archive]

    def run(
        self,
        probe: AnyProbe,
        targets: Sequence[Target],
        caller: Caller,
        watch: Callable[[str], None] = lambda _: None,
    ) -> Probed:
        """Probe with the first suitable patient of *targets*.

        Raises:
            Refused: the caller is no operator.
            InvalidRequest: other identifiers than patients, more than MOST_PATIENTS, or none suitable.
            Unavailable, ProtocolViolation, Misconfigured: the archive does not answer simple queries.

        """
        gateway = self.gateway
        with refusals_recorded(gateway.audit, action="probe", user=caller.user):
            check_bulk(caller)
            if any(target.kind is not Kind.PATIENT for target in targets):
                raise InvalidRequest("identifiers.kind", "is not patient", "name patients to probe with")
            if len(targets) > MOST_PATIENTS:
                raise InvalidRequest(
                    "LIST", f"names more than {MOST_PATIENTS} patients", "a few with some images are enough"
                )
            check_forms(targets, gateway.patient_form)
        probe = self._governed(probe)
        subject = {"archive": probe.name, "patients": len(targets)}
        with gateway.audit.query(action="probe", user=caller.user, session="", subject=subject) as entry:
            answers = gateway.identity.resolve(Domain.PATIENT, [target.pseudonym for target in targets])
            probed = probe.run([one for one in answers if isinstance(one, PatientId)], watch)
            entry.outcome(queries=probed.bill.queries, images=probed.bill.images)
        return probed

    def _governed(self, probe: AnyProbe) -> AnyProbe:
        """Return *probe* with every request asked for at the archive's governor, as bulk work."""
        archives = self.gateway.archives
        governor = archives.governors.get(probe.name) if archives is not None else None
        if governor is None:
            return probe
        most = min(probe.effort.associations, governor.load().most_associations)
        effort = replace(probe.effort, associations=most)
        permit, stopped = partial(_admitted, governor, probe.name), partial(_stopped, governor, probe.name)
        return replace(probe, effort=effort, permit=permit, stopped=stopped)


def _stopped(governor: Governor, archive: str) -> NotNow | None:
    """Return what to end a probe with when the kill switch is set.

    Raises:
        Unavailable: the governor cannot be reached.

    """
    if not governor.load().is_stopped:
        return None
    return NotNow(archive, Why.STOPPED, "is stopped", "p2d archive resume, then try again")


def _admitted(governor: Governor, archive: str, queries: int, images: int) -> None:
    """Return when *governor* lets that many queries and images pass.

    Raises:
        NotNow: the archive may not be asked now: stopped, outside its window, or its breaker is open.
        Unavailable: the governor cannot be reached.

    """
    needs = {Resource.QUERIES: float(queries), Resource.IMAGES: float(images)}
    operation = Operation.RETRIEVE if images else Operation.FIND
    ask = Ask(WorkClass.BULK, operation, secrets.token_hex(8), needs)
    while isinstance(answer := governor.ask(ask), Wait):
        if answer.why in {Why.STOPPED, Why.WINDOW, Why.BREAKER}:
            raise NotNow(archive, answer.why, f"may not be asked now ({answer.why})", "try again later")
        time.sleep(min(answer.seconds, _LONGEST_WAIT))
    governor.report(answer.lease_id, Report(used=needs, ending=Ending.DONE))
