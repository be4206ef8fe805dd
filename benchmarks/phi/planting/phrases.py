"""Texts as hospitals write them: a person in the middle of something worth keeping."""

from collections.abc import Callable
from typing import Final

from phi.folding import fold, spellings, spelt_out, words
from phi.planting.plot import Mixed, Plot

_SUBJECTS: Final = (
    "MR Knie links",
    "CT Thorax nativ",
    "Abdomen Verlauf",
    "T2 tra Becken",
    "Schulter rechts",
    "LWS seitlich",
    "Leber Kontrolle",
    "Spirale axial",
    "Routine Lunge",
    "ap stehend",
    "Angio Becken",
    "Hals mit KM",
)
_SHORT_SUBJECTS: Final = ("Knie", "T2 tra", "axial", "nativ")
SH: Final = 16
LO: Final = 64

Phrase = Callable[[Plot], str]


def _ascii(text: str) -> str:
    return spelt_out(text).replace(" ", "").replace("'", "").replace("-", "")


def _grouped(patient_id: str) -> str:
    """Return the digits of an id in groups of three, as people write them."""
    digits = "".join(char for char in patient_id if char.isdigit())
    return " ".join(digits[at : at + 3] for at in range(0, len(digits), 3))


PHRASES: Final[dict[str, Phrase]] = {
    "name": lambda p: p.person.family,
    "name, given": lambda p: f"{p.person.family}, {p.person.given}",
    "given name": lambda p: f"{p.person.given} {p.person.family}",
    "Pat. name": lambda p: f"Pat. {p.person.family}, {p.person.given}",
    "initial": lambda p: f"{p.person.given[0]}. {p.person.family}",
    "caret": lambda p: f"{p.person.family}^{p.person.given}",
    "underscore": lambda p: f"{spelt_out(p.person.family)}_{spelt_out(p.person.given)}",
    "CamelCase": lambda p: _ascii(p.person.family).title() + _ascii(p.person.given).title(),
    "upper case": lambda p: f"{p.person.family} {p.person.given}".upper(),
    "upper spelt out": lambda p: f"{spelt_out(p.person.family)} {spelt_out(p.person.given)}".upper(),
    "Frau/Herr": lambda p: f"{'Frau' if p.person.sex == 'F' else 'Herr'} {p.person.family}",
    "id": lambda p: p.person.patient_id,
    "id in words": lambda p: f"PatID:{p.person.patient_id}",
    "id grouped": lambda p: _grouped(p.person.patient_id),
    "name, initial": lambda p: f"{p.person.family}, {p.person.given[0]}.",
    "UID": lambda p: f"{p.dataset.StudyInstanceUID}",
    "other id": lambda p: p.person.other_id,
    "accession": lambda p: p.accession,
    "birth date de": lambda p: f"geb. {p.person.born:%d.%m.%Y}",
    "birth date iso": lambda p: f"*{p.person.born:%Y-%m-%d}",
    "birth date compact": lambda p: f"{p.person.born:%Y%m%d}",
    "birth date short": lambda p: f"{p.person.born:%d%m%y}",
    "birth date 2y": lambda p: f"{p.person.born:%d.%m.%y}",
    "study date de": lambda p: f"vom {p.day:%d.%m.%Y}",
    "study date iso": lambda p: f"vom {p.day:%Y-%m-%d}",
    "phone": lambda p: f"Tel. {p.person.phone}",
    "e-mail": lambda p: p.person.email,
    "insurance": lambda p: f"KV {p.person.insurance}",
    "physician": lambda p: f"Dr. {p.person.referring[0]}",
    "physician bare": lambda p: p.person.performing[0],
    "institution": lambda p: p.person.institution,
    "street": lambda p: p.person.street,
    "name and birth": lambda p: f"{p.person.family} {p.person.given} {p.person.born:%d.%m.%Y}",
    "ideographic": lambda p: p.person.ideographic.replace("^", ""),
    "phonetic": lambda p: p.person.phonetic.split("^")[0],
}
_CONNECTING: Final = {"pat", "frau", "herr", "geb", "tel", "kv", "dr", "vom", "patid"}


def mixed(plot: Plot, kind: str, limit: int = LO) -> Mixed | None:
    """Return a text of at most *limit* characters with *kind* of value in it; None where it does not fit.

    The value stands before, in the middle of, or after the words that have to stay.
    """
    own = plot.text(PHRASES[kind](plot))
    if not own.strip(" ,._^*") or (kind == "initial" and not own[0].isalpha()):
        return None
    subject = plot.rng.choice(_SUBJECTS if limit > SH else _SHORT_SUBJECTS)
    first, _, rest = subject.partition(" ")
    text = plot.rng.choice((f"{subject} {own}", f"{first} {own} {rest}".strip(), f"{own} {subject}"))
    gone = _gone(plot, kind, own)
    kept = tuple(word for word in words(subject) if word not in gone)
    return Mixed(text, gone, kept) if len(text) <= limit and gone else None


def _gone(plot: Plot, kind: str, own: str) -> tuple[str, ...]:
    person = plot.person
    if kind in ("CamelCase", "ideographic", "id grouped"):
        return tuple(sorted({fold(own)}))
    found = set()
    for spelling in spellings(own):
        for word in spelling.replace("_", " ").replace("^", " ").replace(",", " ").split():
            bare = word.strip(".:*") if kind.startswith("birth") or not word.startswith("*") else word
            bare = bare.removeprefix("patid:")
            if len(bare) > 1 and bare not in _CONNECTING:
                found.add(bare)
    if person.naming.is_word and kind in ("name", "Frau/Herr", "initial", "name, initial"):
        return tuple(sorted(found)) if kind == "Frau/Herr" else ()
    if kind in ("institution", "street", "phone"):
        return tuple(sorted({fold(own.removeprefix("Tel. "))}))
    return tuple(sorted(found - {"von", "der", "zu"}))
