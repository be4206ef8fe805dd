"""Values as bytes: one needle for each character set that writes them differently."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from p2d.deid.leak.needles import MIN_BYTES, lowered, words_beyond_ascii
from p2d.model.identified import KnownValues

ENCODINGS: Final = (
    "utf-8", "latin-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7",
    "iso8859-8", "iso8859-9", "iso8859-15", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "koi8-r",
    "tis-620", "cp437", "cp850", "mac-roman", "utf-16-le", "utf-16-be", "shift_jis", "euc_jp", "iso2022_jp",
    "euc_kr", "iso2022_kr", "gb18030", "big5",
)  # fmt: skip
_STATEFUL: Final = frozenset({"iso2022_jp", "iso2022_kr"})
_ESCAPES: Final = re.compile(rb"\x1b\$?[()]?[@-Z]|\x0e|\x0f")
_INTERLEAVED: Final = re.compile(rb"\0[ -~\x80-\xff](?:\0{1,3}[ -~\x80-\xff]){2}\0")
_GLUED: Final = re.compile(
    rb"[A-Z]{2}\0[A-Za-z]([A-Za-z]{5,})|(?<![A-Za-z])([A-Za-z]{6,}+)\0..(?:[A-Z]{2}|..\0\0)", re.DOTALL
)
_SHORT: Final = 1 << 12
_PRINTABLE: Final = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_MIN_WIDE: Final = 4
_MOST: Final = 1 << 16  # bytes read in the rarer encodings
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n\f\r\x1b"))
_MARKS: Final = frozenset({b"\xff\xfe", b"\xfe\xff"})
_WIDE: Final = ("utf-16-le", "utf-16-be")
_MORE: Final = tuple(e for e in ENCODINGS[2:] if e not in _STATEFUL and e not in _WIDE)
_TO_ASCII: Final = bytes(range(0x80)) + b" " * 0x80
_TO_LINES: Final = bytes(byte if byte >= 0x20 else 0x0A for byte in range(0x100))  # noqa: PLR2004 - controls
_MAX_NAMES: Final = 64
_MAX_LENGTH: Final = 64


class EncodedNeedles:
    """Finds names and places that are not plain ASCII in bytes of any character set."""

    def __init__(self, known: KnownValues) -> None:
        self._plain, self._stateful = _encoded(words_beyond_ascii(known))

    def found_in(self, content: bytes) -> bool:
        """Whether *content* holds one of the needles."""
        if self._plain and not content.isascii():
            return any(needle in content for needle in self._plain)
        if self._stateful and b"\x1b" in content:
            bare = _ESCAPES.sub(b"", content)
            return any(needle in bare for needle in self._stateful)
        return False


def readings_of(content: bytes, *, wide: bool | None = None) -> Iterator[str]:
    """Yield the texts that *content* may be: its ASCII first, then the lines beyond ASCII in other encodings.

    Those are UTF-8, Latin-1 and UTF-16 of Latin letters. Where *wide* is given, those of every character set
    of PS3.3 C.12.1.1.2, and where it is true UTF-16 of all letters.
    """
    is_ascii = content.isascii()
    yield (content if is_ascii else content.translate(_TO_ASCII)).decode("ascii")
    if not is_ascii:
        lines = content.translate(_TO_LINES).split(b"\n")
        others = b"\n".join(line for line in lines if len(line) >= _MIN_WIDE and not line.isascii())
        if others:
            yield others.decode("utf-8", "replace")
            yield others.decode("latin-1")
            if wide is not None and (len(content) <= _SHORT or is_text(content)):
                yield from (others[:_MOST].decode(encoding, "replace") for encoding in _MORE)
    if latin := interleaved(content):
        yield latin
    if wide is not None and b"\x1b" in content:
        yield from (content[:_MOST].decode(encoding, "replace") for encoding in sorted(_STATEFUL))
    if wide:
        yield from (
            content[start:_MOST].decode(encoding, "replace") for encoding in _WIDE for start in (0, 1)
        )


def glued_in(content: bytes) -> str:
    """Return the words that the end of a length or the begin of a tag makes one letter longer."""
    return " ".join((begin or end[:-1]).decode("ascii") for begin, end in _GLUED.findall(content))


def is_text(content: bytes) -> bool:
    """Whether *content* begins as text of some encoding does: with hardly any control characters."""
    sample = content[:_SHORT]
    if sample[:2] in _MARKS:
        return True
    zeros = sample.count(0)
    if zeros * 5 >= len(sample) * 2:  # UTF-16 of Latin letters has one in two
        sample = sample.replace(b"\0", b"")
        return zeros <= len(sample) * 5 // 4 and len(sample.translate(None, _PRINTABLE)) * 20 <= len(sample)
    return len(sample) - len(sample.translate(None, _CONTROLS)) <= len(sample) // 50


def interleaved(content: bytes) -> str:
    """Return the text of *content* where it is UTF-16 or UTF-32 of Latin letters in part, else nothing."""
    if not _INTERLEAVED.search(content):
        return ""
    return content.replace(b"\0", b"").decode("latin-1")


def _encoded(words: Iterable[str]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    plain: set[bytes] = set()
    stateful: set[bytes] = set()
    for word in sorted(words)[:_MAX_NAMES]:
        for form in {word[:_MAX_LENGTH], lowered(word), word.upper(), word.title()}:
            for encoding in ENCODINGS:
                try:
                    needle = form.encode(encoding)
                except UnicodeError:
                    continue
                if encoding in _STATEFUL:
                    needle = _ESCAPES.sub(b"", needle)
                    if len(needle) >= _MIN_WIDE:
                        stateful.add(needle)
                elif len(needle) >= (_MIN_WIDE if len(form) < MIN_BYTES else MIN_BYTES):
                    plain.add(needle)
    return tuple(plain), tuple(stateful)
