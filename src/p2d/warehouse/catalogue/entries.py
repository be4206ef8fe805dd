"""What the catalogue knows of one attribute: counts and the distribution of its values."""

from dataclasses import dataclass
from datetime import date

FEWEST_PATIENTS = 5
"""A value or distribution that fewer patients share is counted, but not shown."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Distribution of an attribute's numbers in one unit ('' where there is none)."""

    unit: str
    facts: int
    patients: int
    minimum: float
    quartile1: float
    median: float
    quartile3: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Commonest:
    """One of the commonest texts or codes of an attribute."""

    value: str
    facts: int
    patients: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One attribute or kind of document; ``kind`` is fact, header, column or document.

    ``paths`` are the places in sequences where an element of a header stands, tags without item numbers.
    """

    kind: str
    name: str
    level: str
    facts: int
    patients: int
    first: date | None = None
    last: date | None = None
    numbers: tuple[Numbers, ...] = ()
    values: tuple[Commonest, ...] = ()
    paths: tuple[str, ...] = ()
