"""Text of encapsulated documents and of compressed streams, within limits of size and depth."""

from collections.abc import Iterator


def texts_of_document(content: bytes, mime_type: str) -> Iterator[str | bytes]:
    """Yield what can be read of a document."""
    yield content


def streams_in(content: bytes) -> Iterator[bytes]:
    """Yield the inflated content of compressed streams inside *content*."""
    yield from ()
