"""What a sync found, in numbers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from p2d.flows.gateway.sync.comparison import Standing
from p2d.jobs.report import RunReport


@dataclass(slots=True)
class SyncCounts:
    """Studies that were listed, and what they were; a study that two archives list is one.

    ``studies_unknown`` are of patients whom the warehouse does not know. ``back`` had been gone and are
    listed again. ``gone`` are in no archive any more, ``gone_from_one`` still in another. ``moved`` are
    there, but not on the day they were seen on; ``unjudged`` could not be asked for by themselves.
    """

    studies: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    back: int = 0
    gone: int = 0
    gone_from_one: int = 0
    moved: int = 0
    unjudged: int = 0
    studies_unknown: int = 0
    patients_unknown: int = 0

    def add(self, found: Standing) -> None:
        """Count a study."""
        match found:
            case Standing.NEW:
                self.new += 1
            case Standing.CHANGED:
                self.changed += 1
            case Standing.SAME:
                self.same += 1

    def as_json(self) -> dict[str, int]:
        """Return the numbers by name."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield a line for each number, in words."""
        width = max(len(words) for words in _WORDS.values())
        for name, words in _WORDS.items():
            yield f"{words:<{width}}  {getattr(self, name):>9,}"


_WORDS = {
    "studies": "Studies listed",
    "new": "  new",
    "changed": "  changed",
    "same": "  same",
    "studies_unknown": "  of unknown patients",
    "back": "Listed again after they were gone",
    "gone": "Gone from every archive",
    "gone_from_one": "Gone from one archive of several",
    "moved": "There, but on another day",
    "unjudged": "Not to be asked for",
    "patients_unknown": "Patients unknown to the warehouse",
}


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync found and what its run came to; no run where nothing had changed, or none was wanted.

    ``is_whole`` is False where it was stopped before everything had been looked at.
    """

    counts: SyncCounts
    run: RunReport | None = None
    is_whole: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether all was looked at, and the run, if there was one, is complete."""
        return self.is_whole and (self.run is None or self.run.is_complete)
