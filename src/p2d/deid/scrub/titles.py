"""Names that nobody told of, by what stands before them: a title, or a label such as ``Untersucher:``."""

import re
from collections.abc import Iterator
from typing import Final

from p2d.deid.scrub.folding import fold
from p2d.deid.scrub.words import is_word

Span = tuple[int, int]
GAP: Final = "\0"
"""Where a known value stood, until titles have been looked for: the title of a known name goes with it."""

_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿ]"
_TITLE: Final = re.compile(
    rf"""
    (?<![^\W_])
    (?:(?:Herrn?|HERRN?|Frau|FRAU|Fräulein|Hr\.?|Fr\.|Fr(?=\ [A-ZÄÖÜ][a-zäöüß])|Mrs\.?|MRS\.?
        |Mr\.?|MR\.|Ms\.?|MS\.
        |Miss|Mme\.?|Mlle|Madame|Monsieur|Sra\.?|Srta\.?|Señora?|Sig\.(?:ra)?|Signora?|Dott\.(?:ssa)?|Dhr\.|Mevr\.|Mevrouw
        |Bayan|Pani|Uzm\.|Doç\.|(?:Dr|DR)\.|Dra\.|Dr(?=\s)|(?:Prof|PROF)\.|Prof(?=\s)|Professor(?:in)?|Oberarzt|Oberärztin
        |OÄ|Chefarzt|Chefärztin|Assistenzarzt|Assistenzärztin|Schwester|Priv\.-Doz\.|PD(?=\s+Dr)|OA(?=\s+Dr)|CA(?=\s+Dr))
       (?:\s?(?:med|rer|nat|phil|dent|habil|h\.\s?c|univ|dipl)\.?(?![^\W_])){{0,6}}[\s,]{{0,8}}){{1,8}}
    (?:\0|
    (?P<name>(?:(?:von|van|vom|zu|zur|de|der|den|di|da|la)\s{{1,4}}){{0,3}}
        (?:{_CAPITAL}\.[\s]?){{0,4}}
        {_CAPITAL}[^\W\d_]{{1,64}}(?:['\u2019\-][^\W\d_]{{1,64}}){{0,4}})
    (?P<more>(?:[\ \t]{{1,4}}(?:von|van|zu|de|der)){{0,2}}
        [\ \t]{{1,4}}{_CAPITAL}[^\W\d_A-ZÄÖÜ]+(?:-[^\W\d_]+)*)?
    )
    """,
    re.VERBOSE,
)
_NAME: Final = rf"{_CAPITAL}[^\W\d_]*\.?(?:['\u2019\-][^\W\d_]+)*"
_NAMES: Final = rf"(?P<names>{_NAME}(?:,?[\ \t]{{1,2}}{_NAME}){{0,2}})"
_WEAK_TITLE: Final = re.compile(
    rf"(?<![^\W_])(?:OA|CA|PD|Bay|Pan|Sr\.|M\.)[\ ]"
    rf"(?P<names>{_CAPITAL}[^\W\d_A-ZÄÖÜ]{{2,}}(?:-[^\W\d_]+)?)(?![^\W_])"
)
_LABEL: Final = re.compile(
    rf"""
    (?<![^\W_])(?<!protocol\ )(?<!series\ )(?<!file\ )(?<!model\ )(?<!device\ )(?<!station\ )(?<!study\ )
    (?i:(?:(?:vor|nach|familien|geburts|patienten)?name|patient(?:in)?|untersucher(?:in)?|überweiser|zuweiser|einsender
       |operator|radiologist|radiologe|physician|arzt|ärztin|hausarzt|mtra?|technologist|technician|referrer|surgeon
       |operateur|anforderer|nom|prénom|nombre|cognome|naam|nazwisko|imię|soyad[\u0131i]|ad[\u0131i]|médecin|verfasser|befunder
       |sign(?:iert|ed)|vidiert|unterschrieben|gez\.)\s?[:=]\s{{0,2}}
     |(?:befundet|gelesen|diktiert|unterschrieben|vidiert|freigegeben|signiert|untersucht|überwiesen|gez)\.?\s(?:durch|von)[:\s]{{1,2}}
     |(?:referred|ref\.?|reported|read|dictated|signed|approved|verified|performed|reviewed|scanned)\sby[:\s]{{1,2}})
    {_NAMES}
    """,
    re.VERBOSE,
)
_HINTS: Final = re.compile(
    r"(?:herr|frau|fräul|hr|fr|mr|ms|miss|mme|mlle|mada|mons|sr|señor|sig|dott|dhr|mevr|bay|pan|uzm|doç|dr|prof|ober"
    r"|chef|assis|schwe|priv|pd|oa|oä|ca|m\.)|[:=]|von|durch|by"
)
_WORD: Final = re.compile(r"[^\W\d_]+")


def titled_spans(text: str) -> Iterator[Span]:
    """Yield where *text* names somebody after a title or label; a title goes with the name, a label stays."""
    if not _HINTS.search(text.lower()):
        return
    for match in _TITLE.finditer(text):
        more = match["more"]
        stays = bool(more) and is_word(fold(more.split()[-1]))
        yield match.start(), match.start("more") if stays else match.end()
    for pattern in (_WEAK_TITLE, _LABEL):
        for match in pattern.finditer(text):
            names = list(_WORD.finditer(match["names"]))
            end = next((n for n, name in enumerate(names) if is_word(fold(name.group()))), len(names))
            if end and any(len(name.group()) > 1 for name in names[:end]):
                start = match.start("names")
                until = names[end - 1].end()
                is_dotted = match["names"][until : until + 1] == "."
                yield start if pattern is _LABEL else match.start(), start + until + is_dotted
