"""How requests travel: C-GET over one association, C-MOVE to our Storage SCP (PS3.4 C.4.2, C.4.3)."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from p2d.dimse.association import Association
from p2d.dimse.awaited import Arrived, Awaited, ObjectWriter
from p2d.dimse.command import Command, Operation
from p2d.dimse.delivery import Delivery
from p2d.dimse.identifiers import encoded
from p2d.dimse.listener import StoreScp
from p2d.dimse.messages import Message, Sink, no_sink
from p2d.dimse.negotiation import Proposal
from p2d.dimse.pdu import Context
from p2d.dimse.services import GET, GET_WITHOUT_BULK_DATA, MOVE
from p2d.dimse.status import MISMATCH, NotSupported, is_final
from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.identified import IdentifiedInstance
from p2d.pacs.hierarchy import WORDS
from p2d.pacs.lean.pool import Pool
from p2d.pacs.lean.proposals import QUERY, groups, retrieving
from p2d.pacs.lean.retrieve import GetRefused, Plan, Retrieve, class_groups
from p2d.pacs.lists import Request

_POLL_SECONDS: Final = 0.02
_GRACE_SECONDS: Final = 0.25

Work = Callable[[Association, Request], Iterator[Arrived]]


class Getting:
    """C-GET; *usual* are the SOP classes to try for instances of unknown class, in this order."""

    def __init__(self, pool: Pool, usual: Sequence[str]) -> None:
        self._pool = pool
        self._usual = usual
        self._proposed: tuple[str, ...] = ()

    def __call__(
        self, run: Retrieve, plan: Plan, *, without_bulk_data: bool = False
    ) -> Iterator[IdentifiedInstance]:
        """Yield what comes of the missing instances.

        Raises:
            GetRefused: the archive does not do this kind of C-GET.
            Unavailable, ProtocolViolation: as ``Pacs.retrieve``.

        """
        services = (GET_WITHOUT_BULK_DATA,) if without_bulk_data else GET
        sink = _storing(run.awaited)
        for classes, some in class_groups(run.missing, self._usual, run.known_classes):
            requests = plan([one for one in some if run.awaited.lacks(one.sop_instance_uid)])
            proposal = retrieving(self._widened(classes), without_bulk_data=without_bulk_data)

            def work(association: Association, request: Request) -> Iterator[Arrived]:
                context = association.context(*services)
                association.sink, association.late_seconds = sink, run.late_seconds
                came = False
                for one in association.get(context, _identifier(request), _stored):
                    came = True
                    yield one
                association.sink, run.late_seconds = no_sink, association.late_seconds
                if not came and not _may_store(association):
                    raise GetRefused("pacs", "C-GET brings nothing: the archive took no role for it")

            try:
                for one in over_associations(self._pool, proposal, requests, work):
                    yield run.instance(one)
            except (Misconfigured, NotSupported) as error:
                raise GetRefused(error.field, error.problem, error.remedy) from None

    def _widened(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Return *classes* with those proposed before, as far as they fit: the next patient has others.

        An association is kept for what it proposed; without this each patient would need a new one.
        """
        proposed = self._proposed
        if not set(classes) <= set(proposed):
            both = groups(sorted({*classes, *proposed}))
            proposed = self._proposed = both[0] if len(both) == 1 else tuple(classes)
        return proposed


def _may_store(association: Association) -> bool:
    """Whether the archive agreed that we are Storage SCP on this association (PS3.7 D.3.3.4)."""
    return any(role.scp for role in association.accepted.user.roles)


def _storing(awaited: Awaited) -> Sink:
    def sink(context: Context, command: Command) -> ObjectWriter | None:
        return awaited.writer(context, command) if command.operation == Operation.C_STORE_RQ else None

    return sink


def _stored(message: Message) -> tuple[int, Arrived | None]:
    writer = message.writer
    return (writer.status, writer.arrived) if isinstance(writer, ObjectWriter) else (MISMATCH, None)


def _identifier(request: Request) -> bytes:
    return encoded(WORDS[request.level], request.keys)


class Moving:
    """C-MOVE to *destination*, which is what *store* makes; open only while somebody expects objects."""

    def __init__(
        self, pool: Pool, store: Callable[[], StoreScp], destination: str, idle_seconds: float
    ) -> None:
        self._pool = pool
        self._make_store = store
        self._store: StoreScp | None = None
        self._destination = destination
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._expecting = 0

    def __call__(self, run: Retrieve, plan: Plan) -> Iterator[IdentifiedInstance]:
        """Yield what comes of the missing instances.

        Raises:
            Misconfigured: the archive does not know our AE title as a destination, or our port is in use.
            Unavailable, ProtocolViolation: as ``Pacs.retrieve``.

        """
        with self._open() as store, store.expecting(run.awaited) as delivery:

            def work(association: Association, request: Request) -> Iterator[Arrived]:
                return self._moved(association, request, delivery)

            for one in over_associations(self._pool, QUERY, plan(run.missing), work):
                yield run.instance(one)

    @contextmanager
    def _open(self) -> Iterator[StoreScp]:
        with self._lock:
            if self._store is None:
                self._store = self._make_store()
            store = self._store
            store.start()
            self._expecting += 1
        try:
            yield store
        finally:
            with self._lock:
                self._expecting -= 1
                if not self._expecting:
                    store.stop()

    def _moved(self, association: Association, request: Request, delivery: Delivery) -> Iterator[Arrived]:
        context = association.context(*MOVE)
        allowance = delivery.awaited.allowance
        delivery.message_id = association.move(context, _identifier(request), self._destination)
        latest, left, came, told = time.monotonic(), allowance.left, 0, 0
        has_ended = False
        while not has_ended:
            received = association.receive(_POLL_SECONDS)
            if received is not None:
                _, status = association.response(Operation.C_MOVE_RSP, received)
                has_ended = is_final(status, "C-MOVE")
                told = max(told, received.command.completed or 0)
            while (one := delivery.take(0)) is not None:
                came += 1
                yield one
            if received is not None or allowance.left != left:
                latest, left = time.monotonic(), allowance.left
            elif time.monotonic() - latest > self._idle_seconds:
                raise Unavailable("pacs", "C-MOVE brought nothing for too long", "try again later")
        if came < min(told or request.count, request.count):
            yield from delivery.rest(_GRACE_SECONDS)


def over_associations(
    pool: Pool, proposal: Proposal, requests: Sequence[Request], work: Work
) -> Iterator[Arrived]:
    """Yield what *work* makes of each request in turn; a kept association that proves stale is replaced."""
    waiting = deque(requests)
    while waiting:
        lease = None
        try:
            with pool.lent(proposal) as lease:
                while waiting:
                    pool.check_running()
                    yield from work(lease.association, waiting[0])
                    waiting.popleft()
                    lease.is_kept = False
                pool.check_running()
        except Unavailable:
            if lease is None or not lease.is_kept or lease.association.answered:
                raise
