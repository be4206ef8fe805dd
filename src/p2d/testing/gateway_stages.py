"""A gateway over fakes: archive, identity and warehouse in memory, real ledger, audit log and sessions."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2d.access.caller import Caller
from p2d.access.policy import ModalityPolicy
from p2d.access.roles import Role
from p2d.access.sessions import Session, SessionStore
from p2d.audit.log import AuditLog
from p2d.export.hold import HoldStore
from p2d.flows.gateway.gateway import Gateway
from p2d.identity.port import Domain, Failure, Identifier
from p2d.jobs.ledger import Ledger
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Kind
from p2d.model.request import Target, TimeFrame
from p2d.pixels.render import NotRenderable
from p2d.testing.holdings import HeldInstance
from p2d.testing.identity import MemoryIdentity
from p2d.testing.memory_pacs import MemoryPacs
from p2d.testing.memory_warehouse import MemoryWarehouse

OPERATOR = Caller("olga", Role.OPERATOR, "test")
RESEARCHER = Caller("rita", Role.RESEARCHER, "test")
OFFICER = Caller("otto", Role.OFFICER, "test")


class CountingIdentity(MemoryIdentity):
    """An identity manager in memory that counts what it resolves."""

    def __init__(self) -> None:
        super().__init__()
        self.resolved = 0

    def resolve(self, domain: Domain, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Count and answer; see the port."""
        self.resolved += len(pseudonyms)
        return super().resolve(domain, pseudonyms)


@dataclass(slots=True)
class FixedRenderer:
    """Draws the same bytes for every image; ``fails`` makes none renderable."""

    fails: bool = False

    def render(self, content: bytes, *, frame: int = 0, quality: int = 90, width: int | None = None) -> bytes:
        """Return a picture of *content*, or raise NotRenderable."""
        del frame, quality, width  # the same picture whatever is asked
        if self.fails:
            raise NotRenderable("no decoder")
        return b"\xff\xd8" + len(content).to_bytes(4, "big")


@dataclass(slots=True)
class GatewayStages:
    """A gateway with its fakes at hand and short words for what tests ask."""

    gateway: Gateway
    pacs: MemoryPacs
    identity: CountingIdentity
    warehouse: MemoryWarehouse
    audit_file: Path
    renderer: FixedRenderer = field(default_factory=FixedRenderer)

    def patient(self, patient_id: str, *, known: bool = True) -> Pseudonym:
        """Return the pseudonym of *patient_id*; only a known one can be resolved."""
        return self._named(Domain.PATIENT, PatientId(patient_id), known=known)

    def study(self, uid: str) -> Pseudonym:
        """Return the pseudonym of a study, in identity's table from now on."""
        return self._named(Domain.STUDY, InstanceUid(uid))

    def accession(self, number: str) -> Pseudonym:
        """Return the pseudonym of an accession number, in identity's table from now on."""
        return self._named(Domain.ACCESSION, AccessionNumber(number))

    def case(self, stay: CaseStay) -> Pseudonym:
        """Return the pseudonym of a case, in identity's table from now on."""
        return self._named(Domain.CASE, stay)

    def derived(self, uid: str) -> Pseudonym:
        """Return the derived UID of a series or instance."""
        return Pseudonym(self.identity.derive([uid])[uid])

    def target(self, patient_id: str, frame: TimeFrame | None = None) -> Target:
        """Return a known patient as a target."""
        return Target(Kind.PATIENT, self.patient(patient_id), frame=frame)

    def session(
        self, *patient_ids: str, images: bool = False, deny: Iterable[str] = (), allow: Iterable[str] = ()
    ) -> Session:
        """Open a session of a researcher for known patients."""
        _, session = self.gateway.sessions.open(
            RESEARCHER,
            [self.patient(patient_id) for patient_id in patient_ids],
            modalities_allowed=frozenset(allow),
            modalities_denied=frozenset(deny),
            images=images,
        )
        return session

    def records(self) -> list[dict[str, Any]]:
        """Return the audit's records, oldest first."""
        if not self.audit_file.exists():
            return []
        return [json.loads(line) for line in self.audit_file.read_text(encoding="utf-8").splitlines()]

    @property
    def asked(self) -> int:
        """How often archive and identity were asked: finds, retrieves, resolutions."""
        return self.pacs.queries + self.pacs.retrieves + self.identity.resolved

    def _named(self, domain: Domain, identifier: Identifier, *, known: bool = True) -> Pseudonym:
        if not known:
            return next(
                answer
                for answer in MemoryIdentity().pseudonymise(domain, [identifier], create=True)
                if isinstance(answer, Pseudonym)
            )
        (answer,) = self.identity.pseudonymise(domain, [identifier], create=True)
        assert isinstance(answer, Pseudonym)  # noqa: S101 - created just now
        return answer


def gateway_stages(
    folder: Path,
    held: Iterable[HeldInstance],
    *,
    policy: ModalityPolicy = ModalityPolicy(deny=frozenset({"US"})),  # noqa: B008 - frozen
    calendar: Calendar = Calendar.SHIFTED,
    allow_true_frames: bool = False,
    patients_per_batch: int = 10,
) -> GatewayStages:
    """Return a gateway over *held* with its state in *folder*; failed attempts are repeated at once."""
    pacs, identity, warehouse = MemoryPacs(held), CountingIdentity(), MemoryWarehouse()
    renderer = FixedRenderer()
    gateway = Gateway(
        pacs=pacs,
        identity=identity,
        warehouse=warehouse,
        ledger=Ledger(folder / "ledger.sqlite"),
        audit=AuditLog(folder / "audit.jsonl"),
        sessions=SessionStore(folder / "sessions.sqlite"),
        policy=policy,
        renderer=renderer,
        calendar=calendar,
        allow_true_frames=allow_true_frames,
        patients_per_batch=patients_per_batch,
        retry_seconds=0,
        holds=HoldStore(folder / "holds"),
    )
    return GatewayStages(gateway, pacs, identity, warehouse, folder / "audit.jsonl", renderer)
