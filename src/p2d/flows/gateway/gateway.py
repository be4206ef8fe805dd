"""What the use cases of the hospital zone work with: the connected stages, bundled once by ``p2d.main``."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2d.access.policy import ModalityPolicy
from p2d.access.sessions import SessionStore
from p2d.audit.log import AuditLog
from p2d.deid.pixels.verdicts import Screen
from p2d.deid.profile.profile import RESEARCH, Profile
from p2d.export.hold import HoldStore
from p2d.export.jpeg import Renderer
from p2d.identity.port import Identity
from p2d.jobs.ledger import Ledger
from p2d.model.level import Calendar
from p2d.pacs.governor.archives import GovernedArchives
from p2d.pacs.governor.port import WorkClass
from p2d.pacs.port import Pacs
from p2d.warehouse.port import Warehouse


@dataclass(frozen=True, slots=True)
class Gateway:
    """The connected stages and the site's choices; safe to share between threads.

    ``calendar`` TRUE means that this site's warehouse keeps true dates; ``allow_true_frames`` that a request
    may state its time frame in true dates. Of ``patients_per_batch`` patients loaded together,
    ``patients_at_once`` are asked of the archive at a time. ``patient_form`` is the form of a foreign
    IDM's patient pseudonyms. ``profile`` says how to de-identify; without ``screen`` images whose pixels may
    show text are withheld. ``holds`` keeps images for the release review; without it a profile that asks for
    one releases no images. While a peer is down for less than ``outage_seconds`` a bulk run waits instead of
    giving patients up; ``lease_seconds`` is how long a worker holds patients without a sign of life. Where
    the gateway ``has_workers`` of its own, the serving process leaves bulk runs to them.
    ``pacs`` asks for people who wait; ``archives`` are the same for other work.
    """

    pacs: Pacs
    identity: Identity
    warehouse: Warehouse
    ledger: Ledger
    audit: AuditLog
    sessions: SessionStore
    policy: ModalityPolicy
    renderer: Renderer
    calendar: Calendar = Calendar.SHIFTED
    allow_true_frames: bool = False
    patients_per_batch: int = 10
    patients_at_once: int = 2
    attempts: int = 3
    retry_seconds: float = 2.0
    outage_seconds: float = 0.0
    lease_seconds: float = 60.0
    has_workers: bool = False
    patient_form: re.Pattern[str] | None = None
    profile: Profile = RESEARCH
    screen: Screen | None = None
    holds: HoldStore | None = None
    signing_key: Ed25519PrivateKey | None = None
    archives: GovernedArchives | None = None

    def for_work(self, work_class: WorkClass, give_up: Callable[[], bool] = lambda: False) -> Self:
        """Return this gateway with its archives asked as work of *work_class*; all else is shared.

        Waiting for leave to ask ends when *give_up* says so.
        """
        if self.archives is None:
            return self
        return replace(self, pacs=self.archives.for_class(work_class, give_up))

    def close(self) -> None:
        """Release the archive's associations, whose threads would keep the process alive, and the screen."""
        self.pacs.close()
        if self.screen is not None:
            self.screen.close()
