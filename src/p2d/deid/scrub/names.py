"""People's names: the parts of PN values, and every order and spelling in which they may stand in a text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.scrub.folding import fold, fold_once, plain, shadow
from p2d.deid.scrub.words import is_placeholder, placeholders, vocabulary

__all__ = ["NameIndex", "NameParts", "index_names", "name_parts", "vocabulary"]

_STRONG_LENGTH: Final = 3
_INSIDE_LENGTH: Final = 5
_INSIDE_LENGTH_OTHER: Final = 4
_BROKEN_LENGTH: Final = 8
_MIN_PIECE: Final = 2
_HEAD_LENGTH: Final = 4
_LOGIN_LENGTH: Final = 5
_MIN_TAIL: Final = 3
_MAX_LENGTH: Final = 64  # of a PN component group (PS3.5 6.2); a longer part is known by its beginning
_TITLES: Final = frozenset(
    [
        *("geb", "dr", "prof", "med", "dipl", "ing", "jr", "sr", "phd", "md", "rer", "nat", "habil"),
        *("mr", "mrs", "ms", "herr", "frau", "pd", "priv", "doz"),
    ]
)
_PARTICLES: Final = _TITLES | frozenset(
    [
        *(
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
        ),
        *("das", "du", "la", "le", "el", "al", "bin", "ibn", "ben", "und", "af", "av", "ter", "ten"),
        *("freiherr", "graf", "baron"),
    ]
)
_SPLIT: Final = re.compile(r"[\s,;.:()\[\]/\\_\"'\u2018\u2019`\u00b4&+\-\u2010-\u2015\u30fb\u00b7]+")
_WITHOUT_SPACES: Final = re.compile(
    r"[\u0900-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_IDEOGRAPHIC: Final = re.compile(
    r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_LETTER_RUN: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class NameParts:
    """Folded parts of names: ``strong`` identify alone, ``weak`` (short, or words) only beside another.

    ``initials`` are the first letters of parts, ``wide`` parts in scripts that are written without spaces.
    """

    strong: frozenset[str] = field(repr=False)
    weak: frozenset[str] = field(repr=False)
    particles: frozenset[str] = field(repr=False)
    initials: frozenset[str] = field(repr=False)
    wide: frozenset[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NameIndex:
    """What is looked up about names; each dictionary tells which of the names a part or initial is of.

    ``joined`` are parts written as one word, ``inside`` parts that are also found within longer words,
    ``broken`` the beginnings of parts that are long enough to be found when written apart, ``tails`` those
    of parts that a text may end amid, ``heads`` the beginning of each part: a text
    without any of them holds no name.
    """

    strong: dict[str, frozenset[int]] = field(default_factory=dict, repr=False)
    weak: dict[str, frozenset[int]] = field(default_factory=dict, repr=False)
    initials: dict[str, frozenset[int]] = field(default_factory=dict, repr=False)
    joined: dict[str, frozenset[int]] = field(default_factory=dict, repr=False)
    particles: frozenset[str] = field(default=frozenset(), repr=False)
    inside: tuple[str, ...] = field(default=(), repr=False)
    broken: dict[str, frozenset[int]] = field(default_factory=dict, repr=False)
    tails: dict[str, frozenset[int]] = field(default_factory=dict, repr=False)
    heads: tuple[str, ...] = field(default=(), repr=False)
    wide: re.Pattern[str] | None = field(default=None, repr=False)


def name_parts(names: Iterable[str], extra_words: frozenset[str] = frozenset()) -> NameParts:
    """Return the parts of PN values *names* (``Family^Given^Middle=Ideographic=Phonetic``, or free form).

    *extra_words* are folded words of a project that count as vocabulary.
    """
    strong, weak, particles, initials, wide = set(), set(), set(), set(), set()
    for part, is_particle in (found for name in names for found in _parts(name)):
        if _WITHOUT_SPACES.search(part):
            wide.add(shadow(part))
            continue
        folded = fold(part)
        if is_particle:
            particles.add(folded)
            continue
        initials.add(folded[:1])
        if len(folded) >= _STRONG_LENGTH and not (folded in vocabulary() or folded in extra_words):
            strong.add(folded)
            if "å" in part or "Å" in part:
                strong.add(fold(part.replace("å", "aa").replace("Å", "Aa")))
        elif len(folded) > 1:
            weak.add(folded)
    return NameParts(*map(frozenset, (strong, weak, particles, initials, wide)))


def _parts(name: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of *name*, and whether each is a particle: a component of particles only is a name."""
    if is_placeholder(name) and len(name.strip(" ^=")) > 1:
        return
    for group in plain(name).split("="):
        for component in group.split("^")[:3] if "^" in group else [group]:
            parts = [part for split in _SPLIT.split(component) for part in _letters(split)]
            parts = [p for p in parts if len(p) == 1 or fold(p) in placeholders() or not is_placeholder(p)]
            has_name = any(fold(part) not in _PARTICLES for part in parts)
            for part in parts:
                folded = fold(part)
                yield part[:_MAX_LENGTH], folded in _TITLES or (has_name and folded in _PARTICLES)


