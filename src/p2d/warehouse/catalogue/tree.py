"""The catalogue as it is shown: branches with attributes, and attributes by what people call them."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from p2d.dicom.dictionary import keyword_path_of, name_of, tag_of, vr_of
from p2d.warehouse.catalogue.entries import FEWEST_PATIENTS, Entry
from p2d.warehouse.catalogue.labels import Label, Labels

_MOST_FOUND: Final = 50
_COUNTED: Final = frozenset({"facts", "patients", "first", "last", "numbers", "values", "paths"})


def tree(labels: Labels, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the top branches, each with ``branches`` and ``attributes`` below it; no empty ones."""
    by_branch: dict[str, list[Entry]] = {}
    for entry in entries:
        by_branch.setdefault(labels.of(entry.kind, entry.name).branch, []).append(entry)

    def below(parent: str | None) -> list[dict[str, Any]]:
        nodes = []
        for branch in labels.branches.values():
            if branch.parent != parent:
                continue
            held = sorted(by_branch.get(branch.name, ()), key=lambda e: (-e.patients, e.name))
            node = {
                "branch": branch.name,
                "german": branch.german,
                "english": branch.english,
                "branches": below(branch.name),
                "attributes": [summary(labels, entry) for entry in held],
            }
            if node["branches"] or node["attributes"]:
                nodes.append(node)
        return nodes

    return below(None)


def search(labels: Labels, entries: Sequence[Entry], words: str) -> list[dict[str, Any]]:
    """Return the attributes that all of *words* fit, best first; at most 50.

    A word fits a name, a title, a synonym, a unit, a tag or a branch that holds it, whatever its case and
    accents. An attribute called so comes before one that only begins so, that before one that only holds it;
    then the one that more patients have.
    """
    sought = [plain(word) for word in words.split()]
    ranked = []
    for entry in entries:
        names = [plain(name) for name in _names(labels, entry)]
        ranks = [min((_rank(word, name) for name in names), default=_NO_FIT) for word in sought]
        if ranks and max(ranks) < _NO_FIT:
            ranked.append((max(ranks), -entry.patients, entry.name, entry))
    return [summary(labels, entry) for *_, entry in sorted(ranked, key=lambda one: one[:3])[:_MOST_FOUND]]


def summary(labels: Labels, entry: Entry) -> dict[str, Any]:
    """Return what a list shows of *entry*."""
    label = labels.of(entry.kind, entry.name)
    return {
        "kind": entry.kind,
        "name": entry.name,
        "branch": label.branch,
        "german": label.german or label.english,
        "english": label.english,
        "level": entry.level,
        "units": sorted({n.unit for n in entry.numbers} - {""}),
        "facts": entry.facts,
        "patients": entry.patients,
    }


def detail(labels: Labels, entry: Entry) -> dict[str, Any]:
    """Return all that the catalogue knows of *entry*; what fewer than five patients share is left out."""
    label = labels.of(entry.kind, entry.name)
    shown = entry.patients >= FEWEST_PATIENTS
    return {
        **summary(labels, entry),
        "unit": label.unit,
        "synonyms": list(label.synonyms),
        "first": entry.first.isoformat() if shown and entry.first else None,
        "last": entry.last.isoformat() if shown and entry.last else None,
        "numbers": [asdict(n) for n in entry.numbers if n.patients >= FEWEST_PATIENTS],
        "values": [asdict(v) for v in entry.values if v.patients >= FEWEST_PATIENTS],
        "codes": [asdict(code) for code in labels.hierarchies.get(entry.name, ())],
        "dicom": _dicom(entry),
    }


def without_numbers(shown: Any) -> Any:
    """Return what ``tree``, ``search`` or ``detail`` made without anything counted, and in order of names.

    For those whose numbers are shielded: counts of attributes are counts of groups of patients.
    """
    if isinstance(shown, dict):
        kept = {key: without_numbers(value) for key, value in shown.items() if key not in _COUNTED}
        if isinstance(kept.get("attributes"), list):
            kept["attributes"].sort(key=lambda one: (one["name"], one["kind"]))
        return kept
    return [without_numbers(one) for one in shown] if isinstance(shown, list) else shown


def plain(text: str) -> str:
    """Return *text* as it is compared: without case and accents, ß as ss."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in parts if not unicodedata.combining(character))


_NO_FIT: Final = 3


def _rank(word: str, name: str) -> int:
    if name == word:
        return 0
    if any(part.startswith(word) for part in name.replace("-", " ").split()):
        return 1
    return 2 if word in name else _NO_FIT


def _names(labels: Labels, entry: Entry) -> Iterable[str]:
    label: Label = labels.of(entry.kind, entry.name)
    yield from (entry.name, label.german, label.english, *label.synonyms)
    yield from (n.unit for n in entry.numbers if n.unit)
    tag = _tag(entry)
    if tag:
        yield tag
    branch = labels.branches[label.branch]
    yield from (branch.german, branch.english)


def _tag(entry: Entry) -> str | None:
    if entry.kind not in {"header", "column"}:
        return None
    try:
        return tag_of(entry.name)
    except KeyError:
        return None  # sex and birth_year are P2D's own


def _dicom(entry: Entry) -> dict[str, Any] | None:
    """Return what PS3.6 says of an imaging attribute, and where in sequences it was found."""
    tag = _tag(entry)
    if tag is None:
        return None
    return {
        "keyword": entry.name,
        "tag": f"({tag[:4]},{tag[4:]})",
        "vr": vr_of(tag),
        "name": name_of(tag),
        "level": entry.level,
        "paths": [{"path": path, "words": keyword_path_of(path)} for path in entry.paths],
    }
