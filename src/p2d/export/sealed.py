"""Files encrypted in chunks with AES-256-GCM: what was swapped, cut or changed does not open.

Each chunk has a random nonce of its own. Its associated data are the file's place, the chunk's number and
whether it is the last one, so that a chunk opens at its own place only and a cut file is noticed.
"""

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from p2d.model.errors import ProtocolViolation

KEY_BYTES: Final = 32
CHUNK: Final = 1 << 20
_NONCE: Final = 12
_BLOCK: Final = _NONCE + CHUNK + 16


def seal(key: bytes, place: str, parts: Iterable[bytes | memoryview], file: BinaryIO) -> None:
    """Write *parts* encrypted to *file*, which is to be known as *place*; one chunk (1 MiB) is in memory."""
    cipher = AESGCM(key)
    for number, (chunk, is_last) in enumerate(_chunks(parts)):
        nonce = os.urandom(_NONCE)
        file.write(nonce + cipher.encrypt(nonce, chunk, _about(place, number, is_last=is_last)))


def unseal(key: bytes, place: str, file: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of what ``seal`` wrote, each after it was proved.

    Raises:
        ProtocolViolation: changed, cut, of another place or of another key.

    """
    cipher = AESGCM(key)
    block, number = file.read(_BLOCK), 0
    while True:
        following = file.read(_BLOCK) if len(block) == _BLOCK else b""
        try:
            chunk = cipher.decrypt(
                block[:_NONCE], block[_NONCE:], _about(place, number, is_last=not following)
            )
        except (InvalidTag, ValueError):
            raise ProtocolViolation(
                "hold", "a file was changed, cut or swapped, or the key is another", "ask for the images anew"
            ) from None
        yield chunk
        if not following:
            return
        block, number = following, number + 1


def _about(place: str, number: int, *, is_last: bool) -> bytes:
    return b"%s\0%d\0%d" % (place.encode(), number, is_last)


def _chunks(parts: Iterable[bytes | memoryview]) -> Iterator[tuple[bytes, bool]]:
    """Yield full chunks, then what is left, which may be empty, as the last one."""
    filled = bytearray()
    for part in parts:
        view, start = memoryview(part), 0
        while start < len(view):
            if len(filled) == CHUNK:
                yield bytes(filled), False
                filled.clear()
            taken = view[start : start + CHUNK - len(filled)]
            filled += taken
            start += len(taken)
    yield bytes(filled), True
