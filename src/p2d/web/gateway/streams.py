"""Answers that stream: their errors are still statuses at the first part, their ends are certain."""

import itertools
import json
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

import anyio
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

_T = TypeVar("_T")


class ClosedStream(StreamingResponse):
    """Streams a generator and closes it when the answer ends, also when the caller went away.

    Without that a generator that nobody asks any more would hold its files, locks and audit record until the
    interpreter happens to collect it.
    """

    def __init__(
        self,
        parts: Iterator[bytes] | Iterator[str],
        media_type: str,
        *,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._parts = _through(parts)
        super().__init__(self._parts, status_code, headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then close what it came from."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._parts.close)


def begun(items: Iterator[_T]) -> Generator[_T, None, None]:
    """Take the first item now, while an error can still be answered by its status."""
    first = list(itertools.islice(items, 1))

    def all_of_them() -> Generator[_T, None, None]:
        yield from first
        yield from items

    return all_of_them()


def json_list(items: Iterable[object]) -> Iterator[str]:
    """Yield *items* as one JSON list, a piece each."""
    yield "["
    for number, item in enumerate(items):
        yield ("," if number else "") + json.dumps(item)
    yield "]"


def _through(parts: Iterator[bytes] | Iterator[str]) -> Generator[bytes | str, None, None]:
    yield from parts  # hands the end on to a generator
