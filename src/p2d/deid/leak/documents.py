"""Text of encapsulated documents: PDF, CDA and other XML, HTML, RTF, archives of them.

It reads enough to find a value, not to show the document: of fonts only their character maps, no images.
"""

import base64
import binascii
import html
import re
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from p2d.deid.leak.raw import is_text
from p2d.deid.leak.streams import Budget, Unsearchable, streams_in, wrapped_in

_PDF: Final = b"%PDF-"
_LOOK_BACK: Final = 4096
_MAX_MAPS: Final = 64
_MAX_MAPPED: Final = 1 << 16
_STREAM: Final = re.compile(rb"stream\r?\n?")
_FILTERS: Final = re.compile(
    rb"/(FlateDecode|ASCIIHexDecode|ASCII85Decode|RunLengthDecode|LZWDecode|Fl|AHx|A85|RL|LZW)\b"
)
_IMAGE: Final = re.compile(rb"/Subtype\s*/Image\b|/DCTDecode\b|/JPXDecode\b|/Length1\b")  # images, fonts
_STRING: Final = re.compile(
    rb"\(((?:[^()\\]++|\\.|\((?:[^()\\]++|\\.|\((?:[^()\\]++|\\.)*+\))*+\))*+)\)", re.DOTALL
)
_HEX: Final = re.compile(rb"<([0-9A-Fa-f\s]{4,})>")
_SHOWN: Final = re.compile(
    rb"\((?:[^()\\]++|\\.|\((?:[^()\\]++|\\.)*+\))*+\)|<[0-9A-Fa-f\s]*>|-?\d+(?:\.\d+)?|[\]\[]|T[JjdDm*]|'|\"|ET",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|\r\n|[\s\S])")
_ESCAPED: Final = {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"b": b"\b",
    b"f": b"\f",
    b"\n": b"",
    b"\r": b"",
    b"\r\n": b"",
}
_MAPPED: Final = re.compile(rb"<([0-9A-Fa-f]{2,8})>\s*<([0-9A-Fa-f\s]{4,64})>(?:\s*<([0-9A-Fa-f\s]{4,64})>)?")
_RANGES: Final = re.compile(rb"begin(bfchar|bfrange)(.*?)endbf", re.DOTALL)
_RANGE_OF_LIST: Final = re.compile(rb"<([0-9A-Fa-f]{2,8})>\s*<[0-9A-Fa-f]{2,8}>\s*\[([^\]]*)\]")
_GAP: Final = -150.0  # thousandths of the font size: a wider step is a space
_ENCODING: Final = re.compile(rb"""(?:encoding|charset)\s*=\s*["']?([A-Za-z0-9._\-]{2,24})""")
_TAGS: Final = re.compile(r"<[^<>]*+>")
_MARKUP: Final = (b"<", b"&", b"%", b"\\u")
_CODES: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_RTF: Final = re.compile(rb"\\'([0-9a-fA-F]{2})|\\u(-?\d+)\s?\??|\\[a-z]+-?\d*\s?|[{}]")


def texts_of_document(content: bytes, mime_type: str, budget: Budget | None = None) -> Iterator[str | bytes]:
    """Yield what can be read of a document; *mime_type* is a hint, what it begins with decides.

    The bytes themselves come first. Text is yielded in more than one way of joining its pieces.

    Raises:
        Unsearchable: encrypted, or larger than what may be unpacked.

    """
    budget = budget or Budget()
    budget.depth += 1
    if budget.depth > 6:  # noqa: PLR2004 - documents inside archives inside documents
        raise Unsearchable
    yield content
    if _PDF in content[:_LOOK_BACK] or mime_type == "application/pdf":
        yield from _pdf_texts(content, budget)
    else:
        yield from _marked_up(content)
        for stream in streams_in(content, budget):
            yield from texts_of_document(stream, "", budget)
        for plain in wrapped_in(content, budget):
            yield from texts_of_document(plain, "", budget)
    budget.depth -= 1


def _marked_up(content: bytes) -> Iterator[str]:
    head = content[:1024]
    if content.lstrip()[:5] == b"{\\rtf":
        yield _RTF.sub(_rtf_character, content).decode("cp1252", "replace")
    wide = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
    if not wide and (not is_text(content) or not any(mark in content for mark in _MARKUP)):
        return
    declared = _ENCODING.search(head)
    text = ""
    for codec in (
        "utf-16" if wide else declared.group(1).decode() if declared else "utf-8",
        "utf-8",
        "latin-1",
    ):
        try:
            text = content.decode(codec)
            break
        except (UnicodeError, LookupError):
            continue
    text = html.unescape(_CODES.sub(lambda code: chr(int(code.group(1), 16)), text))
    yield text
    yield _TAGS.sub("", text)
    if "%" in text:
        yield urllib.parse.unquote(text)


