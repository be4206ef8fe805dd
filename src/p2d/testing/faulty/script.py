"""What a faulty archive does wrong, and when: frozen values to write a test's script with.

``Fault(When(Operation.FIND, first=2, last=2), Abort(after=3))`` aborts amid the answers to the second C-FIND.
Without a fault the archive answers as the standard has it.
"""

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Final

from p2d.testing.holdings import HeldInstance


class Operation(StrEnum):
    """What is counted and can go wrong; RETRIEVE is a C-GET or a C-MOVE."""

    ASSOCIATE = auto()
    ECHO = auto()
    FIND = auto()
    RETRIEVE = auto()


@dataclass(frozen=True, slots=True)
class When:
    """The requests a fault falls on: from the ``first`` to the ``last``, every so many of them.

    Requests are counted from 1 for each operation, and with a ``level`` ("STUDY", "IMAGE") among those of
    that level. ``last`` None means for ever.
    """

    operation: Operation
    level: str = ""
    first: int = 1
    last: int | None = None
    every: int = 1

    def matches(self, number: int) -> bool:
        """Whether the *number*-th request is meant."""
        is_within = self.first <= number and (self.last is None or number <= self.last)
        return is_within and (number - self.first) % self.every == 0


def once(operation: Operation, number: int = 1, level: str = "") -> When:
    """Return the *number*-th request alone."""
    return When(operation, level, number, number)


# Any operation ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing more, after so many rows or objects; the connection stays open."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Abort:
    """Send A-ABORT after so many rows or objects; ``amid`` the next object, where half of it was sent."""

    after: int = 0
    amid: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the TCP connection after so many rows or objects."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Restart:
    """Cut all connections after so many rows or objects and listen again some ``seconds`` later."""

    after: int = 0
    seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait some ``seconds`` before each row or object, the first ``after`` excepted."""

    seconds: float
    after: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """End with this status instead of success; what was asked for is sent all the same."""

    value: int


# Associations -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reject:
    """Reject the association: result, source and reason as in PS3.8 9.3.4."""

    result: int
    source: int
    reason: int


CALLED_AE_UNKNOWN: Final = Reject(1, 1, 7)
CALLING_AE_UNKNOWN: Final = Reject(1, 1, 3)
CONGESTED: Final = Reject(2, 3, 1)
LOCAL_LIMIT: Final = Reject(2, 3, 2)


@dataclass(frozen=True, slots=True)
class NoService:
    """Accept the association and none of its presentation contexts."""


# C-FIND -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cap:
    """End after so many ``rows``, with this ``status`` where there are more; 0 says nothing of it."""

    rows: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class IgnoreKeys:
    """Match as if these keywords were empty; ``only_relational`` where an upper key is not stated."""

    keywords: tuple[str, ...] = ("PatientID",)
    only_relational: bool = False


@dataclass(frozen=True, slots=True)
class ForeignRows:
    """Answer with so many rows of other patients as well."""

    rows: int = 1


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Leave these keywords out of the answers and say so with 0xFF01 (PS3.4 C.4.1.1.4)."""

    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoseRows:
    """Leave out the first so many rows and end with success."""

    rows: int = 1


# C-GET and C-MOVE ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Omit:
    """Do not send the first ``count`` objects, None for all; they are ``claimed`` as completed.

    ``in_lists`` omits only where several instances were asked for at once.
    """

    count: int | None = None
    claimed: bool = True
    in_lists: bool = False


@dataclass(frozen=True, slots=True)
class Twice:
    """Send each object twice, the second time with ``changed`` bytes."""

    changed: bool = False


@dataclass(frozen=True, slots=True)
class Also:
    """Send these objects as well, though nobody asked for them."""

    instances: tuple[HeldInstance, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Late:
    """Send the last ``count`` objects ``seconds`` after the final response, which counts them as sent."""

    count: int = 1
    seconds: float = 0.1


class Damage(Enum):
    """What is wrong with an object that is sent."""

    TRUNCATED = auto()
    WRONG_SYNTAX = auto()
    BAD_VR = auto()
    UNDEFINED_LENGTH = auto()
    DEEP_SEQUENCE = auto()
    CHARACTER_SET = auto()
    NOISE = auto()
    OTHER_UID = auto()
    OTHER_PATIENT = auto()
    OTHER_STUDY = auto()
    NO_PATIENT = auto()


@dataclass(frozen=True, slots=True)
class Damaged:
    """Send the ``number``-th object of the request damaged."""

    how: Damage
    number: int = 1


@dataclass(frozen=True, slots=True)
class Giant:
    """Send the first object with so many bytes of pixel data, made while they are sent."""

    pixel_bytes: int


@dataclass(frozen=True, slots=True)
class ClaimPdu:
    """Send a P-DATA-TF header that claims so many bytes, and ``sent`` of them."""

    claimed: int = 0xFFFF_FF00
    sent: int = 1 << 20


@dataclass(frozen=True, slots=True)
class EndlessFragments:
    """Send data set fragments of which none is the last, until the peer closes or ``most`` bytes are sent."""

    most: int = 1 << 30


@dataclass(frozen=True, slots=True)
class DeflateBomb:
    """Propose or take the deflated syntax, and send a small object that inflates to so many bytes."""

    inflated: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Change:
    """Once this request is answered, the archive holds these as well, or no longer those UIDs."""

    added: tuple[HeldInstance, ...] = field(default=(), repr=False)
    removed: frozenset[str] = field(default=frozenset(), repr=False)


Behaviour = (
    Hang | Abort | Reset | Restart | Pause | Status | Reject | NoService | Cap | IgnoreKeys | ForeignRows
    | Unsupported | LoseRows | Omit | Twice | Also | Late | Damaged | Giant | ClaimPdu | EndlessFragments
    | DeflateBomb | Change
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a script; several may fall on the same request."""

    when: When
    what: Behaviour
