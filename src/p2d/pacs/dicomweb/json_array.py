"""Split a JSON array that arrives in chunks into its objects, one at a time (RFC 8259); no I/O.

A series of thousands of instances never stands in memory as a whole: one object does, and it has a cap.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

LONGEST_OBJECT: Final = 64 << 20
"""Bytes of one object at most: the header of an instance, its bulk data left out."""

_OUTSIDE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
"""A whole string, or one mark; a quotation mark alone begins a string that has not arrived whole."""
_INSIDE: Final = re.compile(rb'["\\]')
_BLANK: Final = b" \t\r\n"
_BEFORE: Final = b"\xef\xbb\xbf \t\r\n"  # a byte order mark may be ignored (RFC 8259 8.1)
_DEEPEST: Final = 200

JsonObject = dict[str, Any]


class NotJson(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """Bytes that are no JSON array of objects, or an object too long; holds no value."""


class ArraySplitter:
    """Takes chunks, gives the bytes of each object of the array as soon as it is whole."""

    def __init__(self, longest: int = LONGEST_OBJECT) -> None:
        self._longest = longest
        self._waiting = bytearray()
        self._seen = 0
        """Bytes of ``_waiting`` that were looked at; from there on scanning goes on."""
        self._begin = 0
        """Where the object being read begins, or what stands between two objects."""
        self._depth = 0
        self._in_string = False
        self._has_objects = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing has arrived at all, or one whole array."""
        return self._depth in {-1, 0} and not self._waiting.strip()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the objects that *chunk* completes.

        Raises:
            NotJson: something other than objects in an array, nested too deep, or an object too long.

        """
        self._waiting += chunk
        while (mark := self._next_mark()) is not None:
            position, character = mark
            if character in b"{[":
                self._open(position, character)
            else:
                yield from self._close(position, character)
        del self._waiting[: self._begin]
        self._seen -= self._begin
        self._begin = 0
        if len(self._waiting) > self._longest:
            raise NotJson("an object is longer than any limit")

    def _next_mark(self) -> tuple[int, bytes] | None:
        """Return place and character of the next bracket or brace outside strings."""
        waiting = self._waiting
        while True:
            if self._in_string:
                found = _INSIDE.search(waiting, self._seen)
                if found is None:
                    self._seen = len(waiting)
                    return None
                if found[0] == b"\\":
                    if found.end() == len(waiting):  # the escaped character is still to come
                        self._seen = found.start()
                        return None
                    self._seen = found.end() + 1
                    continue
                self._in_string = False
                self._seen = found.end()
            found = _OUTSIDE.search(waiting, self._seen)
            if found is None:
                self._seen = len(waiting)
                return None
            self._seen = found.end()
            if len(found[0]) == 1 and found[0] != b'"':
                return found.start(), found[0]
            if self._depth < 2:  # noqa: PLR2004 - within the array, outside its objects
                raise NotJson("an array of something other than objects")
            self._in_string = len(found[0]) == 1

    def _open(self, position: int, character: bytes) -> None:
        if self._depth == 0 and character == b"[" and not self._waiting[:position].strip(_BEFORE):
            self._begin = position + 1
        elif self._depth == 1 and character == b"{":
            self._check_between(position, (b",",) if self._has_objects else (b"",))
            self._has_objects = True
            self._begin = position
        elif self._depth < 2:  # noqa: PLR2004 - as above
            raise NotJson("no array of objects")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotJson("nested too deep")

    def _close(self, position: int, character: bytes) -> Iterator[bytes]:
        self._depth -= 1
        if self._depth == 1 and character == b"}":
            whole = bytes(self._waiting[self._begin : position + 1])
            self._begin = position + 1
            if len(whole) > self._longest:
                raise NotJson("an object is longer than any limit")
            yield whole
        elif self._depth == 0 and character == b"]":
            self._check_between(position, (b"", b",") if self._has_objects else (b"",))
            self._begin = position + 1
            self._depth = -1
        elif self._depth < 2:  # noqa: PLR2004 - as above
            raise NotJson("brackets do not match")

    def _check_between(self, position: int, allowed: tuple[bytes, ...]) -> None:
        if self._waiting[self._begin : position].strip(_BLANK) not in allowed:
            raise NotJson("an array of something other than objects")


def objects_of(chunks: Iterable[bytes], longest: int = LONGEST_OBJECT) -> Iterator[JsonObject]:
    """Yield the objects of the JSON array in *chunks*; nothing at all is an empty array.

    Raises:
        NotJson: as ``ArraySplitter.feed``; also an array that ends too early, or text after it.

    """
    splitter = ArraySplitter(longest)
    for chunk in chunks:
        for content in splitter.feed(chunk):
            yield _parsed(content)
    if not splitter.is_whole:
        raise NotJson("ends within the array, or text follows it")


def _parsed(content: bytes) -> JsonObject:
    try:
        found: JsonObject = json.loads(content)
    except (ValueError, RecursionError):
        raise NotJson("not readable as JSON in UTF-8") from None
    return found
