"""Protocol data units of the upper layer (PS3.8 9.3) as values: encoded and parsed, without a socket.

Parsing trusts no length: whatever does not add up, or is longer than the standard allows, is a
``ProtocolViolation``. No message holds a value.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from p2d.dimse.user_information import Item, UserInformation, item, items, uid_of, violation
from p2d.dimse.user_information import encode as encode_user
from p2d.dimse.user_information import parse as parse_user

HEAD_LENGTH: Final = 6
"""Bytes of type, reserved and length before the body of each PDU."""

LONGEST_ASSOCIATION_PDU: Final = 65_536
LONGEST_SHORT_PDU: Final = 16
PDV_HEAD_LENGTH: Final = 6
MOST_CONTEXTS: Final = 128
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"

_HEAD: Final = struct.Struct(">BxI")
_PDV: Final = struct.Struct(">IBB")
_MOST_SYNTAXES: Final = 64
_FIXED: Final = 68  # of A-ASSOCIATE-RQ and -AC: version, reserved, two AE titles, reserved


class Kind(IntEnum):
    """PDU types (PS3.8 9.3)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Result(IntEnum):
    """Outcome of one presentation context (PS3.8 9.3.3.2)."""

    ACCEPTED = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context as the requestor proposes it; ``context_id`` is odd, 1 to 255."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """The acceptor's answer to one proposed context; ``transfer_syntax`` counts only where accepted."""

    context_id: int
    result: int
    transfer_syntax: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation = field(default_factory=UserInformation)


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 9.3.3); the AE titles repeat those of the request."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ContextResult, ...]
    user: UserInformation = field(default_factory=UserInformation)


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4): result 1 is permanent, 2 transient; 9.3.4 tables the reasons."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT (PS3.8 9.3.8): source 0 is the service user, 2 the provider."""

    source: int = 0
    reason: int = 0


class DataValue(NamedTuple):
    """A presentation data value (PS3.8 9.3.5.1) and its message control header (PS3.8 E.2)."""

    context_id: int
    is_command: bool
    is_last: bool
    fragment: memoryview


RELEASE_RQ: Final = b"\x05\0\0\0\0\x04\0\0\0\0"
RELEASE_RP: Final = b"\x06\0\0\0\0\x04\0\0\0\0"


def longest(kind: int, negotiated: int) -> int:
    """Return the most bytes that the body of a PDU of type *kind* may have, before any of it is read.

    *negotiated* is the maximum length that we offered for P-DATA.

    Raises:
        ProtocolViolation: no such PDU.

    """
    if kind == Kind.P_DATA:
        return negotiated
    if kind in {Kind.ASSOCIATE_RQ, Kind.ASSOCIATE_AC}:
        return LONGEST_ASSOCIATION_PDU
    if Kind.ASSOCIATE_RJ <= kind <= Kind.ABORT:
        return LONGEST_SHORT_PDU
    raise violation("a PDU of unknown type")


def head(content: bytes | bytearray | memoryview, position: int, negotiated: int) -> tuple[int, int]:
    """Return type and body length of the PDU whose head stands at *position*.

    Raises:
        ProtocolViolation: an unknown type, or longer than ``longest`` allows.

    """
    kind, length = _HEAD.unpack_from(content, position)
    if length > longest(kind, negotiated):
        raise violation("a PDU is longer than allowed")
    return kind, length


def encode(one: AssociateRequest | AssociateAccept | AssociateReject | Abort) -> bytes:
    """Return *one* as a whole PDU."""
    if isinstance(one, AssociateRequest):
        return _association(Kind.ASSOCIATE_RQ, one, b"".join(_proposed(each) for each in one.contexts))
    if isinstance(one, AssociateAccept):
        return _association(Kind.ASSOCIATE_AC, one, b"".join(_answered(each) for each in one.contexts))
    if isinstance(one, AssociateReject):
        return struct.pack(">BxIxBBB", Kind.ASSOCIATE_RJ, 4, one.result, one.source, one.reason)
    return struct.pack(">BxIxxBB", Kind.ABORT, 4, one.source, one.reason)


def data(context_id: int, content: bytes, maximum_length: int, *, is_command: bool) -> list[bytes]:
    """Return *content* as P-DATA-TF PDUs (PS3.8 9.3.5), one fragment each, for ``sendmsg`` or ``join``.

    *maximum_length* is what the peer said it takes, 0 for unlimited.
    """
    step = max((maximum_length or 131_072) - PDV_HEAD_LENGTH, 1)
    kind = 0x01 if is_command else 0x00
    pdus = []
    for start in range(0, len(content) or 1, step):
        part = content[start : start + step]
        control = kind | (0x02 if start + step >= len(content) else 0)
        pdus.append(struct.pack(">BxIIBB", Kind.P_DATA, len(part) + 6, len(part) + 2, context_id, control))
        pdus.append(part)
    return pdus


def data_values(body: memoryview) -> Iterator[DataValue]:
    """Yield the presentation data values in the *body* of a P-DATA-TF PDU; fragments are views of it.

    Raises:
        ProtocolViolation: lengths that do not add up.

    """
    position, end = 0, len(body)
    while position < end:
        if end - position < PDV_HEAD_LENGTH:
            raise violation("P-DATA ends within a presentation data value")
        length, context_id, control = _PDV.unpack_from(body, position)
        stop = position + 4 + length
        if length < 2 or stop > end:  # noqa: PLR2004 - context id and message control header
            raise violation("a presentation data value is longer than its PDU, or too short")
        yield DataValue(
            context_id, bool(control & 1), bool(control & 2), body[position + PDV_HEAD_LENGTH : stop]
        )
        position = stop


