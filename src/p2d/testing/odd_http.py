"""An HTTP server that answers every request with one scripted, possibly odd, answer."""

import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Self

_PATIENCE = 10.0


class OddHttpServer:
    """Listens on a free loopback port while its ``with`` block lasts; every answer ends the connection.

    *claimed_length* is a Content-Length that differs from the body's, *banner* replaces the whole answer,
    *drip_seconds* is the pause before each byte of the answer.
    ``request_lines`` keeps the first line of each request, so that a test can look for what leaked into URLs.
    """

    def __init__(
        self,
        status: int,
        media_type: str,
        body: bytes,
        *,
        claimed_length: int | None = None,
        banner: bytes = b"",
        drip_seconds: float = 0.0,
    ) -> None:
        length = len(body) if claimed_length is None else claimed_length
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {media_type}\r\n"
            f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        self._drip_seconds = drip_seconds
        self._is_over = threading.Event()
        self._answer = banner or head.encode("ascii") + body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.request_lines = b""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(_PATIENCE)
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as stream:
                self.request_lines += stream.readline()
                length = 0
                while (line := stream.readline().strip().lower()) != b"":
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                stream.read(length)
                for piece in self._pieces():
                    connection.sendall(piece)
        except OSError:
            return

    def _pieces(self) -> Iterator[bytes]:
        if not self._drip_seconds:
            yield self._answer
            return
        for byte in self._answer:
            if self._is_over.wait(self._drip_seconds):
                return
            yield bytes([byte])