def _rtf_character(match: re.Match[bytes]) -> bytes:
    if match.group(1):
        return bytes([int(match.group(1), 16)])
    if match.group(2):
        return chr(int(match.group(2)) % 0x10000).encode("cp1252", "ignore")
    return b""


def _pdf_texts(content: bytes, budget: Budget) -> Iterator[str | bytes]:
    if b"/Encrypt" in content:
        raise Unsearchable
    streams: list[tuple[bytes, bool]] = []
    maps: list[dict[bytes, str]] = []
    outside: list[bytes] = []
    end = 0
    for match in _STREAM.finditer(content):
        if match.start() < end or content[match.start() - 3 : match.start()] == b"end":
            continue
        outside.append(content[end : match.start()])
        closing = content.find(b"endstream", match.end())
        end = closing if closing >= 0 else len(content)
        dictionary = content[max(0, match.start() - _LOOK_BACK) : match.start()].rpartition(b"obj")[2]
        plain = _decoded(content[match.end() : end], dictionary, budget)
        if b"beginbfchar" in plain or b"beginbfrange" in plain:
            if len(maps) < _MAX_MAPS:
                maps.append(_character_map(plain))
        else:
            streams.append((plain, _IMAGE.search(dictionary) is not None))
    outside.append(content[end:])
    yield from _strings(b"\n".join(outside), [])
    for stream, is_image in streams:
        yield stream
        if not is_image:
            yield from _strings(stream, maps)
            yield from _marked_up(stream)


def _decoded(stream: bytes, dictionary: bytes, budget: Budget) -> bytes:
    for name in _FILTERS.findall(dictionary)[:8]:
        stream = _DECODERS[name](stream, budget)
    return stream


def _flate(stream: bytes, budget: Budget) -> bytes:
    plain = budget.inflated(stream, zlib.MAX_WBITS)
    return plain or budget.inflated(stream[2:], -zlib.MAX_WBITS)


