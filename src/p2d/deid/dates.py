"""Dates of data elements: moved by whole days, times kept (PS3.15 Retain Longitudinal, Modified Dates)."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Final

from p2d.deid.scrub.textdates import parsed_date

_OLD_FORM: Final = re.compile(r"(\d{4})[./-](\d{2})[./-](\d{2})")
_DATE_TIME: Final = re.compile(
    r"(?P<day>\d{8})(?P<time>(?:[01]\d|2[0-3])?(?:(?<=\d{10})[0-5]\d)?(?:(?<=\d{12})(?:[0-5]\d|60)(?:\.\d{1,6})?)?)"
    r"(?P<zone>[+-]\d{4})?"
)
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3])(?::?[0-5]\d(?::?(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?")
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_IN_A_YEAR: Final = {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}
_FIRST_YEAR: Final = 1000


@lru_cache(maxsize=16384)
def shifted_date(text: str, days: int) -> str | None:
    """Return DA *text* moved by *days*, as YYYYMMDD (PS3.5 6.2); None where it is malformed.

    The old form YYYY.MM.DD is read. With 0 *days* the date stays.
    """
    old = _OLD_FORM.fullmatch(text)
    day = parsed_date("".join(old.groups()) if old else text)
    if day is None:
        return None
    try:
        new = day + timedelta(days=days)
    except OverflowError:
        return None
    return f"{new:%Y%m%d}" if new.year >= _FIRST_YEAR else None


def shifted_date_time(text: str, days: int) -> str | None:
    """Return DT *text* with its day moved by *days*, time and zone kept; None without a whole day."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    day = shifted_date(match["day"], days)
    return day and day + match["time"] + (match["zone"] or "")


def valid_time(text: str) -> str | None:
    """Return TM *text* as it is, or None where it is malformed."""
    return text if _TIME.fullmatch(text) else None


def capped_age(text: str, cap: int) -> str | None:
    """Return AS *text*, ages of *cap* years and more as that many years; None where it is malformed."""
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    return f"{cap:03d}Y" if int(match[1]) >= cap * _IN_A_YEAR[match[2]] else text
