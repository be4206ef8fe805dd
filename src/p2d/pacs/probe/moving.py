"""C-MOVE to our own Storage SCP, for a probe: the archive has to know our AE title and port."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from p2d.dimse.awaited import Arrived, Awaited
from p2d.dimse.command import Operation
from p2d.dimse.identifiers import encoded
from p2d.dimse.listener import StoreScp
from p2d.dimse.negotiation import Peer
from p2d.dimse.services import MOVE
from p2d.dimse.status import is_final
from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.level import Level
from p2d.pacs.probe.asking import Asking, Bill, query_proposal
from p2d.pacs.probe.known import WORDS

_POLL_SECONDS: Final = 0.02
_GRACE_SECONDS: Final = 0.5


class Mover:
    """C-MOVE over one association; objects come to the Storage SCP that *open_store* makes."""

    name = "C-MOVE"

    def __init__(self, peer: Peer, bill: Bill, open_store: Callable[[], StoreScp]) -> None:
        """Associate and open our port.

        Raises:
            Misconfigured: the archive does not accept C-MOVE, or our port is in use.

        """
        self._bill, self._peer = bill, peer
        with ExitStack() as stack:
            self._asking = Asking(peer, query_proposal(relational=False), bill)
            stack.callback(self._asking.close)
            if not any(self._asking.accepts(root) for root in MOVE):
                raise Misconfigured("pacs", "does not accept C-MOVE")
            self._store = open_store()
            self._store.start()
            stack.pop_all()

    def retrieve(self, level: Level, keys: dict[str, str], uids: Sequence[str]) -> list[Arrived]:
        """See ``Retriever``."""
        self._bill.admit(0, len(uids))
        association = self._asking.association
        root = next(uid for uid in MOVE if self._asking.accepts(uid))
        awaited = Awaited(uids, pixels=False)
        arrived: list[Arrived] = []
        self._bill.retrieves += 1
        with self._store.expecting(awaited) as delivery:
            delivery.message_id = association.move(
                association.context(root), encoded(WORDS[level], keys), self._peer.calling_ae_title
            )
            status = None
            latest = time.monotonic()
            while status is None or not is_final(status, self.name):
                received = association.receive(_POLL_SECONDS)
                if received is not None:
                    _, status = association.response(Operation.C_MOVE_RSP, received)
                some = [one for one in iter(lambda: delivery.take(0), None) if one is not None]
                arrived += some
                if received is not None or some:
                    latest = time.monotonic()
                elif time.monotonic() - latest > self._peer.answer_seconds:
                    raise Unavailable("pacs", "C-MOVE brought nothing for too long", "try again later")
            arrived += delivery.rest(_GRACE_SECONDS) if len(arrived) < len(uids) else []
        self._bill.images += len(arrived)
        self._bill.octets += sum(len(one.content) + one.dropped_bytes for one in arrived)
        return arrived

    def close(self) -> None:
        """Close our port and end the association."""
        self._store.stop()
        self._asking.close()