def _hex(stream: bytes, budget: Budget) -> bytes:
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", stream.split(b">")[0])
    budget.spend(len(digits) // 2)
    return bytes.fromhex(digits.decode() + "0" * (len(digits) % 2))


def _ascii_85(stream: bytes, budget: Budget) -> bytes:
    bare = stream.strip().removeprefix(b"<~").split(b"~>")[0]
    budget.spend(len(bare))
    try:
        return base64.a85decode(bare)
    except (ValueError, binascii.Error):
        return stream


def _run_length(stream: bytes, budget: Budget) -> bytes:
    plain, position = bytearray(), 0
    while position < len(stream) and (count := stream[position]) != 128:  # noqa: PLR2004 - end of data
        if count < 128:  # noqa: PLR2004 - as above
            piece = stream[position + 1 : position + 2 + count]
            position += 2 + count
        else:
            piece = stream[position + 1 : position + 2] * (257 - count)
            position += 2
        plain += piece
    budget.spend(len(plain))
    return bytes(plain)


def _lzw(stream: bytes, budget: Budget) -> bytes:
    """Return *stream* decoded (ISO 32000-1 7.4.4, EarlyChange 1)."""
    plain = bytearray()
    table: list[bytes] = []
    previous, width, bits, held = b"", 9, 0, 0
    for byte in stream:
        held, bits = (held << 8 | byte) & 0xFFFFFF, bits + 8
        if bits < width:
            continue
        bits -= width
        code = held >> bits & ((1 << width) - 1)
        if code == 257:  # noqa: PLR2004 - end of data
            break
        if code == 256:  # noqa: PLR2004 - begin anew
            table, previous, width = [], b"", 9
            continue
        entry = bytes([code]) if code < 256 else _entry(table, code - 258, previous)  # noqa: PLR2004 - literal bytes
        plain += entry
        budget.spend(len(entry))
        if previous:
            table.append(previous + entry[:1])
        previous = entry
        width = min(12, max(9, (len(table) + 259).bit_length()))
    return bytes(plain)


def _entry(table: list[bytes], index: int, previous: bytes) -> bytes:
    return table[index] if index < len(table) else previous + previous[:1]


_DECODERS: Final[dict[bytes, Callable[[bytes, Budget], bytes]]] = {
    b"FlateDecode": _flate, b"Fl": _flate, b"ASCIIHexDecode": _hex, b"AHx": _hex, b"ASCII85Decode": _ascii_85,
    b"A85": _ascii_85, b"RunLengthDecode": _run_length, b"RL": _run_length, b"LZWDecode": _lzw, b"LZW": _lzw,
}  # fmt: skip


def _strings(content: bytes, maps: list[dict[bytes, str]]) -> Iterator[str]:
    """Yield the strings of *content*: each for itself, and as they are shown one behind the other."""
    literals = [_unescaped(string) for string in _STRING.findall(content)]
    literals += [_unhexed(digits) for digits in _HEX.findall(content)]
    if not literals:
        return
    yield "\n".join(map(_text_string, literals))
    shown = list(_shown(content))
    for decode in (_text_string, *(_mapped_by(character_map) for character_map in maps)):
        yield "".join(piece if isinstance(piece, str) else decode(piece) for piece in shown)
        yield "".join(decode(piece) for piece in shown if isinstance(piece, bytes))


def _shown(content: bytes) -> Iterator[bytes | str]:
    """Yield the strings of a content stream, and spaces and line ends where the text moves on."""
    in_array = False
    for token in _SHOWN.findall(content):
        if token[:1] == b"(":
            yield _unescaped(token[1:-1])
        elif token[:1] == b"<":
            yield _unhexed(token[1:-1])
        elif token in b"[]":
            in_array = token == b"["
        elif token in {b"Td", b"TD", b"Tm", b"T*", b"'", b'"', b"ET"}:
            yield "\n"
        elif in_array and token[:1] == b"-" and float(token) < _GAP:
            yield " "


def _unescaped(string: bytes) -> bytes:
    if b"\\" not in string:
        return string

    def plain(match: re.Match[bytes]) -> bytes:
        escaped = match.group(1)
        if escaped[:1].isdigit() and escaped[:1] < b"8":
            return bytes([int(escaped, 8) & 0xFF])
        return _ESCAPED.get(escaped, escaped)

    return _ESCAPE.sub(plain, string)


def _unhexed(digits: bytes) -> bytes:
    bare = re.sub(rb"\s", b"", digits)
    return bytes.fromhex(bare.decode("ascii") + "0" * (len(bare) % 2))


def _text_string(string: bytes) -> str:
    """Return a text string (ISO 32000-1 7.9.2.2): UTF-16 or UTF-8 with its mark, else one byte a letter."""
    if string[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        return string.decode("utf-16", "replace")
    if string[:3] == b"\xef\xbb\xbf":
        return string[3:].decode("utf-8", "replace")
    if string[:1] == b"\0" and len(string) > 2:  # noqa: PLR2004 - two-byte codes that are Unicode often enough
        return string.decode("utf-16-be", "replace")
    return string.decode("cp1252", "replace")


def _character_map(stream: bytes) -> dict[bytes, str]:
    """Return codes → text of a ToUnicode map (ISO 32000-1 9.10.3)."""
    mapped: dict[bytes, str] = {}
    for kind, body in _RANGES.findall(stream):
        for begin, texts in _RANGE_OF_LIST.findall(body):
            code = _unhexed(begin)
            for offset, text in enumerate(_HEX.findall(texts)):
                mapped[_moved(code, offset)] = _utf_16(text)
        for code, second, third in _MAPPED.findall(_RANGE_OF_LIST.sub(b"", body)):
            first = _unhexed(code)
            if kind == b"bfchar" or not third:
                mapped[first] = _utf_16(second)
                continue
            last, text = int.from_bytes(_unhexed(second), "big"), _utf_16(third)
            for offset in range(min(last - int.from_bytes(first, "big") + 1, _MAX_MAPPED - len(mapped))):
                mapped[_moved(first, offset)] = text[:-1] + chr((ord(text[-1:] or "\0") + offset) % 0x110000)
    return mapped


def _moved(code: bytes, offset: int) -> bytes:
    return ((int.from_bytes(code, "big") + offset) & ((1 << 8 * len(code)) - 1)).to_bytes(len(code), "big")


def _utf_16(digits: bytes) -> str:
    return _unhexed(digits).decode("utf-16-be", "replace")


def _mapped_by(character_map: dict[bytes, str]) -> Callable[[bytes], str]:
    size = max(map(len, character_map), default=1)

    def text(string: bytes) -> str:
        codes = (string[index : index + size] for index in range(0, len(string), size))
        return "".join(character_map.get(code, "") for code in codes)

    return text
