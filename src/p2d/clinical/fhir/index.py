"""What resources refer to: patients, encounters, documents, orders, each by the names it may be called.

Memory: about 0.2 kB for a resource that others may refer to, and for a result that a report lists.
"""

from collections.abc import Iterator
from typing import Any, Final

from p2d.clinical.chunk import LABEL
from p2d.clinical.fhir.elements import at, identifier, items, reference, text, typed_identifier
from p2d.clinical.fhir.resources import Entry

DOCUMENTS: Final = frozenset({"DiagnosticReport", "DocumentReference", "Composition"})
_LAST_PARTS: Final = 2
_MOST_PARENTS: Final = 8


def names(entry: Entry) -> Iterator[str]:
    """Yield what other resources may call *entry* by."""
    own = text(entry.content, "id")
    if own:
        yield f"{entry.kind}/{own}"
    if entry.full_url:
        yield entry.full_url


def key(entry: Entry) -> str | None:
    """Return what identifies *entry* in its hospital: an identifier, else its id."""
    wanted = {"Patient": "MR", "Encounter": "VN"}.get(entry.kind, "")
    master = text(entry.content, "masterIdentifier", "value")
    single = text(entry.content, "identifier", "value")  # Composition has one identifier, not a list
    listed = identifier(entry.content, wanted, "ACSN", "PLAC", "FILL") if single is None else single
    return master or listed or text(entry.content, "id")


def label(entry: Entry) -> str:
    """Return the reader's own name of *entry*, by its id where it has one."""
    return f"{LABEL}{entry.kind}/{text(entry.content, 'id') or f'{entry.file}:{entry.row}'}"


class Index:
    """Keys of everything that is referred to, by every name."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._parents: dict[str, str] = {}
        self._orders: dict[str, str] = {}
        self._results: dict[str, str] = {}
        self._logical: dict[str, set[str]] = {"Patient": set(), "Encounter": set()}

    def add(self, entry: Entry) -> None:
        """Learn what *entry* is called and what it lists."""
        own = key(entry)
        if entry.kind in {"Patient", "Encounter"} or entry.kind in DOCUMENTS:
            self._add_named(entry, own)
        if entry.kind == "ServiceRequest":
            number = typed_identifier(entry.content, "ACSN")
            for name in names(entry) if number else ():
                self._orders[name] = str(number)
        if entry.kind == "DiagnosticReport" and own is not None:
            for result in items(entry.content, "result"):
                called, _ = reference(result)
                if called:
                    self._results[_short(called)] = own

    def _add_named(self, entry: Entry, own: str | None) -> None:
        parent, _ = reference(entry.content, "partOf") if entry.kind == "Encounter" else (None, None)
        for name in names(entry):
            if parent is not None:
                self._parents[name] = parent
            elif own is not None:
                self._keys[name] = own
        if own is not None and entry.kind in self._logical:
            self._logical[entry.kind].add(own)

    def patient(self, content: Any) -> tuple[str | None, bool]:
        """Return the key of the patient that *content* is about, and whether it is held."""
        return self._resolved("Patient", *(reference(content, "subject")))

    def case(self, content: Any) -> tuple[str | None, bool]:
        """Return the key of the case *content* belongs to, and whether a case that is named is held."""
        if at(content, "encounter") is not None:
            found = reference(content, "encounter")
        elif isinstance(at(content, "context", "encounter"), list):
            found = reference(content, "context", "encounter", 0)
        else:
            found = reference(content, "context")
        if found == (None, None):
            return None, True
        return self._resolved("Encounter", *found)

    def document(self, entry: Entry) -> tuple[str | None, bool]:
        """Return the document that *entry* was read from, and whether one that is named is held."""
        for name in names(entry):
            if name in self._results:
                return self._results[name], True
        for path in (("derivedFrom",), ("report",)):
            for one in items(entry.content, *path):
                if found := self._document_called(one):
                    return found, True
        for evidence in items(entry.content, "evidence"):
            for one in items(evidence, "detail"):
                if found := self._document_called(one):
                    return found, True
        return None, not any(True for _ in items(entry.content, "report"))

    def accession(self, content: Any) -> str | None:
        """Return the accession number of a report: its own, or that of the order it is based on."""
        own = typed_identifier(content, "ACSN")
        if own:
            return own
        related = [*items(content, "basedOn"), *items(content, "context", "related")]
        for one in related:
            codes = {text(coding, "code") for coding in items(one, "identifier", "type", "coding")}
            called, logical = reference(one)
            if "ACSN" in codes and logical:
                return logical
            if called and (number := self._orders.get(called) or self._orders.get(_short(called))):
                return number
        return None

    def _document_called(self, node: Any) -> str | None:
        called, _ = reference(node)
        return None if called is None else self._keys.get(called) or self._keys.get(_short(called))

    def _resolved(self, kind: str, called: str | None, logical: str | None) -> tuple[str | None, bool]:
        for _ in range(_MOST_PARENTS):
            if called is None:
                break
            for name in (called, _short(called)):
                if name in self._keys:
                    return self._keys[name], True
            called = self._parents.get(called) or self._parents.get(_short(called))
        if logical is not None and logical in self._logical[kind]:
            return logical, True
        return None, False


def _short(called: str) -> str:
    """Return ``Type/id`` of an absolute or versioned reference."""
    parts = called.partition("/_history/")[0].split("/")
    return "/".join(parts[-_LAST_PARTS:]) if len(parts) >= _LAST_PARTS else called
