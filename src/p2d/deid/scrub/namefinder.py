"""Find known names in a text, word by word."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from p2d.deid.scrub.folding import fold, fold_once, unfolded
from p2d.deid.scrub.names import NameIndex
from p2d.deid.scrub.words import is_word

Span = tuple[int, int]
_WORDS: Final = re.compile(r"[^\W\d_]+")
_HUMPS: Final = re.compile(r"(?<=[a-zß])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN: Final = re.compile(r"[\s,;.^_=/'\u2019&+\-\u2010-\u2015]{0,4}")
_BREAK: Final = re.compile(r"[\-_\u2010]?\s{0,2}")
_LABEL_GAP: Final = re.compile(r"[.:,=\s]{1,3}|\s?[:=]\s{0,2}")
_GENITIVE: Final = re.compile(r"['\u2019]s(?![^\W\d_])", re.IGNORECASE)
_LABELS: Final = frozenset(
    [
        *("patient", "patientin", "patienten", "pat", "pt", "name", "vorname", "nachname"),
        *("familienname", "surname", "herr", "herrn", "frau", "hr", "fr", "mr", "mrs", "ms", "dr"),
        *("prof", "sig", "signor", "signora", "mme", "madame", "senor", "senora", "hasta", "pacjent"),
        *("pan", "pani", "bay", "bayan", "sr", "sra", "miss"),
    ]
)
_MAX_PIECES: Final = 12
_MIN_TAIL: Final = 4
_MIN_TAIL_AT_LIMIT: Final = 3
_MAX_SCRAP: Final = 2
_MAX_WORD: Final = 128
_LIMITS: Final = frozenset({16, 64, 1024, 10240})  # VR SH, LO, ST, LT (PS3.5 6.2), in characters
_NOBODY: Final[frozenset[int]] = frozenset()


class _Kind(Enum):
    NAME = auto()
    WEAK = auto()
    INITIAL = auto()
    PARTICLE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    folded: str
    kind: _Kind
    owners: frozenset[int]


def name_spans(text: str, index: NameIndex) -> list[Span]:
    """Return where names of *index* stand in *text*, which is ``shadow`` of a plain text."""
    found = [] if index.wide is None else [match.span() for match in index.wide.finditer(text)]
    folded = fold_once(text)
    if any(head in folded for head in index.heads):
        words = [word for match in _WORDS.finditer(text) for word in _classified(match, index)]
        words = _with_broken(text, words, index)
        found += _chains(text, words)
        found += _weak(text, words)
        found += _tail(text, words, index)
    return found


def _classified(match: re.Match[str], index: NameIndex) -> list[_Word]:
    start, end = match.span()
    word = match.group()
    known = _exact(word, start, end, index)
    if known.kind is _Kind.INITIAL and _beside_digit(match.string, start, end):
        return [_Word(start, end, known.folded, _Kind.OTHER, _NOBODY)]
    if known.kind is not _Kind.OTHER:
        return [known]
    if not (word.islower() or word.isupper()) and len(humps := _HUMPS.split(word)) > 1:
        pieces = []
        at = start
        for hump in humps:
            pieces.append(_exact(hump, at, at + len(hump), index))
            at += len(hump)
        if any(piece.kind is _Kind.NAME for piece in pieces):
            return pieces
    return _inside(word, known, index)


def _beside_digit(text: str, start: int, end: int) -> bool:
    """Whether the letter is that of ``T1`` or ``3D`` rather than an initial."""
    return text[end : end + 1].isdecimal() or text[max(0, start - 1) : start].isdecimal()


def _exact(word: str, start: int, end: int, index: NameIndex) -> _Word:
    folded = fold(word)
    owners = index.strong.get(folded) or index.joined.get(folded)
    if owners is None and folded[-1:] == "s":
        owners = index.strong.get(folded[:-1])
    if owners is not None:
        return _Word(start, end, folded, _Kind.NAME, owners)
    if folded in index.weak:
        return _Word(start, end, folded, _Kind.WEAK, index.weak[folded])
    if folded in index.particles:
        return _Word(start, end, folded, _Kind.PARTICLE, _NOBODY)
    if len(word) == 1 and word.isupper() and folded in index.initials:
        return _Word(start, end, folded, _Kind.INITIAL, index.initials[folded])
    return _Word(start, end, folded, _Kind.OTHER, _NOBODY)


def _inside(word: str, known: _Word, index: NameIndex) -> list[_Word]:
    """Return *word* divided where a long part of a name stands in it, unless it is an ordinary word."""
    part = next((part for part in index.inside if part in known.folded), None)
    if part is None or is_word(known.folded):
        return [known]
    at = known.folded.find(part)
    first, last = unfolded(word, at, at + len(part)) if len(word) <= _MAX_WORD else _in_long(word, part)
    first = 0 if first <= _MAX_SCRAP else first
    last = len(word) if len(word) - last <= _MAX_SCRAP else last
    start = known.start
    pieces = [_Word(start + first, start + last, part, _Kind.NAME, index.strong[part])]
    if first:
        pieces.insert(0, _exact(word[:first], start, start + first, index))
    if last < len(word):
        pieces.append(_exact(word[last:], start + last, known.end, index))
    return pieces


def _in_long(word: str, part: str) -> tuple[int, int]:
    """Return where *part* stands in a run of letters too long to fold letter by letter, or all of it."""
    at = word.lower().find(part) if len(word.lower()) == len(word) else -1
    return (at, at + len(part)) if at >= 0 else (0, len(word))


def _with_broken(text: str, words: list[_Word], index: NameIndex) -> list[_Word]:
    """Return *words* with those joined that together are one long part of a name, written apart."""
    if not index.broken:
        return words
    joined: list[_Word] = []
    at = 0
    while at < len(words):
        word = words[at]
        step = 1
        if word.kind is not _Kind.NAME and (word.folded in index.broken or len(word.folded) == 1):
            whole = word.folded
            for ahead in range(at + 1, min(at + _MAX_PIECES, len(words))):
                if not _BREAK.fullmatch(text, words[ahead - 1].end, words[ahead].start):
                    break
                whole = fold_once(whole + words[ahead].folded)
                if whole in index.strong:
                    word = _Word(word.start, words[ahead].end, whole, _Kind.NAME, index.strong[whole])
                    step = ahead + 1 - at
                    break
                if len(whole) > 1 and whole not in index.broken:
                    break
        joined.append(word)
        at += step
    return joined


def _adjacent(text: str, left: _Word, right: _Word) -> bool:
    return _BETWEEN.fullmatch(text, left.end, right.start) is not None


def _belongs(word: _Word, owners: frozenset[int]) -> bool:
    if word.kind in {_Kind.NAME, _Kind.PARTICLE}:
        return True
    return word.kind in {_Kind.WEAK, _Kind.INITIAL} and not owners.isdisjoint(word.owners)


def _chains(text: str, words: list[_Word]) -> list[Span]:
    """Return the spans of names with the weak parts, initials and particles beside them."""
    spans: list[Span] = []
    at = 0
    while at < len(words):
        if words[at].kind is not _Kind.NAME:
            at += 1
            continue
        owners = words[at].owners
        first = last = at
        while (
            first and _belongs(words[first - 1], owners) and _adjacent(text, words[first - 1], words[first])
        ):
            first -= 1
            owners |= words[first].owners
        while (
            last + 1 < len(words)
            and _belongs(words[last + 1], owners)
            and _adjacent(text, words[last], words[last + 1])
        ):
            last += 1
            owners |= words[last].owners
        at = last + 1
        while words[last].kind is _Kind.PARTICLE:
            last -= 1
        spans.append((words[first].start, _end(text, words[last])))
    return spans


def _end(text: str, word: _Word) -> int:
    genitive = _GENITIVE.match(text, word.end)
    if genitive:
        return genitive.end()
    is_dotted = word.kind is _Kind.INITIAL and text[word.end : word.end + 1] == "."
    return word.end + 1 if is_dotted else word.end


def _weak(text: str, words: list[_Word]) -> list[Span]:
    """Return the spans of weak parts that another part of the same name, an initial or a label gives away."""
    spans: list[Span] = []
    for at, word in enumerate(words):
        if word.kind is not _Kind.WEAK:
            continue
        before = words[at - 1] if at else None
        if before and before.folded in _LABELS and _LABEL_GAP.fullmatch(text, before.end, word.start):
            spans.append((word.start, _end(text, word)))
        beside = [words[i] for i in (at - 1, at + 1) if 0 <= i < len(words)]
        if at + 2 < len(words) and words[at + 1].kind is _Kind.PARTICLE:
            beside.append(words[at + 2])
        for other in beside:
            first, second = (other, word) if other.start < word.start else (word, other)
            if word.owners.isdisjoint(other.owners) or not (
                _adjacent(text, first, second)
                or ((second.start - first.end) < _MAX_PIECES and other not in beside[:2])
            ):
                continue
            is_part = other.kind is _Kind.WEAK and other.folded != word.folded
            is_dotted = other.kind is _Kind.INITIAL and text[other.end : other.end + 1] == "."
            if is_part or is_dotted:
                spans.append((first.start, _end(text, second)))
    return spans


def _tail(text: str, words: list[_Word], index: NameIndex) -> list[Span]:
    """Return the span of a name that the end of *text* cuts short, as the greatest length of a VR does."""
    last = words[-1] if words else None
    if (
        last is None
        or last.kind is _Kind.NAME
        or last.folded not in index.tails
        or text[last.end :].strip(" .^")
    ):
        return []
    before = words[-2] if len(words) > 1 else None
    is_beside_name = (
        before is not None
        and before.kind is _Kind.NAME
        and not before.owners.isdisjoint(index.tails[last.folded])
        and _adjacent(text, before, last)
    )
    shortest = _MIN_TAIL_AT_LIMIT if len(text) in _LIMITS else _MIN_TAIL
    if is_beside_name or (len(last.folded) >= shortest and not is_word(last.folded)):
        return [(last.start, len(text))]
    return []
