"""What the use cases of the hospital zone work with: the connected stages, bundled once by ``p2d.main``."""

import re
from dataclasses import dataclass

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
from p2d.pacs.port import Pacs
from p2d.warehouse.port import Warehouse


@dataclass(frozen=True, slots=True)
class Gateway:
    """The connected stages and the site's choices; safe to share between threads.

    ``calendar`` TRUE means that this site's warehouse keeps true dates; ``allow_true_frames`` that a request
    may state its time frame in true dates. ``patient_form`` is the form of a foreign
    IDM's patient pseudonyms. ``profile`` says how to de-identify; without ``screen`` images whose pixels may
    show text are withheld. ``holds`` keeps images for the release review; without it a profile that asks for
    one releases no images.
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
    attempts: int = 3
    retry_seconds: float = 2.0
    patient_form: re.Pattern[str] | None = None
    profile: Profile = RESEARCH
    screen: Screen | None = None
    holds: HoldStore | None = None

    def close(self) -> None:
        """Release the archive's associations, whose threads would keep the process alive, and the screen."""
        self.pacs.close()
        if self.screen is not None:
            self.screen.close()
