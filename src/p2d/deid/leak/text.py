"""Search a text for the values of one patient or of many: words in sets, numbers however they are written.

Costs grow with the text, not with the number of patients. Texts are searched as the bytes of their normal
form in UTF-8, where cutting into words and dropping separators cost next to nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from p2d.deid.leak.needles import Kind, Needles, folded, lowered, widened

_FEW: Final = 48
_HEAD: Final = 5
_CENTURY: Final = 100
_NEAR: Final = 24  # characters before and after a year that may belong to its date
_MIN_CAMEL: Final = 5
_SPACED: Final = re.compile(
    rb"(?<![0-9A-Za-z\x80-\xff])[a-z](?:[ ._\-]{1,2}[a-z](?![0-9A-Za-z\x80-\xff])){3,}"
)
_CAMEL: Final = re.compile(rb"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_IDEOGRAPHIC: Final = re.compile(r"[\s^=,.]+")
_MONTHS: Final = {
    start: number
    for number, starts in enumerate(
        (
            "jan gen ene jän oca",
            "feb fev fév şub",
            "mar mär mrz mae maa",
            "apr avr abr kwi",
            "mai may mag maj mei",
            "jun jui giu cze haz",
            "jul lug lip tem",
            "aug aoû aou ago sie ağu",
            "sep set wrz eyl",
            "okt oct ott out paź eki",
            "nov lis kas",
            "dez dec déc dic gru ara",
        ),
        1,
    )
    for start in starts.split()
} | {"juil": 7}
_PART: Final = r"(?:\d{1,4}(?!\d)(?:st|nd|rd|th)?|[^\W\d_]{3,10})"
_JOINT: Final = r"(?:[\s.,\-/_年月]{0,4}(?:de\s|of\s)?)"
_TRIPLE: Final = re.compile(rf"(?<![^\W_])(?=({_PART}){_JOINT}({_PART}){_JOINT}({_PART}))")
_DIGITS: Final = re.compile(r"\d+")


def _table(keep: Iterable[int]) -> bytes:
    """Return a table for ``bytes.translate`` that turns all but *keep* and bytes beyond ASCII into spaces."""
    kept = {*keep, *range(0x80, 0x100)}
    return bytes(byte if byte in kept else 0x20 for byte in range(0x100))


_ALL_LETTERS: Final = (*range(0x41, 0x5B), *range(0x61, 0x7B))
_TO_LETTERS: Final = _table(_ALL_LETTERS)
_TO_ALNUM: Final = _table((*_ALL_LETTERS, *range(0x30, 0x3A)))
_TO_CASES: Final = bytes(
    ord("a") if chr(byte).islower() else ord("A") if chr(byte).isupper() else ord(" ") for byte in range(0x80)
) + bytes(0x80)
_TO_UIDS: Final = bytes(byte if byte in b"0123456789." else 0x20 for byte in range(0x100))
_PIXEL_WORDS: Final = re.compile(rb"[0-9A-Za-z@._\-]{8,}+")
_CHUNK: Final = 1 << 22
_OVERLAP: Final = 1 << 8
_SEPARATORS: Final = b" \t\r\n()[]/.,:_-+\xe2\x80\x90\x91\x92\x93\x94\x95"


class TextSearch:
    """Finds what *needles* name in text."""

    def __init__(self, needles: Needles) -> None:
        self._words = _bytes(needles.words)
        self._tokens = _bytes(needles.tokens)
        self._days = needles.days
        years = {f"{year}" if (year := max(day)) > _CENTURY else f"{year:02d}" for day in needles.days}
        self._years = tuple(year.encode() for year in sorted(years))
        self._year = re.compile(rb"(?<!\d)(?:%s)(?!\d)" % b"|".join(self._years))
        self._uids = frozenset(uid.encode("utf-8") for uid in needles.uids)
        self._inside = _Inside(_bytes(needles.inside))
        self._joined = _Inside(_bytes(needles.joined))
        self._digits = _Inside(_bytes(needles.digits))
        self._wide = _Inside(_bytes(needles.wide))

    def kinds_in(self, text: str) -> set[Kind]:
        """Return the kinds of values that *text* holds; empty for none."""
        if text.isascii():
            return self.kinds_in_ascii(text.encode("ascii"))
        low = lowered(text)
        found = self._found(text.encode("utf-8", "replace"), low.encode("utf-8"), folded(low).encode("utf-8"))
        if self._wide:
            found.update(self._wide.found_in(_IDEOGRAPHIC.sub("", widened(low)).encode("utf-8")))
        return found

    def has_near(self, text: bytes) -> bool:
        """Whether a word of *text*, all of it ASCII, is a needle with one more letter before or behind."""
        words = [w for w in _folded(text.lower()).translate(_TO_LETTERS).split() if len(w) > _MIN_CAMEL]
        needles = self._words.keys()
        return not needles.isdisjoint([w[1:] for w in words]) or not needles.isdisjoint(
            [w[:-1] for w in words]
        )

    def kinds_in_ascii(self, text: bytes) -> set[Kind]:
        """Return the kinds of values that *text* holds, all of it ASCII."""
        low = text.lower()
        return self._found(text, low, _folded(low))

    def _found(self, text: bytes, low: bytes, fold: bytes) -> set[Kind]:
        found: set[Kind] = set()
        words = fold.translate(_TO_LETTERS).split()
        found.update(_looked_up(self._words, words))
        if self._joined:
            found.update(self._joined.found_in(_folded(b"".join(words))))
        if self._tokens:
            found.update(_looked_up(self._tokens, low.translate(_TO_ALNUM).split()))
        found.update(self._inside.found_in(low))
        if self._digits:
            found.update(self._digits.found_in(low.translate(None, _SEPARATORS)))
        if self._days and any(year in low for year in self._years):
            self._find_days(low, found)
        if self._uids and not self._uids.isdisjoint(low.translate(_TO_UIDS).split()):
            found.add(Kind.UID)
        if self._words and not found:
            found.update(_looked_up(self._words, list(_split_words(text, fold))))
        return found

    def _find_days(self, low: bytes, found: set[Kind]) -> None:
        for near in _surroundings(low, self._year):
            for first, second, third in _TRIPLE.findall(near.decode("utf-8", "replace")):
                kind = self._days.get((_number_of(first), _number_of(second), _number_of(third)))
                if kind is not None:
                    found.add(kind)


def kinds_in_pixels(search: TextSearch, pixels: bytes | memoryview) -> set[Kind]:
    """Return the kinds of values that stand as ASCII in *pixels*; reads them in pieces."""
    kinds: set[Kind] = set()
    for begin in range(0, len(pixels), _CHUNK):
        with memoryview(pixels)[begin : begin + _CHUNK + _OVERLAP] as chunk:
            words = _PIXEL_WORDS.findall(chunk)
        if words:
            kinds |= search.kinds_in_ascii(b"\n".join(words))
    return kinds


def _bytes(needles: Mapping[str, Kind]) -> dict[bytes, Kind]:
    return {needle.encode("utf-8"): kind for needle, kind in needles.items()}


def _folded(low: bytes) -> bytes:
    return low.replace(b"ae", b"a").replace(b"oe", b"o").replace(b"ue", b"u")


def _looked_up(needles: Mapping[bytes, Kind], words: list[bytes]) -> Iterator[Kind]:
    if not needles.keys().isdisjoint(words):
        yield from (needles[word] for word in words if word in needles)


def _split_words(text: bytes, fold: bytes) -> Iterator[bytes]:
    """Yield words that stand together by their capitals (``AnnaExample``) or letter by letter."""
    cases = text.translate(_TO_CASES)
    if b"aA" in cases or b"AAa" in cases:
        for word in text.translate(_TO_LETTERS).split():
            if not (word.istitle() or word.islower() or word.isupper()):
                yield from (_folded(part.lower()) for part in _CAMEL.findall(word) if len(part) >= _MIN_CAMEL)
    if b"a a a a" in fold.translate(_TO_CASES):
        for spaced in _SPACED.findall(fold):
            yield _folded(b"".join(spaced.translate(_TO_LETTERS).split()))


def _surroundings(low: bytes, year: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield the parts of *low* round every match of *year*, those that overlap as one."""
    begin = end = -len(low) - 2 * _NEAR
    for match in year.finditer(low):
        if match.start() - _NEAR <= end:
            end = match.end() + _NEAR
            continue
        if end > 0:
            yield low[begin:end]
        begin, end = max(0, match.start() - _NEAR), match.end() + _NEAR
    if end > 0:
        yield low[begin:end]


