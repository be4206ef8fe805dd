"""Find known addresses and institutions in a text: as a whole, in part, and by their distinctive words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.scrub.folding import fold, fold_once, plain, shadow
from p2d.deid.scrub.words import generic_words, is_placeholder, is_word

Span = tuple[int, int]
_TOKENS: Final = re.compile(r"[^\W\d_]+|\d+")
_LINES: Final = re.compile(r"[\n\r,;^=|\\()]+")
_GAP: Final = re.compile(r"[\W_]{0,4}")
_STREET: Final = re.compile(r"(?:strasse|str)$")
_WITHOUT_SPACES: Final = re.compile(r"[\u0e00-\u109f\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_MIN_WORD: Final = 4
_MIN_INSIDE: Final = 6
_MIN_PHRASE: Final = 4
_MIN_WHOLE: Final = 8
_MIN_NUMBER: Final = 5
_MAX_LENGTH: Final = 1024
_HEAD: Final = 4
_ENDINGS: Final = ("", "s", "er", "ers", "ern")
_HOUSE_NUMBER: Final = re.compile(r"\.?\s?\d{1,4}\s?[a-z]?(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlaceIndex:
    """``phrases`` by their first word, ``words`` that tell a place alone, ``wide`` texts without spaces."""

    phrases: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict, repr=False)
    words: frozenset[str] = field(default=frozenset(), repr=False)
    wide: tuple[str, ...] = field(default=(), repr=False)
    heads: tuple[str, ...] = field(default=(), repr=False)


def index_places(places: Iterable[str], extra_words: frozenset[str] = frozenset()) -> PlaceIndex:
    """Return the index of *places*: addresses, institutions, departments, in any order."""
    phrases: set[tuple[str, ...]] = set()
    words: set[str] = set()
    wide: set[str] = set()
    for place in places:
        text = shadow(plain(place[:_MAX_LENGTH]))
        whole = tuple(_normal(token) for token in _TOKENS.findall(text))
        if len(whole) > 1 and sum(map(len, whole)) >= _MIN_WHOLE and not is_placeholder(text):
            phrases.add(whole)
        for line in (text, *_LINES.split(text)):
            if is_placeholder(line):
                continue
            tokens = tuple(_normal(token) for token in _TOKENS.findall(line))
            if _WITHOUT_SPACES.search(line) and len(line.strip()) > 1:
                wide.add(line.strip())
            elif _tells(tokens, extra_words):
                phrases.add(tokens)
            words |= {token for token in tokens if _is_distinctive(token, extra_words)}
    first: dict[str, list[tuple[str, ...]]] = {}
    for phrase in sorted(phrases, key=lambda p: (-len(p), p)):
        first.setdefault(phrase[0], []).append(phrase)
    heads = {word[:_HEAD] for word in words} | {phrase[0][:_HEAD] for phrase in phrases}
    return PlaceIndex(
        {word: tuple(found) for word, found in first.items()},
        frozenset(words),
        tuple(sorted(wide, key=lambda w: (-len(w), w))),
        tuple(sorted(heads)),
    )


def _normal(token: str) -> str:
    return _STREET.sub("str", fold(token))


def _tells(tokens: tuple[str, ...], extra_words: frozenset[str]) -> bool:
    """Whether *tokens* together name one place rather than any."""
    if sum(map(len, tokens)) < _MIN_PHRASE:
        return False
    own = [
        token for token in tokens if not (is_word(token) or token in generic_words() or token in extra_words)
    ]
    if len(tokens) == 1:
        return bool(own) and not tokens[0].isdecimal() and len(tokens[0]) >= _MIN_WORD
    return any(not token.isdecimal() or len(token) >= _MIN_NUMBER for token in own) or len(tokens) > _MIN_WORD


def _is_distinctive(token: str, extra_words: frozenset[str]) -> bool:
    if token.isdecimal():
        return len(token) >= _MIN_NUMBER and not is_placeholder(token)
    if len(token) < _MIN_WORD or is_placeholder(token):
        return False
    return not (is_word(token) or token in generic_words() or token in extra_words)


def place_spans(text: str, index: PlaceIndex) -> list[Span]:
    """Return where places of *index* stand in *text*, which is ``shadow`` of a plain text."""
    spans: list[Span] = []
    for wide in index.wide:
        spans += [match.span() for match in re.finditer(re.escape(wide), text)]
    folded = fold_once(text)
    if not any(head in folded for head in index.heads):
        return spans
    matches = list(_TOKENS.finditer(text))
    tokens = [_normal(match.group()) for match in matches]
    at = 0
    while at < len(tokens):
        length = _phrase_length(text, matches, tokens, at, index)
        if length:
            spans.append((matches[at].start(), matches[at + length - 1].end()))
        elif _is_place_word(tokens[at], index):
            spans.append((matches[at].start(), _end(text, tokens[at], matches[at].end())))
        at += length or 1
    return spans


def _phrase_length(
    text: str, matches: list[re.Match[str]], tokens: list[str], at: int, index: PlaceIndex
) -> int:
    for phrase in index.phrases.get(tokens[at], ()):
        end = at + len(phrase)
        if tuple(tokens[at:end]) == phrase and all(
            _GAP.fullmatch(text, matches[i].end(), matches[i + 1].start()) for i in range(at, end - 1)
        ):
            return len(phrase)
    return 0


def _is_place_word(token: str, index: PlaceIndex) -> bool:
    if any(
        token.endswith(ending) and token[: len(token) - len(ending)] in index.words for ending in _ENDINGS
    ):
        return True
    inside = (word for word in index.words if len(word) >= _MIN_INSIDE and not word.isdecimal())
    return any(word in token for word in inside) and not is_word(token)


def _end(text: str, token: str, end: int) -> int:
    """Return the end of a place word; that of a street takes its house number along."""
    house = _HOUSE_NUMBER.match(text, end) if token.endswith("str") else None
    return house.end() if house else end
