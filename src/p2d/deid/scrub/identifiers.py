"""Find known numbers in a text, however grouped: patient ids, accession numbers, telephone numbers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.scrub.folding import fold, plain, shadow
from p2d.deid.scrub.words import is_placeholder, vocabulary

Span = tuple[int, int]
MIN_ID_LENGTH: Final = 3
MIN_EMBEDDED_LENGTH: Final = 5
"""Identifiers with letters of this length are found inside longer words too; shorter ones as whole words."""

_MIN_GROUPED_LENGTH: Final = 8
_MIN_BARE_DIGITS: Final = 6
_MAX_LENGTH: Final = 64
_COUNTED_LENGTH: Final = 3
_SEPARATORS: Final = re.compile(r"[\W_]+")
_RUNS: Final = re.compile(r"[^\W\d_]+|\d+")
_UNIT: Final = re.compile(
    r"\s?(?:kvp?|ma|mas|mm|cm|ms|msec|s|sec|min|m?hz|t|ml|hu|m?gy|px|x|fps|kev|mev|v|w|g|mg|kg|bpm|grad|bit|i/s"
    r"|slices?|schicht(?:en)?|bilder|images?|frames?)(?![^\W_])|\s?[%°µ²]|\s?[x\u00d7*]\s?\d",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(
    r"(?:(?<![^\W\d_])(?:pat(?:ient(?:in|en)?)?|pid|id|no|nr|num(?:mer|ber|éro)?|mrn|acc(?:ession)?|fall|case|auftrag|akte"
    r"|kennung|order)|[a-z]nr|nummer|[#(\[<])[\s.:=#\-]{0,3}$",
    re.IGNORECASE,
)
_LABEL_REACH: Final = 24


@dataclass(frozen=True, slots=True)
class _Identifier:
    """A known number: ``letters`` in lower case, ``joints`` where a separator may stand between them."""

    letters: str = field(repr=False)
    joints: frozenset[int] = field(repr=False)
    widest: int  # separators at one joint


@dataclass(frozen=True, slots=True)
class IdIndex:
    """The known numbers, longest first."""

    identifiers: tuple[_Identifier, ...] = field(default=(), repr=False)


def index_ids(
    ids: Iterable[str], phones: Iterable[str] = (), extra_words: frozenset[str] = frozenset()
) -> IdIndex:
    """Return the index of *ids* and of telephone numbers *phones*; what stands for no value is left out."""
    found: dict[str, _Identifier] = {}
    for identifier in ids:
        text = shadow(plain(identifier.strip()[:_MAX_LENGTH])).lower()
        joined = _SEPARATORS.sub("", text)
        word = fold(joined)
        if (
            len(joined) < MIN_ID_LENGTH
            or is_placeholder(joined)
            or word in vocabulary()
            or word in extra_words
        ):
            continue
        for letters in _forms(joined):
            found[letters] = _Identifier(letters, _joints(letters, text), 1)
    for phone in phones:
        for digits in _phone_forms(phone):
            found[digits] = _Identifier(digits, frozenset(range(1, len(digits))), 3)
    return IdIndex(tuple(sorted(found.values(), key=lambda i: (-len(i.letters), i.letters))))


def _forms(joined: str) -> set[str]:
    """Return *joined* itself, without leading zeros, and its number alone where a letter stands before."""
    forms = {joined}
    bare = joined.lstrip("0")
    if len(bare) >= MIN_EMBEDDED_LENGTH:
        forms.add(bare)
    numbers = [run for run in _RUNS.findall(joined) if run.isdecimal() and len(run) >= _MIN_BARE_DIGITS]
    return forms | {number.lstrip("0") for number in numbers if len(number.lstrip("0")) >= _MIN_BARE_DIGITS}


def _joints(letters: str, text: str) -> frozenset[int]:
    """Return where separators may stand: where *text* has one, beside digits, in long numbers anywhere."""
    if letters.isdecimal() and len(letters) >= _MIN_GROUPED_LENGTH:
        return frozenset(range(1, len(letters)))
    joints, at = set(), 0
    for run in _RUNS.findall(text):
        at += len(run)
        joints.add(at)
    shift = at - len(letters)  # a form without leading zeros or letters
    return frozenset(joint - shift for joint in joints)


def _phone_forms(phone: str) -> set[str]:
    digits = "".join(character for character in plain(phone) if character.isdecimal())
    forms = {digits}
    if phone.strip().startswith(("+", "00")):
        local = digits.lstrip("0")
        forms |= {"0" + local[length:] for length in (1, 2, 3)} | {local}
    elif digits.startswith("0"):
        forms.add(digits[1:])
    return {form for form in forms if len(form) >= _MIN_BARE_DIGITS and not is_placeholder(form)}


def id_spans(text: str, index: IdIndex) -> list[Span]:
    """Return where numbers of *index* stand in *text*, which is ``shadow`` of a plain text."""
    squeezed = _SEPARATORS.sub("", text).lower()
    present = [identifier for identifier in index.identifiers if identifier.letters in squeezed]
    if not present or len(squeezed) != sum(map(str.isalnum, text)):
        return [span for identifier in present for span in _plainly(text, identifier)]
    places = [at for at, character in enumerate(text) if character.isalnum()]
    return [span for identifier in present for span in _occurrences(text, squeezed, places, identifier)]


def _plainly(text: str, identifier: _Identifier) -> list[Span]:
    """Return where *identifier* stands, for texts whose lower-case form is longer than they are."""
    pattern = re.escape(identifier.letters[0]) + "".join(
        (r"[\W_]{0,3}" if at in identifier.joints else "") + re.escape(letter)
        for at, letter in enumerate(identifier.letters[1:], 1)
    )
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _occurrences(text: str, squeezed: str, places: list[int], identifier: _Identifier) -> list[Span]:
    letters = identifier.letters
    spans: list[Span] = []
    at = squeezed.find(letters)
    while at >= 0:
        own = places[at : at + len(letters)]
        if _is_written(own, identifier) and _stands(text, own[0], own[-1] + 1, letters):
            spans.append(
                _whole_number(text, own[0], own[-1] + 1) if letters.isdecimal() else (own[0], own[-1] + 1)
            )
        at = squeezed.find(letters, at + 1)
    return spans


def _is_written(places: list[int], identifier: _Identifier) -> bool:
    gaps = [(at, places[at] - places[at - 1] - 1) for at in range(1, len(places))]
    return all(not gap or (at in identifier.joints and gap <= identifier.widest) for at, gap in gaps)


def _whole_number(text: str, start: int, end: int) -> Span:
    """Return the digits around *start* to *end*: nothing useful is left of a number that holds an id."""
    first, last = max(0, start - _MAX_LENGTH), min(len(text), end + _MAX_LENGTH)
    while start > first and text[start - 1].isdecimal():
        start -= 1
    while end < last and text[end].isdecimal():
        end += 1
    return start, end


def _with_zeros(text: str, start: int) -> int:
    first = max(0, start - _MAX_LENGTH)
    while start > first and text[start - 1] == "0":
        start -= 1
    return start


def _stands(text: str, start: int, end: int, letters: str) -> bool:
    """Whether what stands at *start* to *end* is taken for the identifier *letters*.

    Long ones anywhere, as the leak check looks for them. Shorter identifiers as whole words; four digits not
    before a unit or in a decimal fraction; three digits, as every text about kV, mm or slices has them, only
    after a label, in brackets or alone.
    """
    if not letters.isdecimal():
        return len(letters) >= MIN_EMBEDDED_LENGTH or _is_whole(text, start, end)
    if len(letters) >= MIN_EMBEDDED_LENGTH:
        return True
    start = _with_zeros(text, start)
    return not _is_part(text, start, end) and _is_whole(text, start, end) and _is_told(text, start, end)


def _is_part(text: str, start: int, end: int) -> bool:
    """Whether the number at *start* to *end* is part of a longer one or of a decimal fraction."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    is_before = before[-1:].isdecimal() or (before[-1:] in {".", ","} and before[:1].isdecimal())
    is_after = after[:1].isdecimal() or (after[:1] in {".", ","} and after[1:].isdecimal())
    return is_before or is_after


def _is_told(text: str, start: int, end: int) -> bool:
    """Whether what stands around a number of three or four digits lets it be an identifier."""
    if end - start <= _COUNTED_LENGTH:
        is_alone = len(text) <= _MAX_LENGTH and not text[:start].strip() and not text[end:].strip()
        return is_alone or _LABEL.search(text[max(0, start - _LABEL_REACH) : start]) is not None
    return _UNIT.match(text, end) is None and text[max(0, start - 1) : start] not in {"x", "X", "*"}


def _is_whole(text: str, start: int, end: int) -> bool:
    return not text[max(0, start - 1) : start].isalnum() and not text[end : end + 1].isalnum()