def _number_of(part: str) -> int:
    """Return the number at the begin of *part*, or that of the month it names, or -1."""
    if digits := _DIGITS.match(part):
        return int(digits.group())
    return _MONTHS.get(part[:4]) or _MONTHS.get(part[:3], -1)


class _Inside:
    """Finds strings inside longer ones: a few one by one, many by how their longest run of letters begins."""

    def __init__(self, needles: Mapping[bytes, Kind]) -> None:
        self._few: list[tuple[bytes, Kind]] = []
        self._heads: dict[bytes, list[tuple[bytes, bytes, Kind]]] = {}
        for needle, kind in needles.items():
            run = max(needle.translate(_TO_ALNUM).split(), key=len, default=b"")
            if len(needles) > _FEW and len(run) >= _HEAD:
                self._heads.setdefault(run[:_HEAD], []).append((run, needle, kind))
            else:
                self._few.append((needle, kind))

    def __bool__(self) -> bool:
        return bool(self._few or self._heads)

    def found_in(self, text: bytes) -> Iterator[Kind]:
        """Yield the kind of each needle that *text* holds."""
        for needle, kind in self._few:
            if needle in text:
                yield kind
        if self._heads:
            for word in set(text.translate(_TO_ALNUM).split()):
                yield from self._found_in_word(word, text)

    def _found_in_word(self, word: bytes, text: bytes) -> Iterator[Kind]:
        heads = self._heads
        for start in range(len(word) - _HEAD + 1):
            if (head := word[start : start + _HEAD]) in heads:
                for run, needle, kind in heads[head]:
                    if word.startswith(run, start) and needle in text:
                        yield kind
