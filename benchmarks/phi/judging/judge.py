"""One verdict for each row of the key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

from phi.folding import contains, words
from phi.judging.leaks import leaks
from phi.judging.outputs import Output
from phi.judging.pictures import is_hidden, is_untouched
from phi.judging.validity import DCIODVFY, all_errors, new_errors
from phi.key import Act, AnswerKey, Expected
from phi.places import element_at

_REMOVALS: Final = frozenset(
    {Act.TEXT_REMOVED, Act.BULK_REMOVED, Act.DATE_CHANGED, Act.UID_CHANGED, Act.NO_LEAK, Act.PIXELS_HIDDEN}
)
"""Actions that a withheld file does right; all others it fails."""

_DATE: Final = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row, whether it was done right, what stood there afterwards, and whether the file was withheld."""

    row: Expected
    is_right: bool
    found: str
    is_withheld: bool


@dataclass
class Judge:
    """Judges one tool; ``outputs`` are the files it released, by the name of the planted file."""

    key: AnswerKey
    planted_folder: Path
    outputs: Mapping[str, Path]

    @cached_property
    def _planted(self) -> dict[str, Output]:
        return {name: Output(self.planted_folder / name) for name in self.key.files}

    @cached_property
    def _released(self) -> dict[str, Output]:
        return {name: Output(path) for name, path in self.outputs.items() if path.exists()}

    @cached_property
    def _errors(self) -> dict[str, list[str]]:
        if not DCIODVFY.exists():
            return {}
        names = list(self._released)
        found = all_errors(
            [self._planted[name].path for name in names] + [self._released[name].path for name in names]
        )
        return {
            name: new_errors(found[self._planted[name].path], found[self._released[name].path])
            for name in names
        }

    def verdicts(self) -> list[Verdict]:
        """Return a verdict for each row; whether a file is valid is asked of released ones alone."""
        released = self._released
        return [
            self._verdict(row) for row in self.key.rows if row.act is not Act.VALID or row.file in released
        ]

    def _verdict(self, row: Expected) -> Verdict:
        output = self._released.get(row.file)
        if output is None:
            return Verdict(row, row.act in _REMOVALS, "withheld", is_withheld=True)
        is_right, found = _JUDGES[row.act](self, row, output)
        return Verdict(row, is_right, found, is_withheld=False)

    def _other(self, row: Expected) -> tuple[Output | None, str]:
        name, _, path = row.other.partition("|")
        return self._released.get(name), path

    def removed(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find nothing telling of the planted value in the place."""
        folded = output.folded(row.path)
        left = [needle for needle in row.gone if contains(folded, needle)]
        return not left, f"left {left} in {output.text(row.path)!r:.120}" if left else ""

    def mixed(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find the person gone from the place and the other words there."""
        is_gone, found = self.removed(row, output)
        there = words(output.text(row.path))
        lost = [word for word in row.kept if word not in there]
        if lost:
            found = f"lost {lost}: {output.text(row.path)!r:.120} {found}"
        return is_gone and not lost, found

    def bulk_removed(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find the planted bytes not there any more."""
        element = element_at(output.dataset, row.path)
        value = element.value if element is not None and isinstance(element.value, bytes) else b""
        return value[:64] != bytes.fromhex(row.value), "unchanged" if value else ""

    def changed(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find another value in the place, or none."""
        value = output.text(row.path)
        return row.value not in value, value[:80]

    def notnull(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find some value in the place."""
        return bool(output.text(row.path)), ""

    def retained(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find the same value in the place."""
        value = output.text(row.path)
        return _same(row.value, value), value[:120]

    def same_uid(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find one UID in two places that had one before; a second file that is withheld excuses."""
        other, path = self._other(row)
        value = output.text(row.path)
        if other is None:
            return bool(value), "the other file is withheld"
        second = other.text(path)
        return bool(value) and value == second, f"{value} / {second}"

    def interval(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find as many days between two dates as before."""
        other, path = self._other(row)
        name = row.other.partition("|")[0]
        first, second = _day(output.text(row.path)), _day(other.text(path)) if other else None
        if other is None:
            return first is not None, "the other file is withheld"
        before = _day(row.value), _day(self._planted[name].text(path))
        if first is None or second is None or before[0] is None or before[1] is None:
            return False, f"{output.text(row.path)} / {other.text(path)}"
        return first - second == before[0] - before[1], f"{first} / {second}"

    def patient_id(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find one id for the patient in all files, and in nobody else's."""
        new = output.text("00100020")
        own = {
            one.text("00100020")
            for name, one in self._released.items()
            if self._patient(name) == self._patient(row.file)
        }
        others = {
            one.text("00100020")
            for name, one in self._released.items()
            if self._patient(name) != self._patient(row.file)
        }
        return bool(new) and own == {new} and new not in others, new

    def _patient(self, name: str) -> str:
        return self.key.files[name].patient

    def no_leak(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find nothing of the patient anywhere in the file."""
        file = self.key.files[row.file]
        people = [person for person in self.key.patients if person["PatientID"] == file.patient]
        written = {part for person in people for value in person.values() for part in _parts(value)}
        found = leaks(output, file, written)
        return not found, "; ".join(found)[:300]

    def hidden(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find drawn text not to be seen any more."""
        return is_hidden(row, self._planted[row.file], output), f"box {row.box}"

    def untouched(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find pixels away from drawn text as before."""
        boxes = [one for one in self._boxes.get(row.file, ()) if one.box]
        return is_untouched(boxes, self._planted[row.file], output)

    @cached_property
    def _boxes(self) -> dict[str, list[Expected]]:
        boxes: dict[str, list[Expected]] = {}
        for row in self.key.rows:
            if row.box:
                boxes.setdefault(row.file, []).append(row)
        return boxes

    def valid(self, row: Expected, output: Output) -> tuple[bool, str]:
        """Find no kind of error that the validator did not find before."""
        del output
        new = self._errors.get(row.file, [])
        return not new, "; ".join(new)[:400]


_Judged = Callable[[Judge, Expected, Output], tuple[bool, str]]
_JUDGES: Final[Mapping[Act, _Judged]] = {
    Act.TEXT_REMOVED: Judge.removed,
    Act.MIXED_TEXT: Judge.mixed,
    Act.BULK_REMOVED: Judge.bulk_removed,
    Act.DATE_CHANGED: Judge.changed,
    Act.UID_CHANGED: Judge.changed,
    Act.NO_LEAK: Judge.no_leak,
    Act.PIXELS_HIDDEN: Judge.hidden,
    Act.TEXT_RETAINED: Judge.retained,
    Act.TEXT_NOTNULL: Judge.notnull,
    Act.SAFE_PRIVATE_KEPT: Judge.retained,
    Act.PIXELS_RETAINED: Judge.untouched,
    Act.UID_KEPT: Judge.retained,
    Act.UID_CONSISTENT: Judge.same_uid,
    Act.DATE_INTERVAL: Judge.interval,
    Act.PATID_CONSISTENT: Judge.patient_id,
    Act.VALID: Judge.valid,
}


def _parts(value: str) -> Sequence[str]:
    return [value, *value.replace("=", "^").split("^")] if value else []


def _same(before: str, after: str) -> bool:
    if before.strip() == after.strip():
        return True
    old, new = (text.split("\\") for text in (before, after))
    try:
        return len(old) == len(new) and all(
            abs(float(a) - float(b)) <= 1e-6 * max(1.0, abs(float(a))) for a, b in zip(old, new, strict=True)
        )
    except ValueError:
        return False


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:_DATE]}")
    except ValueError:
        return None
