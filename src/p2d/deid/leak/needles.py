"""What to look for: one patient's values as words, numbers and dates, in the one form they are compared in.

The cleaner turns the same values into regular expressions. Here they become sets, by another way of folding
and of taking names apart, so that one error is not made twice. Only the vocabulary is shared: which names are
no leak when they stand alone is one decision.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from itertools import permutations
from typing import Final

from p2d.deid.scrub.folding import fold
from p2d.deid.scrub.words import generic_words, is_word, vocabulary
from p2d.model.identified import KnownValues

MIN_BYTES: Final = 5
"""Identifiers of this length are also found inside longer words; names and words in raw bytes have it."""

MIN_DIGITS: Final = 8
"""Numbers of this length are also found inside longer numbers and however they are grouped."""

TIME_VRS: Final = frozenset({"TM", "AS"})
TIME: Final = re.compile(r"\d{2}:?(?:\d{2}:?(?:\d{2}(?:\.\d{1,6})?)?)?|\d{3}[DWMY]")
"""Times of day and ages: none of them is a day, though 170350 may be read as one."""

_MIN_WORD: Final = 3
_MIN_ID: Final = 3
_MIN_NUMBER: Final = 6
_MIN_JOINED: Final = 8
_MIN_PHONE: Final = 7
_MAX_LENGTH: Final = 128
_MAX_PARTS: Final = 8
_CENTURY: Final = 100
_ALPHABETIC_COMPONENTS: Final = 5

_NOT_WORD: Final = re.compile(r"[^\w\x00-\x7f]")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_ALNUM: Final = re.compile(r"[^\W_]+")
_WIDE: Final = re.compile(r"[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_SPECIAL: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "\u0131": "i",
        "ħ": "h",
    }
)
_KANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_INVISIBLE: Final = re.compile("[\xad\u200b-\u200f\u2060\ufeff]")
_MARKS: Final = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]"
)
_HAS_SPECIAL: Final = re.compile("[ßæœøłđðþ\u0131ħ]")


class Kind(StrEnum):
    """What kind of value was found; a finding says no more than that."""

    NAME = "name"
    SHORT_NAME = "name of three or four letters"
    ID = "identifier"
    UID = "UID"
    BIRTH_DATE = "birth date"
    DATE = "date of an examination"
    CONTACT = "address, telephone or mail"
    PLACE = "institution"


@dataclass(slots=True)
class Needles:
    """Values by the way they are looked for; each maps to its kind.

    ``words`` are folded runs of letters and ``tokens`` runs of letters and digits, both found whole;
    ``inside`` is found anywhere in lower-case text, ``joined`` in all letters of a text run together,
    ``digits`` in numbers with their grouping taken away, ``wide`` (ideographs, kana, Hangul) anywhere,
    ``days`` as three numbers in any usual order, ``numbers`` as values of numeric elements,
    ``uids`` as runs of digits and dots.
    """

    words: dict[str, Kind] = field(default_factory=dict, repr=False)
    tokens: dict[str, Kind] = field(default_factory=dict, repr=False)
    inside: dict[str, Kind] = field(default_factory=dict, repr=False)
    joined: dict[str, Kind] = field(default_factory=dict, repr=False)
    digits: dict[str, Kind] = field(default_factory=dict, repr=False)
    wide: dict[str, Kind] = field(default_factory=dict, repr=False)
    days: dict[tuple[int, int, int], Kind] = field(default_factory=dict, repr=False)
    numbers: dict[int, Kind] = field(default_factory=dict, repr=False)
    uids: frozenset[str] = field(default=frozenset(), repr=False)

    def update(self, other: "Needles") -> None:
        """Add all of *other*."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) | getattr(other, name))

    def in_pixels(self) -> "Needles":
        """Return those too long to stand among compressed or random bytes by chance: eight characters."""
        return Needles(words=_longer(self.words, MIN_DIGITS), inside=_longer(self.inside, MIN_DIGITS))

    def in_binary(self) -> "Needles":
        """Return those that do not stand among binary numbers by chance: five letters, six digits, more."""

        def telling(needles: Mapping[str, Kind]) -> dict[str, Kind]:
            return {n: k for n, k in needles.items() if len(n) >= MIN_BYTES and not n.isdigit()}

        numbers = {n: k for n, k in self.inside.items() if n.isdigit() and not _is_placeholder(n)}
        six = {n: k for n, k in numbers.items() if _MIN_NUMBER <= len(n) < MIN_DIGITS}
        eight = {n: k for n, k in numbers.items() if len(n) >= MIN_DIGITS}
        return Needles(
            words=telling(self.words),
            tokens=telling(self.tokens) | six,
            inside=telling(self.inside) | eight,
            joined={n: k for n, k in self.joined.items() if k is not Kind.NAME},
            wide={n: k for n, k in self.wide.items() if len(n) > 1},
            days={day: k for day, k in self.days.items() if max(day) > _CENTURY},
            uids=self.uids,
        )


