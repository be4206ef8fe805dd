"""Answers that stream end for certain, also when the caller goes away."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from p2d.model.errors import Unavailable
from p2d.web.gateway.streams import ClosedStream, begun


class Source:
    def __init__(self, parts: int) -> None:
        self.left = parts
        self.is_closed = False

    def parts(self) -> Iterator[bytes]:
        try:
            while self.left:
                self.left -= 1
                yield b"x"
        finally:
            self.is_closed = True


def answered(source: Source, version: str, *, sends: int, is_gone: bool) -> None:
    """Run the answer; the caller goes away after *sends* messages."""
    response = ClosedStream(source.parts(), "application/zip")
    sent: list[Any] = []

    async def ask() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, str]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if is_gone and len(sent) >= sends:
                gone.set()
                if version == "2.4":
                    raise OSError
            await asyncio.sleep(0)

        await response({"type": "http", "asgi": {"spec_version": version}}, receive, send)

    asyncio.run(ask())


@pytest.mark.parametrize("sends", [2, 5])
def test_a_caller_who_goes_away_closes_the_source(sends: int) -> None:
    source = Source(1_000_000)

    answered(source, "2.3", sends=sends, is_gone=True)

    assert source.is_closed
    assert source.left > 0


def test_a_send_that_fails_closes_the_source() -> None:
    source = Source(1_000_000)

    with pytest.raises(Exception):  # noqa: B017, PT011 - the server's own kind of disconnect
        answered(source, "2.4", sends=3, is_gone=True)

    assert source.is_closed


def test_a_whole_answer_closes_the_source() -> None:
    source = Source(3)

    answered(source, "2.3", sends=0, is_gone=False)

    assert (source.is_closed, source.left) == (True, 0)


def test_the_first_part_is_taken_at_once() -> None:
    def failing() -> Iterator[bytes]:
        raise Unavailable("pacs", "is silent")
        yield b""

    with pytest.raises(Unavailable):
        begun(failing())
    assert list(begun(iter([1, 2, 3]))) == [1, 2, 3]
    assert list(begun(iter([]))) == []
