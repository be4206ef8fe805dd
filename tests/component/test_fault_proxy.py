"""The proxy breaks connections as it is told, and counts what passes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.testing.fault_proxy import Direction, FaultProxy, Frames, Path, until

PDU = b"\x04\x00\x00\x00\x03\xe8" + bytes(1000)


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it receives."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(plain: socket.socket) -> None:
        with plain, suppress(OSError):
            while piece := plain.recv(4096):
                plain.sendall(piece)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def answered(proxy: FaultProxy, content: bytes, seconds: float = 5.0) -> bytes:
    """Send *content* and return what comes back until the end, a reset, or *seconds*."""
    received = b""
    with socket.create_connection((proxy.host, proxy.port), timeout=seconds) as plain, suppress(OSError):
        plain.sendall(content)
        plain.shutdown(socket.SHUT_WR)
        while piece := plain.recv(4096):
            received += piece
    return received


def test_without_faults_everything_passes_and_is_counted(echo: tuple[str, int]) -> None:
    with FaultProxy(echo) as proxy:
        assert answered(proxy, PDU * 5) == PDU * 5
        assert until(lambda: proxy.bytes[Direction.TO_CLIENT] == len(PDU) * 5)
        assert proxy.pdus == {(Direction.TO_SERVER, 4): 5, (Direction.TO_CLIENT, 4): 5}
        assert proxy.connections == 1


@pytest.mark.parametrize("path", [Path(reset_after=1500), Path(close_after=1500), Path(swallow_after=1500)])
def test_no_more_than_so_many_bytes_pass(echo: tuple[str, int], path: Path) -> None:
    with FaultProxy(echo, to_client=path) as proxy:
        received = answered(proxy, PDU * 5, seconds=1)

        assert (PDU * 5).startswith(received)
        assert len(received) <= 1500
        assert received or path.reset_after


def test_a_slow_path_brings_all(echo: tuple[str, int]) -> None:
    with FaultProxy(echo, to_client=Path(delay_seconds=0.01, bytes_per_second=200_000)) as proxy:
        assert answered(proxy, PDU * 5) == PDU * 5


def test_what_is_open_can_be_cut(echo: tuple[str, int]) -> None:
    with FaultProxy(echo) as proxy, socket.create_connection((proxy.host, proxy.port), timeout=5) as plain:
        plain.sendall(PDU)
        plain.recv(10)
        proxy.cut()

        with suppress(OSError):
            while plain.recv(4096):
                pass
        assert until(lambda: not proxy._open)


@given(kinds=st.lists(st.tuples(st.integers(1, 7), st.integers(0, 50))), cuts=st.lists(st.integers(1, 9)))
def test_pdus_are_counted_however_they_are_cut(kinds: list[tuple[int, int]], cuts: list[int]) -> None:
    stream = b"".join(bytes((kind, 0)) + size.to_bytes(4, "big") + bytes(size) for kind, size in kinds)
    frames, found = Frames(), []
    position = 0
    for step in [*cuts, len(stream)]:
        found += frames.kinds(stream[position : position + step])
        position += step

    assert found == [kind for kind, _ in kinds]
