"""Names of attributes in German and English, the branches they hang on, and hierarchies of their codes.

They come from ``data/catalogue.json``; a site adds or replaces entries by a file of the same form.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from p2d.dicom.dictionary import name_of, tag_of
from p2d.model.errors import Misconfigured

OTHER_FACTS: Final = "other facts"
OTHER_HEADERS: Final = "other headers"
DOCUMENTS: Final = "documents"
_FIELD: Final = "warehouse.labels"
_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "branches": ("name", "parent", "german", "english"),
    "attributes": ("name", "branch", "german", "english", "unit", "synonyms"),
    "codes": ("code", "german", "english"),
}


@dataclass(frozen=True, slots=True)
class Branch:
    """A node of the tree that holds attributes and further branches; ``parent`` None is the top."""

    name: str
    parent: str | None
    german: str
    english: str


@dataclass(frozen=True, slots=True)
class Label:
    """What people call an attribute or kind of document; ``unit`` is the usual one."""

    name: str
    branch: str
    german: str = ""
    english: str = ""
    unit: str = ""
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeRange:
    """Codes that belong together: ``code`` is an operand of ``under``, a prefix or a range."""

    code: str
    german: str
    english: str


@dataclass(frozen=True, slots=True)
class Labels:
    """Branches in order, labels by attribute, code ranges by attribute."""

    branches: Mapping[str, Branch] = field(default_factory=dict)
    attributes: Mapping[str, Label] = field(default_factory=dict)
    hierarchies: Mapping[str, tuple[CodeRange, ...]] = field(default_factory=dict)

    def of(self, kind: str, name: str) -> Label:
        """Return the label of *name*; what has none is called by its DICOM name or as it is."""
        found = self.attributes.get(name)
        if found is not None and found.english:
            return found
        try:
            english = name_of(tag_of(name)) if kind in {"header", "column"} else name
        except KeyError:
            english = name
        if found is not None:
            return replace(found, english=english)
        branch = {"fact": OTHER_FACTS, "document": DOCUMENTS}.get(kind, OTHER_HEADERS)
        return Label(name, branch, english, english)

    def members(self, known: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
        """Return, by branch, the attributes of *known* (kind and name) on it and on the branches below it.

        Documents are no attributes and are left out.
        """
        found: dict[str, set[str]] = {name: set() for name in self.branches}
        for kind, name in known:
            at: str | None = self.of(kind, name).branch if kind != "document" else None
            while at is not None:
                found[at].add(name)
                at = self.branches[at].parent
        return {branch: frozenset(names) for branch, names in found.items()}


def read_labels(path: Path | None = None) -> Labels:
    """Return the packaged labels, with those of the file *path* added or in the place of equal names.

    Raises:
        Misconfigured: the file is not readable JSON of the form of ``data/catalogue.json``, an attribute
            hangs on no branch, or branches hang on each other.

    """
    packaged = resources.files("p2d.warehouse") / "data" / "catalogue.json"
    labels = _merged(Labels(), json.loads(packaged.read_text(encoding="utf-8")))
    if path is not None:
        try:
            labels = _merged(labels, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError):
            problem = f"{path} is not a file of labels"
            raise Misconfigured(_FIELD, problem, "see docs/reference/catalogue.md") from None
    _check_branches(labels)
    return labels


def _merged(labels: Labels, source: Mapping[str, Any]) -> Labels:
    if not set(source) <= {"branches", "attributes", "hierarchies"}:
        raise ValueError
    branches = [Branch(**_row("branches", row)) for row in source.get("branches", ())]
    rows = [_row("attributes", row) for row in source.get("attributes", ())]
    attributes = [Label(**{**row, "synonyms": tuple(row.get("synonyms", ()))}) for row in rows]
    hierarchies = {
        name: tuple(CodeRange(**_row("codes", row)) for row in ranges)
        for name, ranges in source.get("hierarchies", {}).items()
    }
    return Labels(
        {**labels.branches, **{branch.name: branch for branch in branches}},
        {**labels.attributes, **{label.name: label for label in attributes}},
        {**labels.hierarchies, **hierarchies},
    )


def _row(form: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return *row* if it has fields of *form* only and they are texts (``synonyms`` a list of them)."""
    if not set(row) <= set(_FORMS[form]):
        raise ValueError
    for name, value in row.items():
        texts = value if name == "synonyms" else [value]
        if not all(isinstance(text, str) or (name == "parent" and text is None) for text in texts):
            raise ValueError
    return dict(row)


def _check_branches(labels: Labels) -> None:
    for label in labels.attributes.values():
        if label.branch not in labels.branches:
            raise Misconfigured(_FIELD, f"{label.name} hangs on an unknown branch", "add the branch")
    for branch in labels.branches.values():
        seen, at = {branch.name}, branch.parent
        while at is not None:
            if at in seen or at not in labels.branches:
                raise Misconfigured(_FIELD, f"the branch {branch.name} leads to no top", "correct its parent")
            seen.add(at)
            at = labels.branches[at].parent
