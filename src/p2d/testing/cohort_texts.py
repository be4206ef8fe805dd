r"""Text criteria on one text, read character by character: words, phrases, patterns, numbers behind them.

- A *word* is a run of letters and digits: ASCII ones, ``ª µ º``, and everything from U+00C0 on but U+00D7,
  U+00F7 and the blocks U+2000 to U+2BFF and U+3000 to U+303F (punctuation and symbols). Everything else, an
  underscore and a line break too, only separates words. Letters compare in lower case (``ß`` is not ``ss``).
- ``contains``: every blank-separated part of the operand occurs somewhere, also inside longer words; a part
  keeps its punctuation (``I50.1``).
- ``phrase``: the operand's words are words of the text, whole and one straight after another. ``NYHA II`` is
  not in "NYHA III"; ``CT Thorax`` is in "CT/THORAX:", not in "CT des Thorax". For counting, an occurrence
  takes one separator on either side with it: "nein nein" holds ``nein`` once, "nein, nein" twice.
- ``regex``: found anywhere, case told apart unless ``ignore_case``. ``\w``, ``\d``, ``\s`` and ``\b`` know
  ASCII only (``\s`` is blank, tab, line feed, form feed, carriage return); ``.`` is anything but a line feed;
  ``^`` and ``$`` are the text's ends, not a line's. Alternatives are tried from left to right.
- ``next_number``: behind the operand's words (whole, but the last may go on in digits: "EF45") come at most
  20 characters without a digit, then the number: digits, and after a point or comma further digits. "1.200"
  is 1.2, "45." is 45, "2020-03-01" is 2020. A minus straight before the digits is its sign, unless it is all
  that stands between: "T-Score: -2,5" is -2.5, "EF - 45" and "EF-45" are 45. Two minuses straight before the
  digits make it no number, unless they are all that stands between. Behind a number the search goes on.
- ``captured``: the text of the pattern's group, a comma read as point, in any of the occurrences from left to
  right without overlap.
- Occurrences are counted from left to right without overlap; with ``captured`` those whose number fulfils it.
  They are *affirmed* where the text has more of them than its negated passages, joined by line feeds, have;
  for ``contains`` of every part.
- The empty text is no text: nothing is found in it, and it is no value.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from p2d.testing.cohort_comparison import compares
from p2d.warehouse.query.nodes import Criterion, Operator

TEXTUAL: Final = frozenset({Operator.CONTAINS, Operator.PHRASE, Operator.REGEX, Operator.NEXT_NUMBER})
_REACH: Final = 20
_DIGITS: Final = frozenset("0123456789")
_NUMBER: Final = re.compile(r"[0-9]+([.,][0-9]+)?")
_WORD: Final = "0-9A-Z_a-z"
_BLANK: Final = r" \t\n\f\r"
_CLASSES: Final = {"w": _WORD, "d": "0-9", "s": _BLANK}
_EDGE: Final = f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))"


def text_holds(criterion: Criterion, text: str, negated: Callable[[str], str | None]) -> bool:
    """Whether *text* fulfils the text operator of *criterion*; *negated* gives a text's negated passages."""
    counts = _occurrences(criterion, text)
    denied = _occurrences(criterion, negated(text) or "") if criterion.affirmed else [0] * len(counts)
    return all(count > less for count, less in zip(counts, denied, strict=True))


def is_wordly(character: str) -> bool:
    """Whether *character* is part of a word."""
    if character < "\u00c0":
        return (character.isascii() and character.isalnum()) or character in "ªµº"
    is_symbol = "\u2000" <= character <= "\u2bff" or "\u3000" <= character <= "\u303f"
    return not is_symbol and character not in "\u00d7\u00f7"


