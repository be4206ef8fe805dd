"""Negotiate an association as its requestor (PS3.8 7.1, 9.3.2; PS3.7 Annex D)."""

import ssl
from dataclasses import dataclass
from typing import Final

from p2d.dimse import pdu
from p2d.dimse.command import LAST_MESSAGE_ID
from p2d.dimse.pdu import AssociateAccept, AssociateRequest, Context, Kind, ProposedContext
from p2d.dimse.user_information import (
    AsynchronousWindow,
    ExtendedNegotiation,
    RoleSelection,
    UserInformation,
)
from p2d.dimse.wire import LONGEST_PDU, Wire
from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable

_PERMANENT: Final = 1  # PS3.8 9.3.4, result


@dataclass(frozen=True, slots=True)
class Peer:
    """The application entity to associate with, our own title, and how long we wait.

    ``connect_seconds`` bound connection, TLS handshake and negotiation each, ``answer_seconds`` the silence
    before each message and the arrival of each PDU, ``request_seconds`` a request from its sending to its
    final response, whatever comes meanwhile. ``pdu_bytes`` is the longest P-DATA that we offer to take;
    ``server_name`` the name in the peer's certificate where it is not its host.
    """

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    connect_seconds: float = 5.0
    answer_seconds: float = 60.0
    pdu_bytes: int = LONGEST_PDU
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    request_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What we propose: (abstract syntax, transfer syntaxes) for each context, roles, negotiations."""

    contexts: tuple[tuple[str, tuple[str, ...]], ...]
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    window: AsynchronousWindow | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides agreed on: contexts by id, how many operations may be outstanding, the whole answer."""

    contexts: dict[int, Context]
    window: int
    accepted: AssociateAccept


def negotiated(wire: Wire, peer: Peer, proposal: Proposal) -> Agreement:
    """Propose *proposal* over *wire* and return what *peer* agreed to.

    Raises:
        Misconfigured: the peer rejects it for good, or accepts none of the contexts.
        Unavailable: no answer in time, or rejected for now.
        ProtocolViolation: its answer is none.

    """
    contexts = tuple(
        ProposedContext(2 * index + 1, abstract, syntaxes)
        for index, (abstract, syntaxes) in enumerate(proposal.contexts)
    )
    user = UserInformation(
        maximum_length=peer.pdu_bytes,
        roles=proposal.roles,
        window=proposal.window,
        extended=proposal.extended,
    )
    wire.send(pdu.encode(AssociateRequest(peer.called_ae_title, peer.calling_ae_title, contexts, user)))
    received = wire.read(peer.connect_seconds)
    if received is None:
        raise Unavailable(
            "pacs", f"{peer.called_ae_title} does not answer", "check host and port; try again later"
        )
    if received.kind != Kind.ASSOCIATE_AC:
        raise _refused(peer, received.kind, received.body)
    accepted = pdu.parse_accept(received.body)
    try:
        agreed = _agreed(peer, contexts, accepted)
    except P2DError:
        wire.abort()
        raise
    return Agreement(agreed, _window(proposal.window, accepted.user.window), accepted)


def _agreed(
    peer: Peer, contexts: tuple[ProposedContext, ...], accepted: AssociateAccept
) -> dict[int, Context]:
    proposed = {one.context_id: one for one in contexts}
    agreed = {}
    for one in accepted.contexts:
        if one.result != pdu.Result.ACCEPTED:
            continue
        ours = proposed.get(one.context_id)
        if ours is None or one.transfer_syntax not in ours.transfer_syntaxes:
            raise ProtocolViolation("pacs", "the archive accepted a context that was not proposed")
        agreed[one.context_id] = Context(one.context_id, ours.abstract_syntax, one.transfer_syntax)
    if not agreed:
        raise Misconfigured(
            "pacs",
            f"{peer.called_ae_title} accepts none of the services asked for",
            "let the archive allow them for our AE",
        )
    return agreed


def _window(asked: AsynchronousWindow | None, granted: AsynchronousWindow | None) -> int:
    if asked is None or granted is None:
        return 1
    return min(asked.invoked or LAST_MESSAGE_ID, granted.invoked or LAST_MESSAGE_ID)


def _refused(peer: Peer, kind: int, body: memoryview) -> P2DError:
    called = peer.called_ae_title
    if kind == Kind.ABORT:
        return Unavailable("pacs", f"{called} aborted the negotiation", "check host and port")
    if kind != Kind.ASSOCIATE_RJ:
        return ProtocolViolation("pacs", f"{called} answered the association with another PDU")
    rejected = pdu.parse_reject(body)
    if rejected.result == _PERMANENT:
        return Misconfigured(
            "pacs",
            f"{called} rejects us (source {rejected.source}, reason {rejected.reason})",
            f"register AE title {peer.calling_ae_title} there; check called_ae_title",
        )
    return Unavailable("pacs", f"{called} rejects associations for now", "try again later")
