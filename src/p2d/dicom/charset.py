"""Text of data elements from bytes, strictly: what the declared character set cannot decode is an error.

Code extensions (ISO 2022) follow PS3.5 6.1.2.4 and 6.1.2.5; the terms are those of PS3.3 C.12.1.1.2.
"""

import re
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

_ESCAPE: Final = 0x1B
_FRAGMENTS: Final = re.compile(rb"[^\x1b]+|\x1b[^\x1b]*")
_RESETS: Final = re.compile(rb"[\\^=\r\n\f\t]")
_DEFAULTS: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_STATEFUL: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})

CharacterSet = tuple[str, ...]
"""Python codecs for the values of SpecificCharacterSet (0008,0005); the first is the initial one."""

DEFAULT: Final[CharacterSet] = ("ascii",)


class UndecodableText(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """Text that its declared character set cannot decode, or an unknown character set; holds no value."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        super().__init__(f"text not decodable{' at ' + path if path else ''}")


def character_set(value: bytes) -> CharacterSet:
    """Return the codecs for *value* of SpecificCharacterSet (0008,0005).

    Raises:
        UndecodableText: a term that PS3.3 C.12.1.1.2 does not define.

    """
    terms = [term.strip() for term in value.rstrip(b"\0 ").decode("latin-1").split("\\")]
    if terms[0] in STAND_ALONE_ENCODINGS:
        terms = terms[:1]
    try:
        return tuple("ascii" if term in _DEFAULTS else python_encoding[term] for term in terms)
    except KeyError:
        raise UndecodableText("00080005") from None


def decoded(value: bytes, codecs: CharacterSet, *, guess: bool = False) -> str:
    """Return the text of *value*.

    With *guess* bytes that *codecs* cannot decode are read as UTF-8 or else as Latin-1, as archives write
    them without declaring so.

    Raises:
        UndecodableText: not decodable, and *guess* is off.

    """
    try:
        if _ESCAPE not in value:
            return value.decode(codecs[0])
        return "".join(_fragment(part, codecs) for part in _FRAGMENTS.findall(value))
    except (UnicodeError, LookupError):
        if not guess:
            raise UndecodableText from None
    try:
        return value.decode("utf-8")
    except UnicodeError:
        return value.decode("latin-1")


def _fragment(part: bytes, codecs: CharacterSet) -> str:
    """Decode *part*, which holds no escape sequence except at its begin."""
    if part[0] != _ESCAPE:
        return part.decode(codecs[0])
    length = 4 if part[1:3] in {b"$(", b"$)"} else 3
    codec = CODES_TO_ENCODINGS[part[:length]]  # a KeyError is a LookupError: unknown escape sequence
    if codec == "iso8859":
        codec = "ascii"
    elif codec not in codecs:
        raise LookupError(codec)
    if codec in _STATEFUL:
        return part.decode(codec)
    reset = _RESETS.search(part, length)
    end = reset.start() if reset else len(part)
    return part[length:end].decode(codec) + part[end:].decode(codecs[0])
