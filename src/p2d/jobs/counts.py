"""What happened to the images of one series, in numbers that must add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SeriesCounts:
    """One line of the ledger, in pseudonyms.

    ``expected = received + missing`` and ``received = released + withheld + duplicate + refused``, where
    ``withheld`` is by reason. ``expected`` is what the archive says there is (of the chosen images).
    """

    patient: str
    study: str
    series: str
    expected: int
    received: int
    released: int
    duplicate: int = 0
    refused: int = 0
    withheld: Mapping[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Expected images that never arrived."""
        return max(self.expected - self.received, 0)

    @property
    def adds_up(self) -> bool:
        """Whether both sums hold; a surplus of received images is a disagreement, not a success."""
        parts = self.released + sum(self.withheld.values()) + self.duplicate + self.refused
        return self.expected == self.received + self.missing and self.received == parts
