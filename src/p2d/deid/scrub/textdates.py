"""Dates inside free text: the birth date in its usual notations; others moved in their own notation."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

_GERMAN: Final = (
    [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    ["Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"],
)
_ENGLISH: Final = (
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
)
_MORE: Final = {"jänner": 1, "feber": 2, "maerz": 3, "mrz": 3, "sept": 9}
_MONTHS: Final = {
    name.casefold(): number
    for language in (_GERMAN, _ENGLISH)
    for names in language
    for number, name in enumerate(names, 1)
} | _MORE
_NAME: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))
_CENTURY: Final = 100
_PIVOT: Final = 40
_MONTHS_IN_YEAR: Final = 12

_DATES: Final = re.compile(
    rf"""
      (?<!\d)(?P<compact>(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))
             (?=(?:[0-2]\d[0-5]\d(?:[0-5]\d)?(?:\.\d+)?)?(?!\d))
    | (?<![\d.])(?P<iso>(?:19|20)\d\d([-/.])\d\d?\3\d\d?)(?!\d|\.\d)
    | (?<![\d.])(?P<dotted>\d\d?([.\-/])\s?\d\d?\5\s?(?:(?:19|20)\d\d|\d\d))(?!\d|\.\d|[-/]\d)
    | (?<!\d)(?P<day_month>\d\d?(?:\.|st|nd|rd|th)?[\s\-]?\s?(?:{_NAME})(?![^\W\d_])
             \.?,?[\s\-]?\s?(?:19|20)\d\d)(?!\d)
    | (?<![^\W\d_])(?P<month_day>(?:{_NAME})\.?\s\d\d?(?:st|nd|rd|th)?,?\s(?:19|20)\d\d)(?!\d)
    | (?<![^\W\d_])(?P<month>(?:{_NAME})\.?[\s\-/]?\s?(?:19|20)\d\d)(?!\d)
    | (?<![\d./])(?P<number>(?:0[1-9]|1[0-2])[/.](?:19|20)\d\d)(?![\d/]|\.\d)
    | (?<!\d)(?P<kanji>(?:19|20)\d\d年\s?\d\d?月\s?\d\d?日)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WORDS: Final = re.compile(r"\d+|[^\W\d_]+|[\W_]+")


def birth_date_patterns(text: str) -> list[str]:
    """Return regular expressions (for IGNORECASE) for the birth date *text* (YYYYMMDD) in its notations."""
    day = parsed_date(text)
    if day is None:
        return []
    yyyy, yy = f"{day.year:04d}", f"{day.year % _CENTURY:02d}"
    year = f"(?:{yyyy}|['\u2019]?{yy})"
    d, m = f"0?{day.day}", f"0?{day.month}"
    dd, mm = f"{day.day:02d}", f"{day.month:02d}"
    names = sorted((n for n, k in _MONTHS.items() if k == day.month), key=len, reverse=True)
    name = f"(?:{'|'.join(names)})"
    gap, end = r"\s?[.\-/ _]\s?", r"(?!\d)"
    return [
        rf"{yyyy}{mm}{dd}",
        rf"(?<!\d){yyyy}{gap}{m}{gap}{d}{end}",
        rf"(?<!\d){d}{gap}{m}{gap}{year}{end}",
        rf"(?<!\d){m}{gap}{d}{gap}{year}{end}",
        rf"(?<!\d)(?:{dd}{mm}{yyyy}|{mm}{dd}{yyyy}|{dd}{mm}{yy}|{yy}{mm}{dd}|{mm}{dd}{yy}){end}",
        rf"(?<!\d){d}(?:\.|st|nd|rd|th)?[\s\-]*{name}\.?,?[\s\-]*{year}{end}",
        rf"(?<![^\W\d_]){name}\.?[\s\-]*{d}(?:st|nd|rd|th)?,?\s*{year}{end}",
        rf"(?<!\d){yyyy}[\s\-]*{name}[\s\-.]*{d}{end}",
        rf"{yyyy}年\s?{m}月\s?{d}日",
        rf"(?<![^\W\d_]){name}\.?[\s\-/]*{yyyy}{end}",
        rf"(?<![^\W_])(?:geb(?:oren)?\.?|jahrgang|jg\.?|born|\*)\s*(?:(?:in|am|im)\s+)?{yyyy}(?![\d年]|[./\-]\d)",
    ]


def parsed_date(text: str) -> date | None:
    """Return the day of *text* (YYYYMMDD), or None."""
    if len(text) != len("YYYYMMDD") or not (text.isascii() and text.isdigit()):
        return None
    return _day(int(text[:4]), int(text[4:6]), int(text[6:]))


def shift_dates(text: str, days: int, refuse: Callable[[str], bool]) -> str:
    """Return *text* with its dates moved by *days*, each in its own notation.

    A month without a day moves as its 15th. A new date for which *refuse* is true is left out.
    """

    def moved(match: re.Match[str]) -> str:
        new = _moved(match, timedelta(days=days))
        return "" if new is None or refuse(new) else new

    return _DATES.sub(moved, text)


def _moved(match: re.Match[str], by: timedelta) -> str | None:
    old = match.group()
    kind = next(name for name, value in match.groupdict().items() if value is not None)
    if kind == "compact":
        day = parsed_date(old)
        return f"{day + by:%Y%m%d}" if day else old
    pieces = _WORDS.findall(old)
    slots = [i for i, piece in enumerate(pieces) if piece.isdigit() or piece.casefold() in _MONTHS]
    order = _order(kind, [pieces[i] for i in slots])
    day = _read([pieces[i] for i in slots], order)
    if day is None:
        return old
    try:
        new = day + by
    except OverflowError:
        return None
    for slot, unit in zip(slots, order, strict=True):
        pieces[slot] = _written(new, unit, pieces[slot])
    return "".join(pieces)


def _order(kind: str, pieces: list[str]) -> str:
    """Return which piece is the year, month and day, as letters y, m, d."""
    fixed = {
        "iso": "ymd",
        "kanji": "ymd",
        "day_month": "dmy",
        "month_day": "mdy",
        "month": "my",
        "number": "my",
    }
    if kind in fixed:
        return fixed[kind]
    is_american = int(pieces[0]) <= _MONTHS_IN_YEAR < int(pieces[1])
    return "mdy" if is_american else "dmy"


def _read(pieces: list[str], order: str) -> date | None:
    units = dict(zip(order, pieces, strict=False))
    year = int(units["y"])
    if year < _CENTURY:
        year += 2000 if year < _PIVOT else 1900
    month = units["m"]
    number = int(month) if month.isdigit() else _MONTHS[month.casefold()]
    return _day(year, number, int(units.get("d", "15")))


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _written(day: date, unit: str, like: str) -> str:
    if unit == "m" and not like.isdigit():
        return _month_name(day.month, like)
    if unit == "y" and len(like) == len("YY"):
        return f"{day.year % _CENTURY:02d}"
    return f"{ {'y': day.year, 'm': day.month, 'd': day.day}[unit]:0{len(like)}d}"


def _month_name(month: int, like: str) -> str:
    """Return the name of *month* in the language and length of *like*."""
    for full, brief in (_GERMAN, _ENGLISH):
        short = like.casefold() not in {name.casefold() for name in full}
        known = {name.casefold() for name in (*full, *brief)} | (set(_MORE) if full is _GERMAN[0] else set())
        if like.casefold() in known:
            name = (brief if short else full)[month - 1]
            return name.upper() if like.isupper() else name
    return _ENGLISH[0][month - 1]
