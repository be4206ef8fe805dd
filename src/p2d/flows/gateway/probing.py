"""Probe an archive with patients named by their pseudonyms: operators only, audited."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
from p2d.pacs.probe.probe import Probe, Probed

MOST_PATIENTS = 20


@dataclass(frozen=True, slots=True)
class Prober:
    """Probes the archives of one gateway; ``probes`` are by the archives' names in the settings."""

    gateway: Gateway
    probes: Mapping[str, Probe]

    def probe(self, archive: str) -> Probe:
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
        probe: Probe,
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
        subject = {"archive": probe.name, "patients": len(targets)}
        with gateway.audit.query(action="probe", user=caller.user, session="", subject=subject) as entry:
            answers = gateway.identity.resolve(Domain.PATIENT, [target.pseudonym for target in targets])
            probed = probe.run([one for one in answers if isinstance(one, PatientId)], watch)
            entry.outcome(queries=probed.bill.queries, images=probed.bill.images)
        return probed
