"""Split a multipart/related body (RFC 2046 5.1, PS3.18 8.6.1.2) that arrives in chunks; no I/O.

Lengths stated by the peer are ignored: a part ends where its delimiter stands. At most one delimiter's length
is held back, whatever the length of a part.
"""

import re
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Final

_LONGEST_HEADERS: Final = 16_384
_LONGEST_PREAMBLE: Final = 65_536
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


class NotMultipart(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """Bytes or a content type that are no multipart body; holds no value."""


def media_type_of(content_type: str) -> tuple[str, dict[str, str]]:
    """Return the media type of a Content-Type field in lower case, and its parameters."""
    message = EmailMessage()
    try:
        message["Content-Type"] = content_type[:1024]
        return message.get_content_type(), dict(message["Content-Type"].params)
    except (ValueError, KeyError, IndexError, RecursionError):  # the latter: nested comments
        return "", {}


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type field of multipart/related states.

    Raises:
        NotMultipart: another type, or a boundary that RFC 2046 does not allow.

    """
    media_type, parameters = media_type_of(content_type)
    boundary = parameters.get("boundary", "")
    if media_type != "multipart/related" or not _BOUNDARY.fullmatch(boundary):
        raise NotMultipart("not multipart/related with a boundary")
    return boundary.encode("ascii")


Piece = bytes | None
"""Bytes of a part, or None where a part has ended."""


class PartSplitter:
    """Takes chunks; gives the bytes of each part as they come, and None after the last of them."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._waiting = bytearray(b"\r\n")  # the first delimiter may stand at the very begin
        self._state = self._preamble
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether the closing delimiter was seen; without it the body is cut off."""
        return self._is_over

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """Yield what *chunk* brings of the parts.

        Raises:
            NotMultipart: no delimiter where one should be, or headers of a part without end.

        """
        self._waiting += chunk
        while not self._is_over:
            before = (self._state, len(self._waiting))
            yield from self._state()
            if before == (self._state, len(self._waiting)):
                return

    def _preamble(self) -> Iterator[Piece]:
        place = self._waiting.find(self._delimiter)
        if place >= 0:
            del self._waiting[: place + len(self._delimiter)]
            self._state = self._after_delimiter
        elif len(self._waiting) > _LONGEST_PREAMBLE:
            raise NotMultipart("no part begins")
        yield from ()

    def _after_delimiter(self) -> Iterator[Piece]:
        """Decide whether a part follows or the body is over."""
        if self._waiting.startswith(b"--"):
            self._is_over = True
            self._waiting.clear()
        elif len(self._waiting) > 1:
            line, found, _ = self._waiting.partition(b"\r\n")
            if line.strip(b" \t") or (not found and len(self._waiting) > _LONGEST_HEADERS):
                raise NotMultipart("text after a delimiter")
            if found:
                del self._waiting[: len(line)]  # the line end stays: headers may be absent
                self._state = self._headers
        yield from ()

    def _headers(self) -> Iterator[Piece]:
        end = self._waiting.find(b"\r\n\r\n")
        if end < 0 and len(self._waiting) > _LONGEST_HEADERS:
            raise NotMultipart("headers of a part without end")
        if end >= 0:
            self._check(bytes(self._waiting[:end]))
            del self._waiting[: end + 4]
            self._state = self._body
        yield from ()

    def _check(self, headers: bytes) -> None:
        """Refuse encodings: the bytes of a part are taken as they are."""
        for line in headers.lower().split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip() in {b"content-transfer-encoding", b"content-encoding"} and value.strip() not in {
                b"binary", b"8bit", b"7bit", b"identity",
            }:  # fmt: skip
                raise NotMultipart("a part is encoded")

    def _body(self) -> Iterator[Piece]:
        place = self._waiting.find(self._delimiter)
        if place >= 0:
            if place:
                yield bytes(self._waiting[:place])
            yield None
            del self._waiting[: place + len(self._delimiter)]
            self._state = self._after_delimiter
            return
        safe = len(self._waiting) - len(self._delimiter) + 1
        if safe > 0:
            yield bytes(self._waiting[:safe])
            del self._waiting[:safe]
