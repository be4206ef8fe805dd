"""Walks the tokens, remembering at the furthest place what could have stood there.

That is what an error lists, and what a completion offers.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.text_form.tokens import Kind, Token, place, tokenise
from p2d.warehouse.query.text_form.vocabulary import (
    FRAMES,
    HINTS,
    NUMBER,
    PLURAL,
    RESERVED,
    SINGULAR,
    Names,
    quoted,
)

DEEPEST: Final = 60
_MOST_LISTED: Final = 16
ExpectedKind = Literal["keyword", "operator", "attribute", "branch", "document", "cohort", "value", "label"]


@dataclass(frozen=True, slots=True)
class Expected:
    """Something that may stand at a place; without text any name of its kind.

    A label only says what may stand there. Errors list what is loud.
    """

    text: str
    kind: ExpectedKind = "keyword"
    is_loud: bool = False


class Cursor:
    """A place among the tokens of *source*; *names* are known where a warehouse gave them."""

    def __init__(self, source: str, names: Names | None) -> None:
        self.source = source
        self.names = names
        self.expected: list[Expected] = []
        self.spots: dict[tuple[int, str], int] = {}
        self._tokens = tokenise(source)
        self._at = 0
        self._furthest = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self._at]

    @property
    def is_at_end_of_expectations(self) -> bool:
        """Whether the furthest place is the end of the source."""
        return self._furthest == len(self._tokens) - 1

    def offer(self, *found: Expected) -> None:
        """Remember that *found* may stand here."""
        if self._at > self._furthest:
            self._furthest, self.expected = self._at, []
        if self._at == self._furthest:
            self.expected += found

    def label(self, text: str) -> None:
        """Remember that what *text* describes may stand here."""
        self.offer(Expected(text, "label", is_loud=True))

    def take(self) -> Token:
        """Return the next token and go on."""
        found = self.token
        if found.kind is not Kind.END:
            self._at += 1
        return found

    def sees(self, word: str, *, is_loud: bool = False) -> bool:
        """Whether the next token is the keyword or sign *word*."""
        is_word = word[0].isalpha()
        self.offer(Expected(word, "keyword" if is_word else "operator", is_loud=is_loud))
        kind = Kind.WORD if is_word else Kind.SIGN
        return self.token.kind is kind and self.token.text.casefold() == word

    def accept(self, word: str, *, is_loud: bool = False) -> bool:
        """Whether the next token is the keyword or sign *word*; goes on if so."""
        found = self.sees(word, is_loud=is_loud)
        if found:
            self._at += 1
        return found

    def accept_one(self, words: Iterable[str], *, is_loud: bool = False) -> str | None:
        """Return which of the keywords or signs *words* is next and go on, or None."""
        return next((word for word in list(words) if self.accept(word, is_loud=is_loud)), None)

    def require(self, *words: str) -> str:
        """Return which of *words* is next and go on; several are alternatives.

        Raises:
            InvalidRequest: none of them is.

        """
        return self.accept_one(words, is_loud=True) or self.fail()

    def frame(self, *, is_plural: bool = False) -> Frame:
        """Return the frame that is next, in the singular or the plural."""
        offered = PLURAL if is_plural else SINGULAR
        self.offer(*(Expected(word, is_loud=True) for word in offered))
        found = FRAMES.get(self.token.text.casefold()) if self.token.kind is Kind.WORD else None
        if found is None:
            self.fail()
        self.take()
        return found

    def number(self, label: str = "a number") -> str:
        """Return the number that is next, as it is written."""
        self.label(label)
        if self.token.kind is not Kind.WORD or not NUMBER.fullmatch(self.token.text):
            self.fail()
        return self.take().text

    def integer(self) -> int:
        """Return the whole number that is next."""
        self.label("a whole number")
        text = self.token.text
        if self.token.kind is not Kind.WORD or not text.lstrip("+-").isdecimal() or len(text) > 9:  # noqa: PLR2004 - no count is longer
            self.fail()
        return int(self.take().text)

    def text(self, label: str) -> str:
        """Return the word or quoted text that is next."""
        self.label(label)
        if self.token.kind not in {Kind.WORD, Kind.STRING}:
            self.fail()
        return self.take().text

    def name(self, subjects: Sequence[ExpectedKind], label: str) -> str:
        """Return the name that is next: quoted, or a word that is no keyword.

        Raises:
            InvalidRequest: something else is next, or the warehouse has no such name.

        """
        self.label(label)
        self.offer(*(Expected("", subject) for subject in subjects))
        is_keyword = self.token.kind is Kind.WORD and self.token.text.casefold() in RESERVED
        if self.token.kind not in {Kind.WORD, Kind.STRING} or is_keyword:
            self.fail()
        names = self.names
        if names is None or "cohort" in subjects or any(names.has(s, self.token.text) for s in subjects):
            return self.take().text
        known = {name.casefold(): name for subject in subjects for name in names.of(subject)}
        close = difflib.get_close_matches(self.token.text.casefold(), known, n=3, cutoff=0.5)
        remedy = f"did you mean {', '.join(quoted(known[name]) for name in close)}?"
        problem = f"names no {' or '.join(subjects)} that the warehouse holds"
        raise InvalidRequest(self.here, problem, remedy if close else "GET /attributes lists what there is")

    def offer_values(self, fields: Mapping[str, object]) -> None:
        """Remember that a common value of the attribute in *fields* may stand here, where nothing does."""
        if self.names is not None and self.token.kind is Kind.END:
            values = self.names.values(str(fields.get("attribute", "")))
            self.offer(*(Expected(value, "value") for value in values))

    def mark(self, node: object, field: str, start: int) -> None:
        """Remember where *field* of *node* stands, for errors found later."""
        self.spots[id(node), field] = start

    def enter(self) -> None:
        """Go one bracket or ``not`` deeper.

        Raises:
            InvalidRequest: too deep.

        """
        self._depth += 1
        if self._depth > DEEPEST:
            raise InvalidRequest(self.here, f"is deeper than {DEEPEST}", "simplify it")

    def leave(self) -> None:
        """Come back from where ``enter`` went."""
        self._depth -= 1

    @property
    def here(self) -> str:
        """The place of the next token in words."""
        return place(self.source, self.token.start)

    def fail(self) -> NoReturn:
        """Say what could have stood at the furthest place, and what comes closest to what does.

        Raises:
            InvalidRequest: always.

        """
        token = self._tokens[self._furthest]
        loud = list(dict.fromkeys(e.text for e in self.expected if e.is_loud))[:_MOST_LISTED]
        ending = "; the query ends there" if token.kind is Kind.END else ""
        close = self._closest(token)
        remedy = (
            f"did you mean {close}?" if close else 'put names and values with blanks or signs in "quotes"'
        )
        raise InvalidRequest(place(self.source, token.start), f"expected {_listed(loud)}{ending}", remedy)

    def everything_expected(self) -> list[Expected]:
        """Return what could have stood at the furthest place, names one by one, without labels."""
        found = []
        for expected in self.expected:
            if expected.text and expected.kind != "label":
                found.append(expected)
            elif not expected.text and self.names is not None:
                found += [Expected(name, expected.kind) for name in sorted(self.names.of(expected.kind))]
        return list(dict.fromkeys(found))

    def _closest(self, token: Token) -> str | None:
        known = {e.text.casefold(): e for e in self.everything_expected()}
        hint = HINTS.get(token.text.casefold())
        if hint in known:
            return hint
        if token.kind is not Kind.WORD:
            return None
        close = difflib.get_close_matches(token.text.casefold(), known, n=1, cutoff=0.6)
        return written(known[close[0]]) if close else None


def written(expected: Expected) -> str:
    """Return what is expected as it is written, quoted where it is a name that has to be."""
    return expected.text if expected.kind in {"keyword", "operator"} else quoted(expected.text)


def _listed(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words or ["something else"])
