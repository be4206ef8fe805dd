"""Elements of FHIR's data types out of untrusted JSON: what is absent or of another type is None."""

import base64
import binascii
import math
import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from typing import Any, Final

_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_PARTIAL: Final = re.compile(r"[0-9]{4}(-[0-9]{2})?")
_BLOCKS: Final = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table"})


def at(node: Any, *path: str | int) -> Any:
    """Return what is at *path*, or None where the way is not there."""
    for step in path:
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and len(node) > step else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


def text(node: Any, *path: str | int) -> str | None:
    """Return the text at *path* without surrounding blanks, or None."""
    found = at(node, *path)
    return found.strip() or None if isinstance(found, str) else None


def items(node: Any, *path: str | int) -> Iterator[dict[str, Any]]:
    """Yield the objects of the list at *path*; a single object is a list of one."""
    found = at(node, *path)
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, dict):
            yield item


def number(node: Any, *path: str | int) -> float | None:
    """Return the finite number at *path*, or None."""
    found = at(node, *path)
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:  # JSON's whole numbers have no bound
        return None


def moment(node: Any, *paths: tuple[str | int, ...]) -> tuple[date | None, str | None, bool]:
    """Return day and clock of the first of *paths* with a whole date; and whether others are filled instead.

    The clock is the one written, its zone is not applied.
    """
    is_odd = False
    for path in paths:
        written = text(node, *path)
        if written is None:
            continue
        match = _MOMENT.fullmatch(written)
        try:
            if match is not None:
                return date.fromisoformat(match[1]), match[2], False
        except ValueError:
            pass
        is_odd = True
    return None, None, is_odd


def birth(node: Any, *path: str | int) -> tuple[str | None, bool]:
    """Return the birth date as written (whole, month or year), and whether it is none of these."""
    written = text(node, *path)
    if written is None or _PARTIAL.fullmatch(written):
        return written, False
    day, _, is_odd = moment(node, path)
    return (day.isoformat() if day else None), is_odd


def identifier(resource: Any, kind: str, *without: str) -> str | None:
    """Return the identifier whose type is *kind*, else the first whose type is none of *without*."""
    first = None
    for one in items(resource, "identifier"):
        value = text(one, "value")
        codes = {text(coding, "code") for coding in items(one, "type", "coding")}
        if value and kind in codes:
            return value
        if value and first is None and codes.isdisjoint(without) and text(one, "use") != "old":
            first = value
    return first


def typed_identifier(resource: Any, kind: str) -> str | None:
    """Return the value of the identifier whose type is *kind*, or None."""
    for one in items(resource, "identifier"):
        if kind in {text(coding, "code") for coding in items(one, "type", "coding")}:
            return text(one, "value")
    return None


def reference(node: Any, *path: str | int) -> tuple[str | None, str | None]:
    """Return the literal reference at *path*, and the value of a logical one."""
    return text(node, *path, "reference"), text(node, *path, "identifier", "value")


def attachment(node: Any) -> tuple[str | None, str | None]:
    """Return the plain text of an Attachment, or why there is none; one without any content has none."""
    kind = (text(node, "contentType") or "text/plain").split(";")[0].strip().lower()
    if kind not in {"text/plain", "text/html", "application/xhtml+xml"}:
        return None, "its attachment is not plain text"
    data = text(node, "data")
    if data is None:
        return None, None if text(node, "url") is None else "its attachment is not inline"
    try:
        content = base64.b64decode(data, validate=True).decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None, "its attachment is not text in UTF-8"
    return (content if kind == "text/plain" else without_markup(content)), None


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's signature
        if tag in _BLOCKS:
            self.parts.append("\n")


def without_markup(markup: str) -> str:
    """Return the text of XHTML, blocks on lines of their own."""
    parser = _Text()
    parser.feed(markup)
    parser.close()
    lines = [" ".join(line.split()) for line in "".join(parser.parts).splitlines()]
    return "\n".join(line for line in lines if line)
