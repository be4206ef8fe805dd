"""Dates inside free text: the birth date in its usual notations; others moved in their own notation."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from p2d.deid.scrub.months import MONTH, ROMAN, WEEKDAY, month_name, month_number

Span = tuple[int, int]
_CENTURY: Final = 100
_PIVOT: Final = 40
_MONTHS_IN_YEAR: Final = 12
_DAYS_IN_MONTH: Final = 31
_MIDDLE: Final = "15"
_ROMAN: Final = "|".join(sorted(ROMAN, key=len, reverse=True))
_YEAR: Final = r"(?:19|20)\d\d"
_WEEKDAY: Final = rf"(?:(?<![^\W_])(?:{WEEKDAY})\.?,?\s{{1,2}}(?:(?:den|the|le|el)\s)?)?"

_DATES: Final = re.compile(
    rf"""
      (?<!\d)(?P<compact>(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))
             (?=(?:[0-2]\d[0-5]\d(?:[0-5]\d)?(?:\.\d+)?)?(?!\d))
    | (?<![\d.])(?P<ymd>{_YEAR}(?P<a>[-/.])\d\d?(?P=a)\d\d?)(?!\d|\.\d)
    | (?<![\d.])(?P<dotted>\d\d?(?P<b>[.\-/])\s?\d\d?(?P=b)\s?(?:{_YEAR}|\d\d))(?!\d|\.\d|[-/]\d)
    | (?<![\d.])(?P<roman>\d\d?[.\s/\-]{{1,2}}(?-i:{_ROMAN})[.\s/\-]{{1,2}}{_YEAR})(?!\d)
    | (?<!\d)(?P<day_month>\d\d?(?:\.|st|nd|rd|th|º|er)?[\s\-]?\s?(?:of\s|de\s)?(?:{MONTH})(?![^\W\d_])
             \.?,?[\s\-]?\s?(?:de\s|del\s)?{_YEAR})(?!\d)
    | (?<![^\W\d_])(?P<month_day>(?:{MONTH})\.?\s\d\d?(?:st|nd|rd|th)?,?\s{_YEAR})(?!\d)
    | (?<!\d)(?P<named>{_YEAR}[\s\-](?:{MONTH})[\s\-.]\d\d?)(?!\d)
    | (?<![^\W\d_])(?P<month>(?:{MONTH})\.?[\s\-/]?\s?{_YEAR})(?!\d)
    | (?<![\d./])(?P<number>(?:0[1-9]|1[0-2])[/.]{_YEAR})(?![\d/]|\.\d)
    | (?<!\d)(?P<kanji>{_YEAR}\s?年\s?\d\d?\s?月\s?\d\d?\s?日)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ORDERS: Final = {
    "compact": "ymd", "ymd": "ymd", "kanji": "ymd", "named": "ymd", "day_month": "dmy", "roman": "dmy",
    "month_day": "mdy", "month": "my", "number": "my",
}  # fmt: skip
_GAP: Final = r"\s?[.\-/_\ ]\s?"
_LOOSE: Final = re.compile(
    rf"""
    (?<!\d)(?=(
        \d\d?{_GAP}\d\d?{_GAP}(?:\d{{4}}|['\u2019]?\d\d)(?!\d)
      | \d{{4}}{_GAP}\d\d?{_GAP}\d\d?(?!\d)
      | \d\d?(?:\.|st|nd|rd|th|º|er)?[\s\-]{{0,2}}(?:of\s|de\s)?(?:{MONTH})\.?,?[\s\-]{{0,2}}(?:de\s|del\s)?
        (?:\d{{4}}|['\u2019]?\d\d)(?!\d)
      | \d\d?[.\s/\-]{{1,2}}(?-i:{_ROMAN})[.\s/\-]{{1,2}}(?:\d{{4}}|\d\d)(?!\d)
      | \d{{4}}[\s\-]{{0,2}}(?:{MONTH})[\s\-.]{{0,2}}\d\d?(?!\d)
      | \d{{4}}\s?年\s?\d\d?\s?月\s?\d\d?\s?日
      | \d\d?[/.]\d{{4}}(?!\d)
      | (?:\d{{8}}|\d{{6}})(?!\d)
    )) | (?<![^\W\d_])(?=((?:{MONTH})\.?[\s\-/]{{0,2}}
        (?:\d\d?(?:st|nd|rd|th)?,?\s{{0,2}})?(?:\d{{4}}|\d\d)(?!\d)))
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BORN: Final = re.compile(
    r"(?:(?<![^\W_])(?:geb(?:oren)?\.?|geburtsdatum|geb\.?-?dat(?:um)?\.?|jahrgang|jg\.?|born|dob|d\.o\.b\.|birth\s?date"
    r"|date\sof\sbirth|n[ée]e?\sle|n[ée]e?|nacid[oa]|ur\.|do[gğ](?:um)?\.?)|\*)[\s:]{0,3}(?:(?:in|am|im|on|en|el)\s)?$",
    re.IGNORECASE,
)
_BORN_REACH: Final = 28
_VERSION_REACH: Final = 10
_BARE_YEAR: Final = re.compile(rf"(?<!\d)({_YEAR})(?![\d年]|[./\-]\d)")
_WEEKDAY_BEFORE: Final = re.compile(
    rf"(?<![^\W_])(?:{WEEKDAY})\.?,?\s{{1,2}}(?:(?:den|the|le|el)\s)?$", re.IGNORECASE
)
_WEEKDAY_REACH: Final = 20
_VERSION: Final = re.compile(
    r"(?:(?<![^\W_])v(?:er(?:s(?:ion)?)?)?|(?<![^\W_])r|rev|release|build)[\s.:]{0,2}$", re.IGNORECASE
)
_DIGITS: Final = re.compile(r"(?:\d\D{0,14}){2}\d")  # no date has fewer
_WORDS: Final = re.compile(r"\d+|[^\W\d_]+|[\W_]+")
_COMPACT_LENGTHS: Final = {6: ("dmy", "ymd", "mdy"), 8: ("ymd", "dmy", "mdy")}


@dataclass(frozen=True, slots=True)
class _Reading:
    """A day as *units* (y, m, d by ``order``) of a notation; a year of two digits stands for any century."""

    order: str
    year: int
    month: int
    day: int | None
    is_short: bool

    def means(self, day: date) -> bool:
        """Whether this is *day*, or its month where no day is given."""
        year = day.year % _CENTURY if self.is_short else day.year
        return year == self.year and day.month == self.month and self.day in {None, day.day}


def parsed_date(text: str) -> date | None:
    """Return the day of *text* (YYYYMMDD), or None."""
    if len(text) != len("YYYYMMDD") or not (text.isascii() and text.isdigit()):
        return None
    return _day(int(text[:4]), int(text[4:6]), int(text[6:]))


def known_days(texts: Iterable[str]) -> frozenset[date]:
    """Return the days of *texts* (YYYYMMDD); what is none is left out."""
    return frozenset(day for text in texts if (day := parsed_date(text.replace(".", ""))))


def birth_spans(text: str, births: frozenset[date]) -> list[Span]:
    """Return where one of *births* stands in *text*, in any notation, or a date said to be a birth date."""
    if not _has_digits(text):
        return []
    spans = [
        (_from_weekday(text, start), end)
        for start, end, readings in _loose(text)
        if any(reading.means(birth) for reading in readings for birth in births)
    ]
    for birth in births:
        spans += [match.span() for match in re.finditer(f"{birth:%Y%m%d}", text)]
    for match in _DATES.finditer(text):
        if _BORN.search(text[max(0, match.start() - _BORN_REACH) : match.start()]):
            spans.append(match.span())
    years = {birth.year for birth in births}
    for match in _BARE_YEAR.finditer(text):
        if int(match[1]) in years and _BORN.search(text[max(0, match.start() - _BORN_REACH) : match.start()]):
            spans.append(match.span())
    return spans


def _from_weekday(text: str, start: int) -> int:
    reach = max(0, start - _WEEKDAY_REACH)
    weekday = _WEEKDAY_BEFORE.search(text[reach:start])
    return reach + weekday.start() if weekday else start


def _has_digits(text: str) -> bool:
    return _DIGITS.search(text) is not None


def _loose(text: str) -> Iterator[tuple[int, int, list[_Reading]]]:
    """Yield everything in *text* that may be read as a day: start, end and the readings."""
    for match in _LOOSE.finditer(text):
        group = 1 if match[1] is not None else 2
        start, end = match.span(group)
        yield start, end, _readings(text[start:end])


@lru_cache(maxsize=4096)
def _readings(written: str) -> list[_Reading]:
    units = [p for p in _WORDS.findall(written) if p.isdecimal() or month_number(p)]
    if len(units) == 1 and len(units[0]) in _COMPACT_LENGTHS:
        return [
            r for order in _COMPACT_LENGTHS[len(units[0])] if (r := _reading(order, _cut(units[0], order)))
        ]
    if len(units) == len("my"):
        return [reading] if (reading := _reading("my", units)) else []
    if len(units) != len("dmy"):
        return []
    return [reading for order in ("dmy", "mdy", "ymd") if (reading := _reading(order, units))]


def _cut(digits: str, order: str) -> list[str]:
    pieces, at = [], 0
    for unit in order:
        length = len(digits) - 4 if unit == "y" else 2
        pieces.append(digits[at : at + length])
        at += length
    return pieces


def _reading(order: str, pieces: list[str]) -> _Reading | None:
    units = dict(zip(order, pieces, strict=True))
    year, month, day = units["y"], units["m"], units.get("d")
    number = int(month) if month.isdecimal() else month_number(month)
    if not year.isdecimal() or len(year) not in {2, 4} or (day is not None and not day.isdecimal()):
        return None
    if (
        number is None
        or not 1 <= number <= _MONTHS_IN_YEAR
        or not (day is None or 1 <= int(day) <= _DAYS_IN_MONTH)
    ):
        return None
    return _Reading(order, int(year), number, None if day is None else int(day), len(year) == len("YY"))


def shift_dates(
    text: str,
    days: int,
    refuse: Callable[[str], bool],
    known: frozenset[date] = frozenset(),
    gap: str = "",
) -> str:
    """Return *text* with its dates moved by *days*, each in its own notation; weekdays before them go.

    A month without a day moves as its 15th. Days *known* to be the patient's move in risky notations too
    (DDMMYY). For impossible dates (31.02.2020), and new dates for which *refuse* is true, stands *gap*.
    """
    if not _has_digits(text):
        return text
    by = timedelta(days=days)

    def moved(start: int, end: int, order: str, day: date | None) -> str:
        try:
            new = _rewritten(text[start:end], order, day + by) if day else gap
        except OverflowError:
            return gap
        return gap if refuse(new) else new

    return _replaced(text, list(_dates(text, known)), moved)


def without_dates(text: str, known: frozenset[date] = frozenset(), gap: str = "") -> str:
    """Return *text* with *gap* in the place of all its dates."""
    if not _has_digits(text):
        return text
    return _replaced(text, list(_dates(text, known)), lambda *_: gap)


def _replaced(
    text: str,
    found: list[tuple[int, int, str, date | None]],
    new: Callable[[int, int, str, date | None], str],
) -> str:
    pieces, end = [], 0
    for start, stop, order, day in sorted(found, key=lambda f: (f[0], -f[1])):
        if start < end:
            continue
        pieces += [text[end : max(end, _from_weekday(text, start))], new(start, stop, order, day)]
        end = stop
    return "".join([*pieces, text[end:]])


def _dates(text: str, known: frozenset[date]) -> Iterator[tuple[int, int, str, date | None]]:
    """Yield start, end, order of units and day of the dates in *text*; no day for an impossible date."""
    for start, end, readings in _loose(text) if known else ():
        for reading in readings:
            day = next((day for day in known if reading.day is not None and reading.means(day)), None)
            if day:
                yield start, end, reading.order, day
                break
    for match in _DATES.finditer(text):
        kind = match.lastgroup if match.lastgroup not in {"a", "b"} else None
        kind = kind or next(k for k in (*_ORDERS, "dotted") if match[k] is not None)
        written = match[kind]
        start, end = match.span(kind)
        pieces = [written] if kind == "compact" else _units(written)
        order = _ORDERS.get(kind) or _numeric_order(pieces)
        if kind == "compact":
            if day := parsed_date(written):
                yield start, end, order, day
        elif not _is_version(text, start, kind, written, pieces):
            day = _read(pieces, order)
            if day is not None or _looks_like_a_date(kind, written, pieces):
                yield start, end, order, day


def _units(written: str) -> list[str]:
    return [p for p in _WORDS.findall(written) if p.isdecimal() or month_number(p)]


def _numeric_order(pieces: list[str]) -> str:
    """Return the order of a day, month and year in figures; American where only that is possible."""
    has_long_year = len(pieces[2]) == len("YYYY")
    is_american = has_long_year and int(pieces[0]) <= _MONTHS_IN_YEAR < int(pieces[1])
    return "mdy" if is_american else "dmy"


def _is_version(text: str, start: int, kind: str, written: str, pieces: list[str]) -> bool:
    """Whether a number like 2.6.13 is that of a program, and 12.2010 a decimal fraction."""
    if kind == "number":
        return "." in written and not any(character.isalpha() for character in text)
    if kind != "dotted" or len(pieces[2]) == len("YYYY"):
        return False
    if _VERSION.search(text[max(0, start - _VERSION_REACH) : start]):
        return True
    is_padded = all(len(piece) == len("DD") for piece in pieces)
    if is_padded:
        return False
    return "." not in written or not any(character.isalpha() for character in text)


def _looks_like_a_date(kind: str, written: str, pieces: list[str]) -> bool:
    """Whether *written*, which is no day of the calendar, would still be taken for a date."""
    if kind == "ymd":
        return "." not in written
    if kind == "dotted" and len(pieces[2]) == len("YY"):
        return int(pieces[0]) <= _DAYS_IN_MONTH and int(pieces[1]) <= _MONTHS_IN_YEAR and int(pieces[0]) > 0
    return True


def _read(pieces: list[str], order: str) -> date | None:
    units = dict(zip(order, pieces, strict=False))
    year = int(units["y"])
    if year < _CENTURY:
        year += 2000 if year < _PIVOT else 1900
    month = units["m"]
    number = int(month) if month.isdecimal() else month_number(month)
    return _day(year, number or 0, int(units.get("d", _MIDDLE)))


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _rewritten(old: str, order: str, new: date) -> str:
    """Return *new* in the notation of *old*, whose units come in *order*."""
    if old.isdecimal():
        return "".join(
            _written(new, unit, piece) for unit, piece in zip(order, _cut(old, order), strict=True)
        )
    pieces = _WORDS.findall(old)
    slots = [i for i, piece in enumerate(pieces) if piece.isdecimal() or month_number(piece)]
    for slot, unit in zip(slots, order, strict=True):
        pieces[slot] = _written(new, unit, pieces[slot])
    return "".join(pieces)


def _written(day: date, unit: str, like: str) -> str:
    if unit == "m" and not like.isdecimal():
        return month_name(day.month, like)
    if unit == "y" and len(like) == len("YY"):
        return f"{day.year % _CENTURY:02d}"
    return f"{ {'y': day.year, 'm': day.month, 'd': day.day}[unit]:0{len(like)}d}"
