"""What becomes of the pixels of each object of a patient, by the rules and what the project says.

Objects of one pattern get one decision, as long as it rests on nothing that varies among them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from p2d.deid.pixels.decision import Decision, Verdict, decide
from p2d.deid.pixels.gate import Screened
from p2d.deid.pixels.layouts import DeviceKey
from p2d.deid.profile.profile import Profile
from p2d.deid.rewrite.pattern import Pattern
from p2d.deid.rewrite.pixel_data import is_image
from p2d.model.header import Element, Elements, text_of
from p2d.model.released import Reason

_SOP_CLASS: Final = "00080016"
_MODALITY: Final = "00080060"
_MOST: Final = 1000


class Screen(Protocol):
    """Looks for text in the pixels of a file whose header is de-identified, and masks it."""

    @property
    def is_available(self) -> bool:
        """Whether there is a detector."""
        ...

    def screen(self, file: bytes, decision: Decision, device: DeviceKey) -> Screened | Reason:
        """Return the file with what was found masked, or why it must not leave."""
        ...

    def close(self) -> None:
        """End what it works with."""
        ...


class Asked(NamedTuple):
    """What decides besides an object's elements: the archive's word, its pixels, the sample."""

    modality: str
    sop_class_uid: str
    has_pixels: bool
    sample: bool


class Verdicts:
    """Decides for one patient's objects; remembers decisions by pattern."""

    def __init__(self, profile: Profile, screen: Screen | None, *, needs_pixels: bool) -> None:
        self._profile = profile
        self._screen = screen
        self._needs_pixels = needs_pixels
        self._found: dict[tuple[Pattern, Asked], Decision | None] = {}

    def of(self, elements: Elements, asked: Asked, pattern: Pattern | None) -> Decision:
        """Return what becomes of the pixels of an object that holds *elements* and fits *pattern*."""
        if pattern is None:
            return self._decided(elements, asked)
        key = (pattern, asked)
        if key in self._found:
            found = self._found[key]
            return self._decided(elements, asked) if found is None else found
        noting = _Noting(elements)
        decision = self._decided(noting, asked)
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[key] = decision if pattern.decides(noting.read) else None
        return decision

    def _decided(self, elements: Elements, asked: Asked) -> Decision:
        modality, sop_class_uid, has_pixels, sample = asked
        own_class = text_of(elements, _SOP_CLASS)
        own_modality = text_of(elements, _MODALITY)
        if self._profile.withholds(sop_class_uid or own_class, modality or own_modality):
            return Decision(Verdict.WITHHOLD, Reason.POLICY)
        if self._profile.withholds(own_class, own_modality):
            return Decision(Verdict.WITHHOLD, Reason.POLICY)
        head = self._profile.head
        decision = decide(elements, sop_class_uid, modality, has_pixels=has_pixels, head=head, sample=sample)
        if (
            self._needs_pixels
            and decision.verdict is Verdict.PASS
            and not has_pixels
            and is_image(sop_class_uid or own_class)
        ):
            return Decision(Verdict.WITHHOLD, Reason.NO_PIXELS)
        if decision.verdict is not Verdict.SCREEN or (self._screen is not None and self._screen.is_available):
            return decision
        if decision.alarm:
            return replace(decision, verdict=Verdict.PASS)
        missing = Reason.BURNED_IN if self._screen is None else Reason.DETECTOR_MISSING
        return Decision(Verdict.WITHHOLD, decision.reason or missing)


class _Noting(Mapping[str, Element]):
    """Elements that remember which of them were asked for."""

    def __init__(self, elements: Elements) -> None:
        self._elements = elements
        self.read: set[str] = set()

    def __getitem__(self, path: str) -> Element:
        self.read.add(path)
        return self._elements[path]

    def __iter__(self) -> Iterator[str]:
        self.read.update(self._elements)
        return iter(self._elements)

    def __len__(self) -> int:
        self.read.update(self._elements)
        return len(self._elements)
