"""Which modalities may leave as images."""

from dataclasses import dataclass

from p2d.access.sessions import Session
from p2d.model.modality import MODALITIES


@dataclass(frozen=True, slots=True)
class ModalityPolicy:
    """Modality codes (0008,0060) allowed and denied; deny wins, an empty *allow* allows all others."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def permits(self, modality: str) -> bool:
        """Whether images of *modality* may leave; an empty or undefined code never permits."""
        if modality not in MODALITIES or modality in self.deny:
            return False
        return not self.allow or modality in self.allow

    def narrowed_by(self, session: Session) -> "ModalityPolicy":
        """Return the policy that permits what both this one and *session*'s permit."""
        if self.allow and session.allow and not self.allow & session.allow:
            return ModalityPolicy(deny=MODALITIES)  # an empty allow list would mean all
        allow = self.allow & session.allow if self.allow and session.allow else self.allow | session.allow
        return ModalityPolicy(allow, self.deny | session.deny)
