"""What may come next in the search line: names, values, operators and keywords."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.text_form.cursor import Cursor, Expected, ExpectedKind, written
from p2d.warehouse.query.text_form.grammar import read_query
from p2d.warehouse.query.text_form.vocabulary import Names

MOST: Final = 50
_BREAKS: Final = frozenset(' \t\n()[],"<>=~')
_WORDS: Final = frozenset({"keyword", "operator"})


@dataclass(frozen=True, slots=True)
class Completion:
    """What may replace the source from ``start`` to the cursor; ``kind`` says what it is."""

    text: str
    kind: ExpectedKind
    start: int


def complete(source: str, cursor: int, names: Names) -> list[Completion]:
    """Return what may come at *cursor*, at most 50.

    What begins with the word at the cursor comes before what contains it, names before keywords. Nothing
    comes where the source before the word is wrong.
    """
    start = _word_start(source[:cursor])
    begun = source[start:cursor].lstrip('"').casefold()
    found = _expected(source[:start], names)
    if begun:
        found.sort(key=lambda e: (not e.text.casefold().startswith(begun), e.kind in _WORDS))
    offered = [Completion(written(e), e.kind, start) for e in found if begun in e.text.casefold()]
    return offered[:MOST]


def _word_start(before: str) -> int:
    if before.count('"') % 2:
        return before.rindex('"')
    start = len(before)
    while start and before[start - 1] not in _BREAKS and not before[start - 1].isspace():
        start -= 1
    return start


def _expected(before: str, names: Names) -> list[Expected]:
    try:
        reader = Cursor(before, names)
    except InvalidRequest:
        return []
    with suppress(InvalidRequest):
        read_query(reader)
    return reader.everything_expected() if reader.is_at_end_of_expectations else []
