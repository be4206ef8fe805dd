"""Numbers as those see them who may not see single patients: small ones hidden, others blurred and rounded.

What is blurred is not a query but the *set of patients* behind a number: the same set has the same answer,
however it was asked for, how often, by whom, and before or after a restart. A set that differs by one or two
patients from one that was answered before gets the same answer as that, so that nothing is learned by asking
with and without somebody. See docs/howto/share-counts-safely.md for what that protects against and what it
does not.
"""

import hmac
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from p2d.model.errors import Misconfigured, Refused, Unavailable
from p2d.warehouse.query.neighbours import FURTHEST, Sums, are_neighbours, sums_of
from p2d.warehouse.query.tally import Tally

STEP: Final = 5
"""Shown numbers of patients are multiples of this."""
BLUR: Final = 3
"""Noise lies between minus and plus this many patients, each number alike."""
_DRIFT: Final = 10
"""By how many patients a set may differ in size from the one whose answer it gets, one step at a time."""
_SIZES: Final = (-1, 1, -2, 2, 0)
"""Differences in size, the one first that is told most reliably."""
_STEPS: Final = (1, 2, 5, 10)


_DAY: Final = 86_400.0


@dataclass(slots=True)
class Disclosure:
    """What those of ``roles`` see: shielded numbers, no single patient, so many questions a day.

    Everybody else sees numbers as they are. Safe to share between threads.
    """

    shield: "Shield"
    roles: frozenset[str]
    questions_per_day: int = 500
    clock: Callable[[], float] = time.time
    _day: int = field(default=0, init=False, repr=False)
    _asked: dict[str, set[str]] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def is_for(self, role: str) -> bool:
        """Whether *role* sees shielded numbers only."""
        return role in self.roles

    def check_patients(self, role: str) -> None:
        """Return if *role* may see single patients: rows, pseudonyms, studies.

        Raises:
            Refused: it sees numbers only.

        """
        if self.is_for(role):
            remedy = "ask for numbers, or with the secret of an approved researcher"
            raise Refused("role", f"{role} sees numbers only, no single patients", remedy)

    def spend(self, user: str, role: str, question: str) -> None:
        """Count *question* (its digest) of *user* today; asking the same again is free.

        Raises:
            Refused: *user* has asked too many different ones today.

        """
        if not self.is_for(role):
            return
        with self._lock:
            today = int(self.clock() // _DAY)
            if today != self._day:
                self._day, self._asked = today, {}
            asked = self._asked.setdefault(user, set())
            if question not in asked and len(asked) >= self.questions_per_day:
                problem = f"has asked {self.questions_per_day} different questions today"
                raise Refused("user", problem, "go on tomorrow (UTC), or ask an approved researcher")
            asked.add(question)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A set that was asked for: its sums, and the set and number of things whose answer it gets."""

    sums: Sums
    basis: Sums
    number: int


@dataclass(slots=True)
class Shield:
    """Shows numbers with the noise that *secret* gives their patients; safe to share between threads.

    Sets of fewer than ``least`` patients are never shown, those of a few more sometimes: a number is shown
    where it is, with its noise, ``smallest`` or more. ``memory`` is a file that keeps which sets were asked
    for (sums of keys; nobody's pseudonym), so that a restart changes no answer.

    Raises:
        Misconfigured: the file cannot be read.

    """

    secret: bytes = field(repr=False)
    least: int = 5
    memory: Path | None = None
    _asked: dict[str, dict[int, list[_Asked]]] = field(init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self._asked = defaultdict(lambda: defaultdict(list))
        for kind, asked in self._remembered():
            self._asked[kind][asked.sums.patients].append(asked)

    @property
    def smallest(self) -> int:
        """The least number of patients, with noise, that is shown."""
        return self.least + FURTHEST + BLUR

    def shown(self, tally: Tally, kind: str = "patients") -> int | None:
        """Return the number of *tally* as it may be shown, None where it may not.

        *kind* names what is counted; answers of different kinds have nothing to do with each other.

        Raises:
            Unavailable: the memory cannot be written.

        """
        if tally.patients < self.least:
            return None
        asked = self._answer(kind, sums_of(tally.fingerprint), tally.number)
        patients = asked.basis.patients
        blurred = patients + self._noise(kind, asked.basis)
        if blurred < self.smallest:
            return None
        if asked.number == patients:
            return _rounded(blurred, STEP)
        each = asked.number / patients
        step = STEP * _coarse(each)
        return max(step, _rounded(blurred * each, step))

    def is_close(self, tally: Tally, kind: str = "patients") -> bool:
        """Whether the set of *tally* was asked for and gets the answer of another one."""
        own = sums_of(tally.fingerprint)
        with self._lock:
            found = self._found(kind, own)
        return found is not None and found.basis != own

    def _answer(self, kind: str, own: Sums, number: int) -> _Asked:
        with self._lock:
            known = self._found(kind, own)
            if known is not None:
                return known
            beside = self._beside(kind, own)
            asked = _Asked(own, own, number) if beside is None else replace(beside, sums=own)
            self._remember(kind, asked)
            self._asked[kind][own.patients].append(asked)
            return asked

    def _found(self, kind: str, own: Sums) -> _Asked | None:
        return next((a for a in self._asked[kind].get(own.patients, ()) if a.sums == own), None)

    def _beside(self, kind: str, own: Sums) -> _Asked | None:
        """Return a set that was asked for before, is as good as *own*, and whose answer still fits."""
        near = (a for by in _SIZES for a in self._asked[kind].get(own.patients + by, ()))
        return next((a for a in near if are_neighbours(a.sums, own) and self._fits(a, own)), None)

    def _fits(self, asked: _Asked, own: Sums) -> bool:
        return abs(asked.basis.patients - own.patients) <= _DRIFT

    def _noise(self, kind: str, sums: Sums) -> int:
        written = f"{kind}:{sums.patients}:{sums.keys}:{sums.squares}".encode()
        drawn = int.from_bytes(hmac.digest(self.secret, written, "sha256")[:8], "big")
        return drawn % (2 * BLUR + 1) - BLUR

    def _remember(self, kind: str, asked: _Asked) -> None:
        if self.memory is None:
            return
        sums = (asked.sums, asked.basis)
        numbers = [str(part) for one in sums for part in (one.patients, one.keys, one.squares)]
        line = "\t".join([kind, *numbers, str(asked.number)]) + "\n"
        try:
            descriptor = os.open(self.memory, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError:
            raise Unavailable("disclosure", "cannot keep what it answered", "see disk space") from None

    def _remembered(self) -> Iterator[tuple[str, _Asked]]:
        if self.memory is None or not self.memory.exists():
            return
        try:
            for line in self.memory.read_text(encoding="utf-8").splitlines():
                kind, *written = line.split("\t")
                a, b, c, d, e, f, number = map(int, written)
                yield kind, _Asked(Sums(a, b, c), Sums(d, e, f), number)
        except (OSError, ValueError):
            problem = f"{self.memory} is not readable as what was answered"
            raise Misconfigured(
                "disclosure", problem, "restore it; without it answers would change"
            ) from None


def _rounded(number: float, step: int) -> int:
    return step * math.floor(number / step + 0.5)


def _coarse(each: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50 … that is not less than *each*."""
    power = 1
    while 10 * power < each:
        power *= 10
    return next(first * power for first in _STEPS if first * power >= each)
