"""Feed our Storage SCP any bytes at all: the harness that property tests and fuzzers share."""

import contextlib
import socket
from dataclasses import replace
from typing import Final

from p2d.dimse import pdu
from p2d.dimse.acceptor import Acceptor, Rules
from p2d.dimse.awaited import Arrived, Awaited, Limits
from p2d.dimse.messages import encoded
from p2d.dimse.pdu import AssociateRequest, ProposedContext
from p2d.dimse.services import EXPLICIT, IMPLICIT, VERIFICATION
from p2d.dimse.wire import Wire
from p2d.model.errors import P2DError
from p2d.testing.datasets import CT_IMAGE_STORAGE, ct
from p2d.testing.sender import ARCHIVE, GATEWAY, content_of, storage_request

UIDS: Final = ("1.2.826.0.1.3680043.8.498.77.1", "1.2.826.0.1.3680043.8.498.77.2")
LIMITS: Final = Limits(
    object_bytes=1 << 16, retrieve_bytes=1 << 18, header_bytes=1 << 14, in_memory_bytes=256
)
_RULES: Final = Rules(GATEWAY, frozenset({ARCHIVE}), pdu_bytes=1 << 14, idle_seconds=5, pdu_seconds=5)
_FRAGMENT: Final = 200


def request() -> bytes:
    """Return the A-ASSOCIATE-RQ with which a good conversation begins: C-STORE of CT images, C-ECHO."""
    contexts = (
        ProposedContext(1, CT_IMAGE_STORAGE, (EXPLICIT,)),
        ProposedContext(3, CT_IMAGE_STORAGE, (IMPLICIT,)),
        ProposedContext(5, VERIFICATION, (IMPLICIT,)),
    )
    return pdu.encode(AssociateRequest(GATEWAY, ARCHIVE, contexts))


def conversation() -> list[bytes]:
    """Return the PDUs of a good conversation: two objects, one in each encoding, and the release."""
    pieces = [request()]
    for context_id, uid, syntax in zip((1, 3), UIDS, (EXPLICIT, IMPLICIT), strict=True):
        command = storage_request(uid, message_id=context_id, sop_class_uid=CT_IMAGE_STORAGE)
        content = content_of(ct(SOPInstanceUID=uid), syntax)
        sent = encoded(context_id, replace(command, has_data_set=True), content, _FRAGMENT)
        pieces += [b"".join(sent[start : start + 2]) for start in range(0, len(sent), 2)]
    return [*pieces, pdu.RELEASE_RQ]


def converse(received: bytes, *, pixels: bool = True) -> list[Arrived]:
    """Let the acceptor read *received*, then the end of the connection; return the objects it kept.

    Whatever it raises that is no ``P2DError`` is raised here: a fault.
    """
    kept: list[Arrived] = []

    def deliver(one: Arrived) -> int:
        kept.append(one)
        awaited.delivered(one.sop_instance_uid)
        return 0

    awaited = Awaited(UIDS, pixels=pixels, limits=LIMITS)
    ours, theirs = connected_pair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        with contextlib.suppress(OSError):
            theirs.sendall(received)
            theirs.shutdown(socket.SHUT_WR)
        wire = Wire(ours, send_seconds=5)
        acceptor = Acceptor(
            wire, _RULES, lambda context, command: awaited.writer(context, command, deliver), lambda: True
        )
        with contextlib.suppress(P2DError):
            acceptor.serve(5)
        wire.close()
    return kept


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets connected by TCP; what is sent on one is buffered until the other reads it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        ours, _ = listening.accept()
    return ours, theirs
