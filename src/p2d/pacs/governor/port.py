"""Port to an archive's governor: ask before an operation, tell what it cost, see the load, stop, resume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from p2d.model.errors import Unavailable


class WorkClass(StrEnum):
    """Whose work it is: a person waits, a download runs, a bulk run has all night."""

    INTERACTIVE = "interactive"
    EXPORT = "export"
    BULK = "bulk"


class Operation(StrEnum):
    """What is done to the archive; each has a circuit breaker of its own."""

    ECHO = "echo"
    FIND = "find"
    RETRIEVE = "retrieve"


class Resource(StrEnum):
    """What is counted per minute, bytes per second."""

    QUERIES = "queries"
    STUDIES = "studies"
    IMAGES = "images"
    BYTES = "bytes"


Amounts = Mapping[Resource, float]


class Why(StrEnum):
    """Why an operation has to wait."""

    RATE = "rate"
    ASSOCIATIONS = "associations"
    TURN = "turn"
    WINDOW = "window"
    BREAKER = "breaker"
    STOPPED = "stopped"


class NotNow(Unavailable):
    """Nothing was asked of the archive: stopped, outside its window, or its circuit breaker is open.

    Not an attempt: whoever counts attempts waits and tries again.
    """

    def __init__(self, archive: str, why: Why, problem: str, remedy: str = "") -> None:
        """Say *why* nothing is asked of *archive*, and what the way out is."""
        super().__init__("governor", f"archive {archive} {problem}", remedy)
        self.why = why


@dataclass(frozen=True, slots=True)
class Ask:
    """What one operation will need; ``ticket`` names the waiting caller and is its own.

    ``ahead`` more queries are welcome, for operations that follow at once. Bytes left out are estimated from
    the images. ``continues`` says that the work goes on with a study it has begun: a window that closed
    meanwhile does not hold.
    """

    work_class: WorkClass
    operation: Operation
    ticket: str
    needs: Amounts = field(default_factory=dict)
    ahead: int = 0
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave for one operation at a time, until it is ended: an association and what was lent.

    With ``is_probe`` the breaker is half open: the archive is to be tried by a C-ECHO first.
    """

    lease_id: str
    lent: Amounts
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet; asking again before ``seconds`` are over is of no use."""

    seconds: float
    why: Why


class Ending(StrEnum):
    """How an operation ended; one that was given up says nothing about the archive."""

    DONE = "done"
    FAILED = "failed"
    GIVEN_UP = "given up"


class Latency(StrEnum):
    """What the archive's condition is read from.

    The first response of a query, the first image of a retrieve, the time for each further one (for larger
    ones: for each MiB).
    """

    ANSWER = "answer"
    START = "start"
    ARRIVAL = "arrival"


@dataclass(frozen=True, slots=True)
class Report:
    """What was used of a lease since the last report, with latencies seen, in seconds; all may be empty.

    ``ending`` gives the lease back.
    """

    used: Amounts = field(default_factory=dict)
    latencies: Mapping[Latency, Sequence[float]] = field(default_factory=dict)
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """One resource: amount in the last minute and in fifteen, and the cap for a minute."""

    last_minute: float
    last_quarter: float
    cap: float

    @property
    def share(self) -> float:
        """What part of the cap the last minute was."""
        return self.last_minute / self.cap


@dataclass(frozen=True, slots=True)
class Load:
    """What P2D asks of an archive now.

    ``rates`` by resource; ``associations`` in use by work class, of ``most_associations`` (the cap) and
    ``allowed_associations`` (now); ``waiting`` callers by work class; ``factor`` is what is left of the caps
    after stepping back; ``breakers`` by operation; ``windows`` whether each class may ask now and until when;
    ``totals`` since the beginning, by work class and resource.
    """

    archive: str
    rates: Mapping[Resource, Rate]
    associations: Mapping[WorkClass, int]
    most_associations: int
    allowed_associations: int
    waiting: Mapping[WorkClass, int]
    factor: float
    breakers: Mapping[Operation, str]
    windows: Mapping[WorkClass, tuple[bool, datetime | None]]
    totals: Mapping[tuple[WorkClass, Resource], float]
    stopped: str = ""

    @property
    def is_stopped(self) -> bool:
        """Whether the kill switch is set; ``stopped`` says by what."""
        return bool(self.stopped)


class Governor(Protocol):
    """One archive's governor; safe to share between threads.

    Every method raises Unavailable when the governor cannot be reached: then nothing may be asked of the
    archive.
    """

    def ask(self, ask: Ask) -> Lease | Wait:
        """Return a lease or how long to wait; a caller who does not ask again within 2 s has gone."""
        ...

    def report(self, lease_id: str, report: Report) -> float:
        """Settle what was used; return the seconds to wait before more is taken from the archive.

        Raises:
            Unavailable: the lease has ended; the operation is to be given up.

        """
        ...

    def load(self) -> Load:
        """Return what P2D asks of the archive now."""
        ...

    def stop(self, by: str) -> None:
        """Set the kill switch, lastingly: no new operation from now on, in no process."""
        ...

    def resume(self) -> None:
        """Release the kill switch.

        Raises:
            Refused: a stop file that an operator made stands.

        """
        ...

    def close(self) -> None:
        """Give back what this process holds; safe to call twice."""
        ...
