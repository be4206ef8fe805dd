"""Values as bytes: one needle for each character set that writes them differently."""

import re
from collections.abc import Iterable
from typing import Final

from p2d.deid.leak.needles import MIN_BYTES, lowered
from p2d.model.identified import KnownValues

ENCODINGS: Final = (
    "utf-8", "latin-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7",
    "iso8859-8", "iso8859-9", "iso8859-15", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "koi8-r",
    "tis-620", "cp437", "cp850", "mac-roman", "utf-16-le", "utf-16-be", "shift_jis", "euc_jp", "iso2022_jp",
    "euc_kr", "iso2022_kr", "gb18030", "big5",
)  # fmt: skip
_STATEFUL: Final = frozenset({"iso2022_jp", "iso2022_kr"})
_ESCAPES: Final = re.compile(rb"\x1b\$?[()]?[@-Z]|\x0e|\x0f")
_INTERLEAVED: Final = re.compile(rb"\0[ -~\x80-\xff]\0[ -~\x80-\xff]\0[ -~\x80-\xff]\0")
_PARTS: Final = re.compile(r"[^\W\d_]+(?:[\-'\u2019][^\W\d_]+)*")
_MIN_WIDE: Final = 4
_MAX_NAMES: Final = 64
_MAX_LENGTH: Final = 64


class EncodedNeedles:
    """Finds names and places that are not plain ASCII in bytes of any character set."""

    def __init__(self, known: KnownValues) -> None:
        self._plain, self._stateful = _encoded([*known.names, *known.places, *known.contacts])

    def found_in(self, content: bytes) -> bool:
        """Whether *content* holds one of the needles."""
        if self._plain and not content.isascii():
            return any(needle in content for needle in self._plain)
        if self._stateful and b"\x1b" in content:
            bare = _ESCAPES.sub(b"", content)
            return any(needle in bare for needle in self._stateful)
        return False


def interleaved(content: bytes) -> str:
    """Return the text of *content* where it is UTF-16 or UTF-32 of Latin letters in part, else nothing."""
    if not _INTERLEAVED.search(content):
        return ""
    return content.replace(b"\0", b"").decode("latin-1")


def _encoded(values: Iterable[str]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    plain: set[bytes] = set()
    stateful: set[bytes] = set()
    words = {word for value in values for word in _PARTS.findall(value) if not word.isascii()}
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