def _occurrences(criterion: Criterion, text: str) -> list[int]:
    """Return how often each part of the operand occurs in *text*."""
    sought, wanted = str(criterion.values[0]), criterion.captured
    if criterion.operator is Operator.CONTAINS:
        return [text.lower().count(part.lower()) for part in sought.split()]
    if criterion.operator is Operator.PHRASE:
        return [_count_phrases(sought, text)]
    if criterion.operator is Operator.NEXT_NUMBER:
        numbers = list(_numbers_behind(sought, text))
    else:
        matches = list(compiled(criterion).finditer(text))
        if wanted is None:
            return [len(matches)]
        numbers = [float(match.group(1).replace(",", ".")) for match in matches]
    if wanted is None:
        return [len(numbers)]
    return [sum(compares(wanted.operator, number, wanted.values) for number in numbers)]


def _words(text: str) -> list[tuple[str, int, int]]:
    """Return the words of *text* in lower case with their places."""
    found: list[tuple[str, int, int]] = []
    start = None
    for place, character in enumerate(f"{text} "):
        if is_wordly(character):
            start = place if start is None else start
        elif start is not None:
            found.append((text[start:place].lower(), start, place))
            start = None
    return found


def _count_phrases(sought: str, text: str) -> int:
    wanted, words = [word for word, *_ in _words(sought)], _words(text)
    count = free = 0  # from where on separators are not yet taken
    for place in range(len(words) - len(wanted) + 1):
        here = words[place : place + len(wanted)]
        start, end = here[0][1], here[-1][2]
        if [word for word, *_ in here] == wanted and (start == 0 or start - 1 >= free):
            count += 1
            free = end + 1
    return count


def _numbers_behind(sought: str, text: str) -> Iterator[float]:
    *before, last = [word for word, *_ in _words(sought)]
    words = _words(text)
    free = 0
    for place in range(len(words) - len(before)):
        here = words[place : place + len(before) + 1]
        ending, start, _ = here[-1]
        is_so = [word for word, *_ in here[:-1]] == before and (here[0][1] == 0 or here[0][1] > free)
        rest = ending.removeprefix(last)
        if is_so and (ending == last or (rest != ending and rest[0] in _DIGITS)):
            found = _number_from(text, start + len(last))
            if found is not None:
                number, free = found
                yield number


def _number_from(text: str, end: int) -> tuple[float, int] | None:
    """Return the number within reach of *end* and where it ends, or None."""
    start = next((place for place in range(end, len(text)) if text[place] in _DIGITS), len(text))
    gap, sign = text[end:start], ""
    if len(gap) > 1 and gap.endswith("-"):
        gap, sign = gap[:-1], "-"
    is_unclear = sign and len(gap) > 1 and gap.endswith("-")
    match = _NUMBER.match(text, start)
    if match is None or len(gap) > _REACH or is_unclear:
        return None
    return float(sign + match.group().replace(",", ".")), match.end()


def compiled(criterion: Criterion) -> re.Pattern[str]:
    """Return the pattern of *criterion* in Python's spelling: its classes and ends written out."""
    return re.compile(_spelled(str(criterion.values[0])), re.IGNORECASE if criterion.ignore_case else 0)


def _spelled(pattern: str) -> str:
    """Write out what Python's ``re`` reads differently from the language."""
    written: list[str] = []
    characters = iter(pattern)
    in_class = False
    for character in characters:
        if character == "\\":
            written.append(_escape(next(characters), in_class=in_class))
        elif character == "$" and not in_class:
            written.append(r"\Z")
        elif character == "[" and not in_class:
            in_class = True
            written.append(character)
        elif character == "]" and in_class and not _opens(written):
            in_class = False
            written.append(character)
        else:
            written.append(character)
    return "".join(written)


def _opens(written: Sequence[str]) -> bool:
    """Whether a class was opened just now, so that a closing bracket is one of its characters."""
    return written[-1] == "[" or list(written[-2:]) == ["[", "^"]


def _escape(sign: str, *, in_class: bool) -> str:
    if sign in "bB":
        return _EDGE if sign == "b" else f"(?!{_EDGE})"
    members = _CLASSES.get(sign.lower())
    if members is None:
        return f"\\{sign}"
    if in_class:
        return members if sign.islower() else f"\\{sign}"
    return f"[{'' if sign.islower() else '^'}{members}]"
