"""Remove one patient's own values from texts, and what looks like contact data; keep all other words.

It does not judge what a text means: a name that nobody told it about and that no title precedes stays.
"""

import re
from typing import Final

from p2d.deid.scrub.folding import fold, plain, shadow
from p2d.deid.scrub.names import name_patterns, vocabulary
from p2d.deid.scrub.textdates import birth_date_patterns, shift_dates
from p2d.dicom.uids import is_well_known
from p2d.model.identified import KnownValues

_MAX_MEMO: Final = 20_000
_MAX_MEMO_LENGTH: Final = 512
_MAX_ID_LENGTH: Final = 64
_MAX_PASSES: Final = 12
_GAP: Final = "\0"  # where a known value stood, until titles have been looked for
MIN_ID_LENGTH: Final = 3
MIN_EMBEDDED_LENGTH: Final = 5
"""Identifiers of this length are also found inside longer words; shorter ones as whole words only."""

_MIN_GROUPED_LENGTH: Final = 8

_CONTACT: Final = re.compile(
    r"""
      (?:https?|ftps?|file|dicom)://\S+ | (?<!\w)www\.[^\s,;]+
    | (?<![\w.+%\-])[\w.+%\-]{1,64}@[\w\-]+(?:\.[\w\-]+)+
    """,
    re.VERBOSE | re.IGNORECASE,
)
_UID: Final = re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}(?!\d)|(?<![\d.])2\.25\.\d{8,}")
_PHONE: Final = re.compile(
    r"""
      (?<![^\W_])(?:telefon|tel|fon|phone|telefax|fax|handy|mobil|mobile)\.?(?:-?nr\.?)?\s?[:.]?\s?
          [+(]?\d[\d()/\s.\-]{2,24}\d
    | (?<![\w.+])(?:\+|00(?=[1-9]))[1-9]\d{0,2}[\s()/.\-]{0,3}\d(?:[\s()/.\-]{0,3}\d){5,12}(?!\d)
    | (?<![\w.])\(?0[1-9]\d{1,4}\)?\s?[/\-\s]\s?\d(?:[\s\-/]?\d){4,9}(?![\d.])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TITLE: Final = re.compile(
    r"""
    (?<![^\W_])
    (?:(?:Herrn?|HERRN?|Frau|FRAU|Fräulein|Hr\.|Fr\.|Mrs\.?|MRS\.?|Mr\.|MR\.|Ms\.|MS\.|Miss
        |(?:Dr|DR)\.|Dr(?=\s)|(?:Prof|PROF)\.|Prof(?=\s)|Professor(?:in)?|Oberarzt|Oberärztin|Chefarzt|Chefärztin
        |Assistenzarzt|Assistenzärztin|Priv\.-Doz\.|PD(?=\s+Dr))
       (?:\s?(?:med|rer|nat|phil|dent|habil|h\.\s?c|univ|dipl)\.)*[\s,]*)+
    (?:\0|
    (?P<name>(?:(?:von|van|vom|zu|zur|de|der|den|di|da|la)\s+)*
        (?:[^\W\d_a-zß-öø-ÿ]\.[\s]?)*
        [^\W\d_a-zß-öø-ÿ][^\W\d_]+(?:['\u2019\-][^\W\d_]+)*)
    (?P<more>(?:[\s]+(?:von|van|zu|de|der)){0,2}[\s]+[^\W\d_a-zß-öø-ÿ][^\W\d_A-ZÄÖÜ]+(?:-[^\W\d_]+)*)?
    )
    """,
    re.VERBOSE,
)
_SPACES: Final = re.compile(r"[ \t]{2,}")
_EDGES: Final = " \t,;^_=-"


class TextCleaner:
    """Cleans the texts of one patient; holds one regular expression made of everything known.

    ``shift_days`` moves other dates in the notation they have; 0 leaves them as they are.
    """

    def __init__(self, known: KnownValues, shift_days: int) -> None:
        self._shift_days = shift_days
        self._known = _compiled(known)
        self._memo: dict[str, str] = {}

    def clean(self, text: str) -> str:
        """Return *text* without this patient's values, contact data, UIDs and names after titles.

        Other words stay in their order; text that nothing is removed from stays as it is. Without dates the
        result cleans to itself.
        """
        if not text or text.isspace():
            return text
        cleaned = self._memo.get(text)
        if cleaned is None:
            cleaned = self._cleaned(text)
            if len(text) <= _MAX_MEMO_LENGTH and len(self._memo) < _MAX_MEMO:
                self._memo[text] = cleaned
        return cleaned

    def finds(self, text: str) -> bool:
        """Whether *text* still holds a value known of this patient."""
        return self._known is not None and self._known.search(shadow(plain(text))) is not None

    def _cleaned(self, text: str) -> str:
        current = plain(text).replace(_GAP, " ")
        for _ in range(_MAX_PASSES):
            once = self._pass(current)
            if once == current:
                break
            current = _tidy(once)
        else:
            return ""
        if self._shift_days:
            shifted = shift_dates(current, self._shift_days, self.finds)
            current = current if shifted == current else _tidy(shifted)
            if self.finds(current):
                return ""
        return current

    def _pass(self, text: str) -> str:
        if "@" in text or "/" in text or "." in text:
            text = _CONTACT.sub(" ", text)
            text = _UID.sub(_keep_well_known, text)
        if self._known is not None:
            text = _without(self._known, text)
        text = _TITLE.sub(_without_name, text)
        return _PHONE.sub(" ", text).replace(_GAP, " ")


def _without(known: re.Pattern[str], text: str) -> str:
    """Return *text* with a gap for each match of *known*, which is looked for without accents."""
    pieces, end = [], 0
    for match in known.finditer(shadow(text)):
        pieces.append(text[end : match.start()])
        end = match.end()
    return _GAP.join([*pieces, text[end:]]) if pieces else text


def _keep_well_known(match: re.Match[str]) -> str:
    return match.group() if is_well_known(match.group()) else " "


def _without_name(match: re.Match[str]) -> str:
    more = match.group("more") or ""
    stays = bool(more) and fold(more.split()[-1]) in vocabulary()
    return " " + (more if stays else " ")


def _tidy(text: str) -> str:
    lines = text.split("\n") if "\n" in text else [text]
    return "\n".join(_SPACES.sub(" ", line) for line in lines).strip(_EDGES)


def _compiled(known: KnownValues) -> re.Pattern[str] | None:
    patterns: list[str] = []
    for birth_date in sorted(known.birth_dates):
        patterns += birth_date_patterns(birth_date)
    ids = {identifier.strip()[:_MAX_ID_LENGTH] for identifier in known.ids | known.accessions}
    for identifier in sorted(ids, key=lambda i: (-len(i), i)):
        patterns += _id_patterns(identifier)
    patterns += name_patterns(sorted(known.names))
    if not patterns:
        return None
    return re.compile("|".join(dict.fromkeys(patterns)), re.IGNORECASE)


def _id_patterns(identifier: str) -> list[str]:
    runs = re.findall(r"[^\W_]+", plain(identifier))
    joined = "".join(runs)
    if len(joined) < MIN_ID_LENGTH or fold(joined) in vocabulary():
        return []
    if joined.isdecimal() and len(joined) >= _MIN_GROUPED_LENGTH:
        runs = list(joined)  # long numbers are written in groups: 98 76 54 32
    core = r"[\W_]?".join(re.escape(shadow(run)) for run in runs)
    if len(joined) >= MIN_EMBEDDED_LENGTH:
        short = joined.lstrip("0")
        bare = [re.escape(short)] if short != joined and len(short) >= MIN_EMBEDDED_LENGTH else []
        return [core, *bare]
    return [rf"(?<![^\W_]){core}(?![^\W_])"]
