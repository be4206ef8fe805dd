"""What a sync is asked for: true days, modalities, how deep to extract, whether unknown patients count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.model.level import Choice, Scope
from p2d.model.request import Request, Target

MOST_DAYS: Final = 36_525
"""Days of one sync at most: a century."""

_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """The studies of all patients from *first* to *last*, true days and both inclusive.

    Empty ``modalities`` are all. ``admit_unknown`` gives patients pseudonyms whom the warehouse does not
    know; without it they are counted and nothing more.
    """

    first: date = field(repr=False)
    last: date = field(repr=False)
    modalities: frozenset[str] = frozenset()
    scope: Scope = Scope.BASIC
    choice: Choice = Choice.ALL
    admit_unknown: bool = False

    def __post_init__(self) -> None:
        """Check the range.

        Raises:
            InvalidRequest: it ends before it begins, or is longer than MOST_DAYS.

        """
        if not 0 < self.number_of_days <= MOST_DAYS:
            raise InvalidRequest("days", "are none, or more than a century", "state the first day first")

    @property
    def number_of_days(self) -> int:
        """How many days are looked at."""
        return (self.last - self.first).days + 1

    def days(self) -> Iterator[date]:
        """Yield each day."""
        return (self.first + timedelta(days=number) for number in range(self.number_of_days))

    def includes(self, day: date | None, modalities: Sequence[str]) -> bool:
        """Whether a study of *day* (true) with *modalities*, which may be unknown, would have been listed."""
        if day is None or not self.first <= day <= self.last:
            return False
        return not self.modalities or not modalities or not self.modalities.isdisjoint(modalities)

    @property
    def depth(self) -> str:
        """What is extracted of each study, in a text: scope, choice, modalities."""
        return f"{self.scope} {self.choice} {','.join(sorted(self.modalities)) or _ALL}"

    def request(self, targets: Sequence[Target]) -> Request:
        """Return what a run over *targets* is asked for."""
        return Request(tuple(targets), modalities=self.modalities, scope=self.scope, choice=self.choice)


def covers(done: str, wanted: str) -> bool:
    """Whether what was extracted to the depth *done* holds all that the depth *wanted* asks for."""
    scope, choice, modalities = done.split(" ")
    wanted_scope, wanted_choice, wanted_modalities = wanted.split(" ")
    return (
        scope in {wanted_scope, Scope.EXTENDED}
        and choice in {wanted_choice, Choice.ALL}
        and (
            modalities == _ALL
            or (wanted_modalities != _ALL and set(wanted_modalities.split(",")) <= set(modalities.split(",")))
        )
    )
