"""People's names as patterns: every spelling and order in which a PN value may stand in a text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

from p2d.deid.scrub.folding import fold, plain, spelling_pattern

_STRONG_LENGTH: Final = 3
_COMPOUND_LENGTH: Final = 8
_MAX_LENGTH: Final = 64  # of a PN component group (PS3.5 6.2); a longer part is known by its beginning
_PARTICLES: Final = frozenset(
    [
        "von",
        "van",
        "vom",
        "zu",
        "zum",
        "zur",
        "der",
        "den",
        "dem",
        "de",
        "del",
        "della",
        "di",
        "da",
        "do",
        "dos",
        "du",
        "la",
        "le",
        "el",
        "al",
        "bin",
        "ibn",
        "ben",
        "und",
        "af",
        "av",
        "ter",
        "ten",
        "geb",
        "dr",
        "prof",
        "med",
        "dipl",
        "ing",
        "jr",
        "sr",
        "phd",
        "md",
        "rer",
        "nat",
        "habil",
        "freiherr",
        "graf",
        "baron",
    ]
)
_SPLIT: Final = re.compile(r"[\s,;.()\[\]/\\_'\u2019`\u00b4\-\u2010-\u2015]+")
_NOT_ALPHABETIC: Final = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_BEGIN: Final = r"(?<![^\W\d_])"
_END: Final = r"(?:['\u2019]?s)?(?![^\W\d_])"
_BETWEEN: Final = r"[\s,;.^_=/'\u2019\-\u2010-\u2015]{0,4}"
_BREAK: Final = (
    r"(?:[\-_\u00ad\u2010]\s{0,2}|\s{1,2})?"  # a compound written apart, or broken at a line's end
)
_LABEL: Final = (
    r"(?:patient(?:in)?|pat|name|vorname|nachname|familienname|surname|herrn?|frau|hr|fr|mrs?|ms|dr|prof)"
    r"[.:,\s]{1,3}"
)


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Return the folded words that stand in descriptions of examinations and may also be names."""
    text = resources.files("p2d.deid.data").joinpath("vocabulary.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(fold(word) for line in lines for word in line.split())


@dataclass(frozen=True, slots=True)
class NameParts:
    """Folded parts of names: ``strong`` identify alone, ``weak`` (short, or words) only beside another.

    ``initials`` are the first letters of parts, ``wide`` ideographic, kana and Hangul parts.
    """

    strong: frozenset[str]
    weak: frozenset[str]
    particles: frozenset[str]
    initials: frozenset[str]
    wide: frozenset[str]


def name_parts(names: Iterable[str]) -> NameParts:
    """Return the parts of PN values *names* (``Family^Given^Middle=Ideographic=Phonetic``, or free form)."""
    strong, weak, particles, initials, wide = set(), set(), set(), set(), set()
    for part in _parts(names):
        if _NOT_ALPHABETIC.search(part):
            wide.add(part)
            continue
        folded = fold(part)
        if folded in _PARTICLES:
            particles.add(folded)
            continue
        if not any(character.isalpha() for character in folded):
            continue
        initials.add(folded[0])
        if len(folded) >= _STRONG_LENGTH and folded not in vocabulary():
            strong.add(folded)
        elif len(folded) > 1:
            weak.add(folded)
    return NameParts(*map(frozenset, (strong, weak, particles, initials, wide)))


def _parts(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        for group in plain(name).split("="):
            for component in group.split("^")[:3] if "^" in group else [group]:
                yield from (part[:_MAX_LENGTH] for part in _SPLIT.split(component) if part)


def name_patterns(names: Iterable[str]) -> list[str]:
    """Return regular expressions (for IGNORECASE) that together match *names* in all their forms.

    Repetitions are bounded, so that no hostile name makes matching take exponential time.
    """
    parts = name_parts(names)
    patterns = _alphabetic(parts)
    if parts.wide:
        patterns.append(_wide(parts.wide))
    return patterns


def _alphabetic(parts: NameParts) -> list[str]:
    strong, weak = _any(parts.strong), _any(parts.weak)
    letters = "".join(sorted({re.escape(initial.upper()) for initial in parts.initials}))
    initial = rf"(?-i:[{letters}])(?![^\W\d_])\.?" if letters else ""
    dotted = rf"(?-i:[{letters}])\.(?![^\W\d_])" if letters else ""
    particle = rf"(?:{_any(parts.particles)}{_BETWEEN}){{0,3}}" if parts.particles else ""
    patterns = []
    if strong:
        lead = "|".join(filter(None, (weak, initial)))
        before = rf"(?:(?:{lead}){_BETWEEN}){{0,4}}" if lead else ""
        tail = "|".join(filter(None, (strong, weak, initial)))
        patterns.append(
            rf"{_BEGIN}{particle}{before}{particle}{strong}(?:{_BETWEEN}{particle}(?:{tail})){{0,6}}{_END}"
        )
        if long := [part for part in parts.strong if len(part) >= _COMPOUND_LENGTH]:
            patterns.append(_any(long, _BREAK))
    if weak:
        run = rf"{weak}(?:{_BETWEEN}{particle}{weak}){{1,6}}{_END}"
        labelled = rf"{_LABEL}{weak}{_END}"
        patterns += [_BEGIN + run, _BEGIN + labelled]
        if dotted:
            patterns += [
                rf"{_BEGIN}{dotted}{_BETWEEN}{weak}{_END}",
                rf"{_BEGIN}{weak}{_BETWEEN}{dotted}",
            ]
    return patterns


def _any(words: Iterable[str], joint: str = "") -> str:
    spellings = sorted({spelling_pattern(word, joint) for word in words}, key=lambda s: (-len(s), s))
    return f"(?:{'|'.join(spellings)})" if spellings else ""


def _wide(parts: Iterable[str]) -> str:
    words = sorted({re.escape(part) for part in parts}, key=lambda s: (-len(s), s))
    single = [word for word in words if len(word) == 1]
    several = [word for word in words if len(word) > 1]
    choices = [*several]
    if single:
        every = "|".join(words)
        choices.insert(0, rf"(?:{every})(?:[\s\u3000^,=]?(?:{every})){{1,8}}")
    return f"(?:{'|'.join(choices)})" if choices else "(?!)"
