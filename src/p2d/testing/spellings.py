"""How a value may be spelled in an artefact: case, character set, name order, usual encodings."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

_SKIPPED_BASE64 = (0, 2, 3)  # leading characters that depend on what stands before, by alignment


def spellings(value: str) -> Iterator[tuple[str, bytes]]:
    """Yield (encoding, bytes) for every way *value* is searched; the same bytes may come twice."""
    for order, ordered in _orders(value):
        for case, text in (("raw", ordered), ("upper", ordered.upper()), ("lower", ordered.lower())):
            yield from _encodings(order or case, text)


def _orders(value: str) -> Iterator[tuple[str, str]]:
    """Yield *value*, and a PN value ``Family^Given`` in the orders that people write."""
    yield "", value
    if "^" in value:
        family, given = [part.strip() for part in value.split("^")[:2]]
        if family and given:
            for text in (
                f"{given} {family}",
                f"{family}, {given}",
                f"{family} {given}",
                f"{family}^{given}",
                f"{given}^{family}",
            ):
                yield "name order", text


def _encodings(plain: str, text: str) -> Iterator[tuple[str, bytes]]:
    for content in _bytes(text):
        yield plain, content
        yield "hex", content.hex().encode()
        yield "hex", content.hex().upper().encode()
        for quoted in (quote(content, safe=""), quote(content), quote_plus(content)):
            yield "url", quoted.encode()
            yield "url", _lower_escapes(quoted).encode()
        for alignment, skipped in enumerate(_SKIPPED_BASE64):
            padded = b"\x00" * alignment + content
            whole = len(padded) * 8 // 6
            for encode in (b64encode, urlsafe_b64encode):
                yield "base64", encode(padded)[skipped:whole]
    yield "utf-16-le", text.encode("utf-16-le")
    yield "utf-16-be", text.encode("utf-16-be")
    yield "json", json.dumps(text)[1:-1].encode()


def _bytes(text: str) -> Iterator[bytes]:
    yield text.encode()
    if not text.isascii():
        try:
            yield text.encode("latin-1")
        except UnicodeEncodeError:
            return


def _lower_escapes(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)
