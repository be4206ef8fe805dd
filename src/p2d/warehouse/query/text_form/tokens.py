"""Words, signs and quoted texts of the text form, each with its place."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from p2d.model.errors import InvalidRequest

LONGEST: Final = 4_000_000
"""Characters of a query; a list of 100,000 pseudonyms fits."""
_TOKEN: Final = re.compile(
    r"""(?P<blank>(?:\s|\#[^\n]*)+)
    |(?P<string>"(?:[^"]|"")*")
    |(?P<open>"(?:[^"]|"")*\Z)
    |(?P<unit>\[[^\]\n]+\])
    |(?P<sign><=|>=|~\*|[()<>=~,])
    |(?P<word>[^\s()\[\],"<>=~\#]+)
    |(?P<other>.)""",
    re.VERBOSE,
)
_REFUSED: Final = {
    "open": ("opens a quote that is not closed", 'write another " behind the text'),
    "other": ("holds a bracket that does not belong there", 'put names and values with brackets in "quotes"'),
}


class Kind(StrEnum):
    """What a token is."""

    WORD = "word"
    STRING = "string"
    UNIT = "unit"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A token; ``text`` is without quotes and brackets, ``start`` and ``end`` are places in the source."""

    kind: Kind
    text: str
    start: int
    end: int


def tokenise(source: str) -> list[Token]:
    """Return the tokens of *source*, an END last. Blanks, line breaks and ``#`` comments only separate.

    Raises:
        InvalidRequest: too long, a quote or bracket that is not closed.

    """
    if len(source) > LONGEST:
        raise InvalidRequest("query", f"has more than {LONGEST} characters", "save long lists as a cohort")
    found = []
    for match in _TOKEN.finditer(source):
        kind, text = str(match.lastgroup), match[0]
        if kind in _REFUSED:
            raise InvalidRequest(place(source, match.start()), *_REFUSED[kind])
        if kind == "string":
            text = text[1:-1].replace('""', '"')
        if kind == "unit":
            text = text[1:-1]
        if kind != "blank":
            found.append(Token(Kind(kind), text, match.start(), match.end()))
    return [*found, Token(Kind.END, "", len(source), len(source))]


def place(source: str, offset: int) -> str:
    """Return *offset* as ``line 1, column 1``."""
    line = source.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - source.rfind(chr(10), 0, offset)}"
