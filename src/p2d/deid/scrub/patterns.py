"""What identifies by its form: mail and web addresses, telephone and insurance numbers, streets, UIDs."""

import re
from collections.abc import Iterator
from typing import Final

from p2d.deid.scrub.folding import fold
from p2d.deid.scrub.words import is_word

Span = tuple[int, int]

_CONTACT: Final = re.compile(
    r"""
      (?:https?|ftps?|file|dicom)://[^\s"'<>]+ | (?<!\w)www\.[^\s,;"'<>]+
    | (?<![\w.+%\-])[\w.+%\-]{1,64}@[\w\-]+(?:\.[\w\-]+)+
    """,
    re.VERBOSE | re.IGNORECASE,
)
UID: Final = re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}(?!\d)|(?<![\d.])2\.25\.\d{8,}")
_PHONE: Final = re.compile(
    r"""
      (?<![^\W_])(?:telefon|telephone|téléphone|teléfono|telefono|tel|tél|fon|phone|telefax|fax|handy|mobil|mobile|gsm
        |cep|pager|beeper|durchwahl|funk)\.?(?:-?(?:nr|no)\.?)?\s?[:.]?\s?[+(]?\d[\d()/\s.\-]{2,24}\d
    | (?<![\w.+])(?:\+|00(?=[1-9]))[1-9]\d{0,2}[\s()/.\-]{0,3}\d(?:[\s()/.\-]{0,3}\d){5,12}(?!\d)
    | (?<![\w.])\(?0[1-9]\d{1,4}\)?\s?[/\-\s]\s?\d(?:[\s\-/]?\d){4,9}(?![\d.])
    | (?<![\w.])0[1-9](?:[\ .]\d\d){4}(?![\d.])
    | (?<![\w.\-])(?:\(\d{3}\)\s?|\d{3}-)\d{3}-\d{4}(?![\w\-])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NUMBERS: Final = re.compile(
    r"""
      (?<![^\W_])(?P<insured>[A-Z]\d{9})(?![^\W_])
    | (?<![^\W_])(?P<iban>[A-Z]{2}\d{2}(?:\ ?[A-Z0-9]{4}){3,7}(?:\ ?[A-Z0-9]{1,3})?)(?![^\W_])
    | (?<![\d.\-])(?P<social>\d{3}-\d{2}-\d{4})(?![\d\-])
    | (?<![\d.\-])(?P<nhs>\d{3}[\ -]\d{3}[\ -]\d{4})(?![\d.\-])
    | (?<![^\W_])(?<!\.)(?P<eleven>\d{11})(?![^\W_]|\.\d)
    | (?<![\d.])(?P<french>[12]\ ?\d{2}\ ?(?:0[1-9]|1[0-2]|[2-9]\d)\ ?
      (?:\d{2}|2[AB])\ ?\d{3}\ ?\d{3}(?:\ ?\d{2})?)(?![\d.])
    | (?<![^\W_])(?P<spanish>(?:\d{8}|[XYZ]\d{7})-?[A-Z])(?![^\W_])
    """,
    re.VERBOSE,
)
_LABELLED: Final = re.compile(
    r"""
    (?<![^\W_])(?:
        pat(?:ient(?:en|in)?)?[.\-\s]{0,2}(?:nr|no|num(?:mer|ber)?|id|kennung)
      | pat-?id | (?<!-)id(?=[:\#=\s]\s?[^\s]{0,20}\d{4}) | pid | mrn | pnr | kis[.\-\s]?nr
      | (?:fall|kranken|akten|aufnahme|auftrags?|befund|versicherten|vers)
        [.\-\s]{0,2}(?:nr|nummer|id)
      | fallnummer | akte | kvnr | versicherungsnummer | case[.\-\s]?(?:no|id|number)
      | acc(?:ession)?(?:[.\-\s]?(?:no|nr|number))?
      | visit[.\-\s]?(?:no|id) | admission[.\-\s]?(?:no|id) | ssn | nhs(?:[.\-\s]?no)? | pesel
      | tc[.\-\s]?kimlik(?:[.\-\s]?no)?
      | dni | nie | nir | nhc | dossier | order[.\-\s]?(?:no|nr|number)
    )[.:\#=\s]{1,4}(?P<value>(?=[^\s]{0,20}\d{3})[A-Z0-9][A-Z0-9/\-]{3,30}(?:\ \d{2,10}){0,4})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_STREET: Final = re.compile(
    r"""
      (?<![^\W_])(?P<german>[^\W\d_a-zß-öø-ÿ][^\W\d_]{2,30}(?:str\.|straße|strasse|weg|platz|allee|gasse|ufer))
      \s?\d{1,4}\s?[a-z]?(?![^\W_])
    | (?<![^\W_])(?P<apart>[^\W\d_a-zß-öø-ÿ][^\W\d_]{2,30}\ (?:Str\.|Straße|Strasse|Weg|Platz|Allee|Gasse))
      \s\d{1,4}\s?[a-z]?(?![^\W_])
    | (?<![^\W_])\d{1,5}\s(?P<english>[A-Z][a-z]{2,20}(?:\s[A-Z][a-z]{2,20})?)
      \s(?:Street|St\.|Road|Rd\.?|Avenue|Ave\.?|Lane|Ln\.?|Drive|Boulevard|Blvd\.?)(?![^\W_])
    | (?<![^\W_])\d{1,4},?\s(?P<french>(?:rue|avenue|boulevard|chemin)\s
      (?:de\sla\s|de\sl['\u2019]|des?\s|du\s)?
      [^\W\d_a-zß-öø-ÿ][\w\-]{2,30})
    | (?<![^\W_])(?P<other>(?:ul\.|Via|Calle|Plaza|Piazza)\s(?:de\s(?:la\s)?)?
      [^\W\d_a-zß-öø-ÿ][^\W\d_]{2,30}),?\s\d{1,4}(?![^\W_])
    | (?<![\w.])(?:[ADF]-|CH-)?\d{5}\ (?P<city>[^\W\d_a-zß-öø-ÿ][^\W\d_A-ZÄÖÜ]{3,30})(?![^\W_])
    """,
    re.VERBOSE,
)
_LAST_WORD: Final = re.compile(r"[^\W\d_]+")
_HINTS: Final = re.compile(r"[@\d]|www\.")
_MONTHS, _DAYS = 12, 31
_DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"


def pattern_spans(text: str) -> Iterator[Span]:
    """Yield where *text* holds what identifies by its form; UIDs are not among it."""
    if not _HINTS.search(text):
        return
    if "@" in text or "/" in text or "." in text:
        for match in _CONTACT.finditer(text):
            yield match.span()
    for match in _PHONE.finditer(text):
        yield match.span()
    for match in _LABELLED.finditer(text):
        yield match.span("value")
    for match in _NUMBERS.finditer(text):
        if _is_valid(str(match.lastgroup), match.group()):
            yield match.span()
    for match in _STREET.finditer(text):
        words = _LAST_WORD.findall(match[str(match.lastgroup)])
        if not all(is_word(fold(word)) for word in words):
            yield match.span()


def _is_valid(kind: str, text: str) -> bool:
    """Whether *text* passes the check of the numbers that have one and are too short to be told by form."""
    joined = text.replace(" ", "").replace("-", "")
    if kind == "iban":
        moved = joined[4:] + joined[:4]
        return joined.startswith("DE") or int("".join(str(int(c, 36)) for c in moved)) % 97 == 1
    if kind == "nhs":
        return (11 - sum(int(c) * (10 - i) for i, c in enumerate(joined[:9])) % 11) % 11 == int(joined[9])
    if kind == "eleven":
        return _is_polish(joined) or _is_turkish(joined)
    if kind == "french":
        return " " in text or (len(joined) == len("100000000000000") and _is_french(joined))
    if kind == "spanish":
        number = joined[:-1].translate(str.maketrans("XYZ", "012"))
        return _DNI_LETTERS[int(number) % len(_DNI_LETTERS)] == joined[-1]
    return True


def _is_polish(number: str) -> bool:
    weighted = sum(int(c) * w for c, w in zip(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=False))
    month, day = int(number[2:4]) % 20, int(number[4:6])
    is_day = 1 <= month <= _MONTHS and 1 <= day <= _DAYS
    return is_day and (10 - weighted % 10) % 10 == int(number[10])


def _is_turkish(number: str) -> bool:
    digits = [int(c) for c in number]
    tenth = (sum(digits[0:9:2]) * 7 - sum(digits[1:8:2])) % 10
    return digits[0] > 0 and tenth == digits[9] and sum(digits[:10]) % 10 == digits[10]


def _is_french(number: str) -> bool:
    return number.isdecimal() and 97 - int(number[:13]) % 97 == int(number[13:])