@lru_cache(maxsize=2)
def _fillers(section: str) -> frozenset[str]:
    """Return the folded words of *section* that point at nobody: titles, or kinds of institutions."""
    text = resources.files("p2d.deid.data").joinpath("filler_words.txt").read_text(encoding="utf-8")
    words = text.split(f"# {section}\n")[1].split("#")[0].split()
    return frozenset(map(folded, words))


def _longer(needles: Mapping[str, Kind], length: int) -> dict[str, Kind]:
    return {needle: kind for needle, kind in needles.items() if len(needle) >= length}


def lowered(text: str) -> str:
    """Return *text* in lower case and compatibility form (widths, ligatures), without invisible characters.

    Punctuation beyond ASCII becomes spaces.
    """
    if text.isascii():
        return text.lower()
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).lower())


def folded(text: str) -> str:
    """Return *text*, as from ``lowered``, with one spelling for each word: ü, ue and u alike, é and e."""
    if not text.isascii():
        text = _MARKS.sub("", unicodedata.normalize("NFD", text.casefold()))
        if _HAS_SPECIAL.search(text):
            text = text.translate(_SPECIAL)
    return text.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def widened(text: str) -> str:
    """Return *text*, as from ``lowered``, with kana of one kind; ideographs and Hangul as they are."""
    return text.translate(_KANA)


def needles_of(known: KnownValues, *, shift_days: int = 0, among_many: bool = False) -> Needles:
    """Return what to look for to find *known*.

    Dates of examinations are looked for where they were moved by *shift_days*, unless the moved date of
    another examination is the same day. *among_many* leaves out what the values of many patients together
    find everywhere: numbers inside longer ones, dates of examinations.
    """
    needles = Needles()
    for place in known.places:
        _add_place(needles, place)
    for contact in known.contacts:
        _add_contact(needles, contact)
    for identifier in known.ids | known.accessions:
        _add_identifier(needles, lowered(identifier.strip())[:_MAX_LENGTH], among_many=among_many)
    for name in known.names:
        _add_name(needles, name)
    if not among_many and shift_days:
        for day in set(_days(known.dates)) - moved_days(known, shift_days):
            _add_day(needles, day, Kind.DATE)
    for day in _days(known.birth_dates):
        _add_day(needles, day, Kind.BIRTH_DATE)
    return needles


def moved_days(known: KnownValues, shift_days: int) -> frozenset[date]:
    """Return the days of examinations moved by *shift_days*, as P2D writes them."""
    moved = set()
    for day in _days(known.dates):
        try:
            moved.add(day + timedelta(days=shift_days))
        except OverflowError:
            continue
    return frozenset(moved)


def _days(texts: Iterable[str]) -> Iterator[date]:
    for text in texts:
        digits = re.sub(r"\D", "", text)[:8]
        try:
            yield date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
        except ValueError:
            continue


def _add_day(needles: Needles, day: date, kind: Kind) -> None:
    y, m, d = day.year, day.month, day.day
    short = y % _CENTURY
    for order in ((d, m, y), (m, d, y), (y, m, d), (d, m, short), (m, d, short)):
        needles.days[order] = kind
    needles.tokens[f"{d:02d}{m:02d}{y:04d}"] = kind
    needles.tokens[f"{m:02d}{d:02d}{y:04d}"] = kind
    if kind is Kind.BIRTH_DATE:
        needles.inside[f"{y:04d}{m:02d}{d:02d}"] = kind
        needles.numbers[int(f"{y:04d}{m:02d}{d:02d}")] = kind
        for text in (
            f"{d:02d}{m:02d}{short:02d}",
            f"{short:02d}{m:02d}{d:02d}",
            f"{m:02d}{d:02d}{short:02d}",
        ):
            needles.tokens[text] = kind
    else:
        needles.tokens[f"{y:04d}{m:02d}{d:02d}"] = kind


def _add_identifier(needles: Needles, identifier: str, *, among_many: bool) -> None:
    runs = _ALNUM.findall(identifier)
    joined = "".join(runs)
    if len(joined) < _MIN_ID or fold(joined) in vocabulary():
        return
    is_number = joined.isdecimal()
    if len(joined) < MIN_BYTES or (among_many and is_number and len(joined) < MIN_DIGITS):
        needles.tokens[joined] = Kind.ID
    else:
        needles.inside[joined] = Kind.ID
        if len(identifier) > len(joined):
            needles.inside[identifier] = Kind.ID
    if is_number:
        short = joined.lstrip("0")
        if len(short) >= (MIN_DIGITS if among_many else MIN_BYTES):
            needles.inside[short] = Kind.ID
        if len(joined) >= MIN_DIGITS:
            needles.digits[joined] = Kind.ID
        if len(short) >= (MIN_DIGITS if among_many else _MIN_NUMBER) and not _is_placeholder(short):
            needles.numbers[int(joined)] = Kind.ID