def _letters(part: str) -> list[str]:
    return [part] if _WITHOUT_SPACES.search(part) else _LETTER_RUN.findall(part)


def index_names(names: Iterable[str], extra_words: frozenset[str] = frozenset()) -> NameIndex:
    """Return the index of *names*; the order they come in does not matter."""
    index: dict[str, dict[str, set[int]]] = {
        kind: {} for kind in ("strong", "weak", "initials", "joined", "broken", "tails")
    }
    particles: set[str] = set()
    wide: set[str] = set()
    for owner, name in enumerate(sorted(names)):
        parts = name_parts([name], extra_words)
        particles |= parts.particles
        wide |= parts.wide
        for kind, words in _forms(parts).items():
            for word in words:
                index[kind].setdefault(word, set()).add(owner)
    found = {
        kind: {word: frozenset(owners) for word, owners in words.items()} for kind, words in index.items()
    }
    inside = [part for part in found["strong"] if len(part) >= _inside_length(part)]
    heads = {fold_once(part + " ")[:-1][:_HEAD_LENGTH] for part in (*found["strong"], *found["weak"])}
    return NameIndex(
        **found,
        particles=frozenset(particles),
        inside=tuple(sorted(inside, key=lambda part: (-len(part), part))),
        heads=tuple(sorted(heads)),
        wide=_wide(wide),
    )


def _inside_length(part: str) -> int:
    return _INSIDE_LENGTH if part[0] < "\u0590" else _INSIDE_LENGTH_OTHER


def _forms(parts: NameParts) -> dict[str, set[str]]:
    several = parts.strong | parts.weak
    joined = {fold_once(a + b) for a in several for b in several if a in parts.strong or b in parts.strong}
    logins = {login for a in parts.strong for i in parts.initials for login in (i + a, a + i)}
    joined |= {login for login in logins if len(login) >= _LOGIN_LENGTH}
    return {
        "strong": set(parts.strong),
        "weak": set(parts.weak),
        "initials": set(parts.initials),
        "joined": {word for word in joined if word not in vocabulary()},
        "broken": {
            part[:i]
            for part in parts.strong
            if len(part) >= _BROKEN_LENGTH
            for i in range(_MIN_PIECE, len(part) + 1)
        },
        "tails": {part[:i] for part in parts.strong for i in range(1, len(part))},
    }


def _wide(parts: set[str]) -> re.Pattern[str] | None:
    """Return a pattern for names written without spaces; a sign counts beside another part, or apart."""
    words = sorted(parts, key=lambda part: (-len(part), part))
    several = [word for word in words if len(word) >= (2 if _IDEOGRAPHIC.search(word) else _MIN_TAIL)]
    short = [word for word in words if word not in several]
    choices = list(map(re.escape, several))
    if short:
        every = "|".join(map(re.escape, words))
        choices.insert(0, rf"(?:{every})(?:[\s^,=_.\-]{{0,2}}(?:{every})){{1,8}}")
        alone = "|".join(re.escape(word) for word in short if word not in vocabulary())
        choices += [rf"(?<![^\W\d_])(?:{alone})(?![^\W\d_])"] if alone else []
    return re.compile("|".join(choices)) if choices else None
