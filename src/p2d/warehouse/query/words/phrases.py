"""What a language has to say: a phrase for each form of the cohort language, and a noun for each frame."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from p2d.warehouse.query.nodes import Frame


@dataclass(frozen=True, slots=True)
class Noun:
    """A frame as a noun: ``in one and the same series``, ``for this series``, ``3 series``, ``a series``."""

    same: str
    this: str
    many: str
    within_many: str
    one: str
    first: str
    last: str
    nth: str
    behind: str
    each: str


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language; the phrases of every language have the same names and places to fill."""

    frames: Mapping[Frame | None, Noun]
    texts: Mapping[str, str]
    quotes: tuple[str, str]
    number: Callable[[float], str]
    day: Callable[[date], str]

    def say(self, phrase: str, **places: object) -> str:
        """Return the phrase called *phrase* with its places filled."""
        return self.texts[phrase].format(**places)

    def quote(self, text: str) -> str:
        """Return *text* between quotes, on one line."""
        opened, closed = self.quotes
        return f"{opened}{text.replace(chr(10), '⏎')}{closed}"