def _is_placeholder(digits: str) -> bool:
    """Whether *digits* are what is written where nobody has a number (123456, 999999) and counters reach."""
    is_short = len(digits) <= _MIN_NUMBER
    return len(set(digits)) == 1 or (is_short and (digits in "1234567890" or digits in "9876543210"))


def _add_name(needles: Needles, name: str) -> None:
    for group in lowered(name)[: 3 * _MAX_LENGTH].split("="):
        if _WIDE.search(group):
            _add_wide(needles, group)
            continue
        components = group.split("^")[:_ALPHABETIC_COMPONENTS]
        runs = [run for component in components for run in _ALNUM.findall(component)]
        for run in runs:
            if not run.isalpha() and len(run) >= _MIN_WORD and not run.isdecimal():
                needles.tokens[run] = Kind.NAME
        words = [folded(run) for run in runs if run.isalpha()]
        telling = [word for word in words if _tells(word)]
        for word in telling:
            needles.words[word] = Kind.NAME if len(word) >= MIN_BYTES else Kind.SHORT_NAME
            if len(word) >= _MIN_JOINED:
                needles.joined[word] = Kind.NAME
        _add_compounds(needles, [w for w in words if len(w) > 1][:_MAX_PARTS], frozenset(telling))


def _tells(word: str) -> bool:
    return len(word) >= _MIN_WORD and word not in _fillers("names") and fold(word) not in vocabulary()


def _add_compounds(needles: Needles, words: list[str], telling: frozenset[str]) -> None:
    """Add what is made of two parts: ``annaexample``, ``aexample``, ``examplea``."""
    for first, second in permutations(dict.fromkeys(words), 2):
        if first not in telling and second not in telling:
            continue
        for compound in (first + second, first[0] + second, first + second[0]):
            if len(compound) > MIN_BYTES and fold(compound) not in vocabulary():
                needles.words.setdefault(folded(compound), Kind.NAME)


def _add_wide(needles: Needles, group: str) -> None:
    parts = [part for part in re.split(r"[\s^,.・·\u3000]+", widened(group)) if part]
    for part in parts:
        if len(part) > 1:
            needles.wide[part] = Kind.NAME
    for first, second in permutations(parts[:4], 2):
        needles.wide[first + second] = Kind.NAME


def _add_place(needles: Needles, place: str) -> None:
    text = lowered(place)[:_MAX_LENGTH]
    if _WIDE.search(text):
        _add_wide_phrase(needles, text, Kind.PLACE)
        return
    words = [folded(word) for word in _LETTERS.findall(text)]
    if len(whole := folded("".join(words))) >= _MIN_JOINED and len(words) > 1:
        needles.joined[whole] = Kind.PLACE
    _add_telling_words(needles, words, Kind.PLACE)


def _add_wide_phrase(needles: Needles, text: str, kind: Kind) -> None:
    phrase = "".join(_ALNUM.findall(widened(text)))
    if len(phrase) > _MIN_WORD:
        needles.wide[phrase] = kind


def _add_telling_words(needles: Needles, words: Iterable[str], kind: Kind) -> None:
    needles.words.update((word, kind) for word in words if _tells_of_a_place(word))


def _tells_of_a_place(word: str) -> bool:
    """Whether *word* tells of a place alone: words of any report or hospital do not, as for the cleaner."""
    if len(word) < MIN_BYTES or word in _fillers("places"):
        return False
    return not (is_word(fold(word)) or fold(word) in generic_words())


def words_beyond_ascii(known: KnownValues) -> frozenset[str]:
    """Return the words of names and places that are written otherwise in each character set."""
    telling: set[str] = set()
    for values, tells in ((known.names, _tells), (known.places | known.contacts, _tells_of_a_place)):
        for word in {word for value in values for word in _LETTERS.findall(value) if not word.isascii()}:
            if _WIDE.search(word) or tells(folded(lowered(word))):
                telling.add(word)
    return frozenset(telling)


def _add_contact(needles: Needles, contact: str) -> None:
    text = lowered(contact.strip())[:_MAX_LENGTH]
    letters = sum(character.isalpha() for character in text)
    if "@" in text:
        needles.inside[text] = Kind.CONTACT
        return
    digits = re.sub(r"\D", "", text)
    if letters < _MIN_WORD and len(digits) >= _MIN_PHONE:
        national = re.sub(r"^(?:0049|0043|0041|00|0)", "", digits)
        if text.lstrip(" (").startswith("+"):
            national = digits[3:]  # however long the country's code is
        if len(national) >= _MIN_PHONE:
            needles.digits[national] = Kind.CONTACT
        return
    if _WIDE.search(text):
        _add_wide_phrase(needles, text, Kind.CONTACT)
        return
    whole = "".join(_ALNUM.findall(text))
    if len(whole) > MIN_BYTES and letters < len(whole):
        needles.inside.setdefault(text, Kind.CONTACT)
    _add_telling_words(needles, map(folded, _LETTERS.findall(text)), Kind.CONTACT)