def parse_request(body: bytes | memoryview) -> AssociateRequest:
    """Return the A-ASSOCIATE-RQ with this *body*.

    Raises:
        ProtocolViolation: it is none (lengths, UIDs, context ids, AE titles, number of contexts).

    """
    called, calling, found = _association_items(body)
    contexts = tuple(_proposed_context(one) for kind, one in found if kind == Item.PROPOSED_CONTEXT)
    if not contexts:
        raise violation("an association request proposes no context")
    _check_ids([one.context_id for one in contexts])
    return AssociateRequest(called, calling, contexts, _user_of(found))


def parse_accept(body: bytes | memoryview) -> AssociateAccept:
    """Return the A-ASSOCIATE-AC with this *body*.

    Raises:
        ProtocolViolation: it is none.

    """
    called, calling, found = _association_items(body)
    contexts = tuple(_context_result(one) for kind, one in found if kind == Item.ACCEPTED_CONTEXT)
    _check_ids([one.context_id for one in contexts])
    return AssociateAccept(called, calling, contexts, _user_of(found))


def parse_reject(body: bytes | memoryview) -> AssociateReject:
    """Return the A-ASSOCIATE-RJ with this *body*.

    Raises:
        ProtocolViolation: too short.

    """
    if len(body) < 4:  # noqa: PLR2004 - PS3.8 table 9-21
        raise violation("an association rejection is too short")
    return AssociateReject(body[1], body[2], body[3])


def parse_abort(body: bytes | memoryview) -> Abort:
    """Return the A-ABORT with this *body*, which may be too short: it ends the association all the same."""
    return Abort(body[2], body[3]) if len(body) >= 4 else Abort(2, 0)  # noqa: PLR2004 - PS3.8 table 9-26


def _association(kind: Kind, one: AssociateRequest | AssociateAccept, contexts: bytes) -> bytes:
    body = b"".join(
        (
            struct.pack(">Hxx16s16s32x", 1, _ae_bytes(one.called_ae_title), _ae_bytes(one.calling_ae_title)),
            item(Item.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode()),
            contexts,
            item(Item.USER_INFORMATION, encode_user(one.user)),
        )
    )
    return _HEAD.pack(kind, len(body)) + body


def _ae_bytes(title: str) -> bytes:
    return title.encode("ascii", "replace")[:16].ljust(16)


def _proposed(one: ProposedContext) -> bytes:
    content = struct.pack(">Bxxx", one.context_id) + item(Item.ABSTRACT_SYNTAX, one.abstract_syntax.encode())
    syntaxes = b"".join(item(Item.TRANSFER_SYNTAX, uid.encode()) for uid in one.transfer_syntaxes)
    return item(Item.PROPOSED_CONTEXT, content + syntaxes)


def _answered(one: ContextResult) -> bytes:
    content = struct.pack(">BxBx", one.context_id, one.result)
    return item(Item.ACCEPTED_CONTEXT, content + item(Item.TRANSFER_SYNTAX, one.transfer_syntax.encode()))


def _association_items(body: bytes | memoryview) -> tuple[str, str, list[tuple[int, bytes]]]:
    content = bytes(body)
    if len(content) < _FIXED or not content[1] & 1:  # bit 0 of the version: PS3.8 9.3.2
        raise violation("an association PDU is too short, or of an unknown version")
    return _ae_title(content[4:20]), _ae_title(content[20:36]), list(items(content[_FIXED:]))


def _ae_title(content: bytes) -> str:
    if any(not 0x20 <= byte < 0x7F for byte in content.rstrip(b"\0")):  # noqa: PLR2004 - PS3.5 6.2, AE
        raise violation("an AE title holds control characters")
    return content.rstrip(b"\0").decode("ascii").strip()


def _check_ids(ids: list[int]) -> None:
    if len(ids) > MOST_CONTEXTS or len(set(ids)) < len(ids) or any(not one & 1 for one in ids):
        raise violation("presentation context ids are even, repeated or too many")


def _proposed_context(content: bytes) -> ProposedContext:
    if len(content) < 4:  # noqa: PLR2004 - PS3.8 table 9-13
        raise violation("a presentation context is too short")
    abstract, syntaxes = "", []
    for kind, one in items(content[4:]):
        if kind == Item.ABSTRACT_SYNTAX:
            abstract = uid_of(one)
        elif kind == Item.TRANSFER_SYNTAX:
            syntaxes.append(uid_of(one))
    if not abstract or not syntaxes or len(syntaxes) > _MOST_SYNTAXES:
        raise violation("a presentation context lacks a syntax, or has too many")
    return ProposedContext(content[0], abstract, tuple(syntaxes))


def _context_result(content: bytes) -> ContextResult:
    if len(content) < 4:  # noqa: PLR2004 - PS3.8 table 9-18
        raise violation("a presentation context is too short")
    if content[2] != Result.ACCEPTED:  # its transfer syntax is not significant (PS3.8 9.3.3.2)
        return ContextResult(content[0], content[2])
    syntaxes = [uid_of(one) for kind, one in items(content[4:]) if kind == Item.TRANSFER_SYNTAX]
    if len(syntaxes) != 1:
        raise violation("an accepted presentation context does not have one transfer syntax")
    return ContextResult(content[0], Result.ACCEPTED, syntaxes[0])


def _user_of(found: list[tuple[int, bytes]]) -> UserInformation:
    return parse_user(content for kind, content in found if kind == Item.USER_INFORMATION)
