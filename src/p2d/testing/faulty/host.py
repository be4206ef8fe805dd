"""What a conversation knows of its archive, and a retrieval of its conversation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from p2d.testing.archive_index import ArchiveIndex
from p2d.testing.faulty.objects import Planned
from p2d.testing.faulty.script import Behaviour, Operation, Reject
from p2d.testing.faulty.stores import Stores
from p2d.testing.faulty.wire import Command, Received, Wire
from p2d.testing.holdings import HeldInstance


class Host(Protocol):
    """The archive."""

    ae_title: str
    peers: dict[str, tuple[str, int]]
    index: ArchiveIndex
    statuses: list[int]
    cancels: int

    @property
    def deflates(self) -> bool:
        """Whether the deflated transfer syntax is taken."""
        ...

    def faults_of(
        self, operation: Operation, level: str = "", keys: Mapping[str, str] | None = None
    ) -> list[Behaviour]:
        """Count a request and return what goes wrong with it."""
        ...

    def rejection(self, called: str, calling: str) -> Reject | None:
        """Return why this pair of AE titles is rejected, or None."""
        ...

    def change(self, added: Iterable[HeldInstance] = (), removed: Iterable[str] = ()) -> None:
        """Hold other instances from now on."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait, or until the archive ends."""
        ...

    def cut(self, wire: Wire) -> None:
        """Remember that the script ended this connection."""
        ...

    def was_cut(self, wire: Wire) -> bool:
        """Whether the script ended this connection."""
        ...

    def restart(self, seconds: float) -> None:
        """Cut every connection and listen again."""
        ...


class Asked(Protocol):
    """The conversation in which objects were asked for."""

    archive: Host
    wire: Wire
    calling: str

    def respond(
        self, message: Received, status: int, more: Command | None = None, content: bytes = b""
    ) -> None:
        """Send a response to *message*."""
        ...

    def cancelled(self) -> bool:
        """Whether a C-CANCEL came."""
        ...

    def gate(
        self,
        faults: Sequence[Behaviour],
        number: int,
        stores: Stores | None = None,
        planned: Planned | None = None,
    ) -> None:
        """Let pass the item after *number* others, or do what the script has for this place."""
        ...
