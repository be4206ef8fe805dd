"""What is proposed when an association to the archive is opened (PS3.8 7.1.1.13, PS3.7 D.3)."""

from collections.abc import Iterable, Sequence
from typing import Final

from p2d.dimse.negotiation import Proposal
from p2d.dimse.pdu import MOST_CONTEXTS
from p2d.dimse.services import (
    FIND,
    GET,
    GET_WITHOUT_BULK_DATA,
    IMPLICIT,
    MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    transfer_syntaxes,
)
from p2d.dimse.user_information import AsynchronousWindow, ExtendedNegotiation, RoleSelection

_RELATIONAL: Final = b"\x01"  # PS3.4 C.5.1.1.1, C.5.2.1.1, C.5.3.1.1: relational queries and retrieval
_OUTSTANDING: Final = 16

ECHO: Final = Proposal(((VERIFICATION, (IMPLICIT,)),))

QUERY: Final = Proposal(
    tuple((uid, (IMPLICIT,)) for uid in (*FIND, *MOVE, VERIFICATION)),
    extended=tuple(ExtendedNegotiation(uid, _RELATIONAL) for uid in (*FIND, *MOVE)),
    window=AsynchronousWindow(_OUTSTANDING, 1),
)
"""For queries and C-MOVE; several queries may be outstanding where the archive grants it."""


def contexts_of(sop_class_uid: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the contexts that one storage class takes.

    Uncompressed syntaxes share one, for either serves; each other has its own, so that the archive can send
    pixel data as it stores them.
    """
    compressed = [uid for uid in transfer_syntaxes(sop_class_uid) if uid not in UNCOMPRESSED]
    return [(sop_class_uid, UNCOMPRESSED), *((sop_class_uid, (uid,)) for uid in compressed)]


def retrieving(sop_classes: Iterable[str], *, without_bulk_data: bool = False) -> Proposal:
    """Return the proposal for C-GET of objects of *sop_classes*, in which we are the Storage SCP.

    *without_bulk_data* proposes PS3.4 Annex Z instead: objects come uncompressed, as they have no pixel data.
    """
    classes = tuple(sop_classes)
    services = (GET_WITHOUT_BULK_DATA,) if without_bulk_data else GET
    contexts: list[tuple[str, tuple[str, ...]]] = [(uid, (IMPLICIT,)) for uid in services]
    for uid in classes:
        contexts += [(uid, UNCOMPRESSED)] if without_bulk_data else contexts_of(uid)
    return Proposal(
        tuple(contexts),
        roles=tuple(RoleSelection(uid, scu=False, scp=True) for uid in classes),
        extended=() if without_bulk_data else tuple(ExtendedNegotiation(uid, _RELATIONAL) for uid in GET),
    )


def groups(sop_classes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return *sop_classes*, in their order, in groups that fit one association each."""
    found: list[tuple[str, ...]] = []
    some: list[str] = []
    left = MOST_CONTEXTS - len(GET)
    for uid in sop_classes:
        needed = len(contexts_of(uid))
        if needed > left:
            found.append(tuple(some))
            some, left = [], MOST_CONTEXTS - len(GET)
        some.append(uid)
        left -= needed
    return [*found, tuple(some)] if some else found
