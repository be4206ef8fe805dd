"""User information of A-ASSOCIATE PDUs (PS3.8 Annex D, PS3.7 D.3.3), and the items it is made of."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from p2d.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, MAX_UID_LENGTH
from p2d.model.errors import ProtocolViolation

_ITEM: Final = struct.Struct(">BxH")
_MOST_ITEMS: Final = 512
_DIGITS: Final = frozenset("0123456789.")


class Item(IntEnum):
    """Types of the items within association PDUs (PS3.8 9.3.2, Annex D; PS3.7 Annex D)."""

    APPLICATION_CONTEXT = 0x10
    PROPOSED_CONTEXT = 0x20
    ACCEPTED_CONTEXT = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS = 0x52
    ASYNCHRONOUS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION = 0x55
    EXTENDED_NEGOTIATION = 0x56


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Roles of the association's requestor for one SOP class (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class AsynchronousWindow:
    """Operations that may be outstanding, invoked and performed; 0 is unlimited (PS3.7 D.3.3.3)."""

    invoked: int = 1
    performed: int = 1


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """Service class application information for one SOP class (PS3.7 D.3.3.5)."""

    sop_class_uid: str
    application: bytes


@dataclass(frozen=True, slots=True)
class UserInformation:
    """What both sides state beside their contexts; ``maximum_length`` 0 is unlimited (PS3.8 D.1)."""

    maximum_length: int = 0
    implementation_class_uid: str = IMPLEMENTATION_CLASS_UID
    implementation_version_name: str = IMPLEMENTATION_VERSION_NAME
    roles: tuple[RoleSelection, ...] = ()
    window: AsynchronousWindow | None = None
    extended: tuple[ExtendedNegotiation, ...] = ()


def violation(problem: str) -> ProtocolViolation:
    """Return the error for an association PDU that breaks the standard."""
    return ProtocolViolation("pacs", problem, "see the peer's conformance statement")


def item(kind: int, content: bytes) -> bytes:
    """Return one item."""
    return _ITEM.pack(kind, len(content)) + content


def items(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each item.

    Raises:
        ProtocolViolation: lengths that do not add up, or too many items.

    """
    position, end, count = 0, len(content), 0
    while position < end:
        count += 1
        if end - position < _ITEM.size or count > _MOST_ITEMS:
            raise violation("items of an association PDU do not add up")
        kind, length = _ITEM.unpack_from(content, position)
        begin = position + _ITEM.size
        position = begin + length
        if position > end:
            raise violation("an item is longer than its association PDU")
        yield kind, content[begin:position]


def uid_of(content: bytes) -> str:
    """Return the UID in *content*.

    Raises:
        ProtocolViolation: there is none.

    """
    text = content.rstrip(b"\0 ").decode("latin-1")
    if not text or len(text) > MAX_UID_LENGTH or not _DIGITS.issuperset(text):
        raise violation("a UID of an association PDU is none")
    return text


def encode(one: UserInformation) -> bytes:
    """Return the content of the user information item."""
    parts = [
        item(Item.MAXIMUM_LENGTH, struct.pack(">I", one.maximum_length)),
        item(Item.IMPLEMENTATION_CLASS, one.implementation_class_uid.encode()),
    ]
    if one.window is not None:
        window = struct.pack(">HH", one.window.invoked, one.window.performed)
        parts.append(item(Item.ASYNCHRONOUS_WINDOW, window))
    for role in one.roles:
        roles = struct.pack(">BB", role.scu, role.scp)
        parts.append(item(Item.ROLE_SELECTION, _counted(role.sop_class_uid) + roles))
    if one.implementation_version_name:
        parts.append(item(Item.IMPLEMENTATION_VERSION, one.implementation_version_name.encode()[:16]))
    parts += [
        item(Item.EXTENDED_NEGOTIATION, _counted(each.sop_class_uid) + each.application)
        for each in one.extended
    ]
    return b"".join(parts)


def parse(contents: Iterable[bytes]) -> UserInformation:
    """Return what is known of the user information; other items are passed over (PS3.8 9.3.1).

    Raises:
        ProtocolViolation: items that do not add up, or a UID that is none.

    """
    maximum, implementation, version, window = 0, "", "", None
    roles: list[RoleSelection] = []
    extended: list[ExtendedNegotiation] = []
    for kind, content in (one for user in contents for one in items(user)):
        if kind == Item.MAXIMUM_LENGTH and len(content) == 4:  # noqa: PLR2004 - PS3.8 D.1
            (maximum,) = struct.unpack(">I", content)
        elif kind == Item.IMPLEMENTATION_CLASS:
            implementation = content.rstrip(b"\0 ").decode("latin-1")[:MAX_UID_LENGTH]
        elif kind == Item.IMPLEMENTATION_VERSION:
            version = content.rstrip(b"\0 ").decode("latin-1")[:16]
        elif kind == Item.ASYNCHRONOUS_WINDOW and len(content) == 4:  # noqa: PLR2004 - PS3.7 D.3.3.3
            window = AsynchronousWindow(*struct.unpack(">HH", content))
        elif kind == Item.ROLE_SELECTION:
            uid, rest = _counted_uid(content)
            if len(rest) == 2:  # noqa: PLR2004 - PS3.7 D.3.3.4
                roles.append(RoleSelection(uid, bool(rest[0]), bool(rest[1])))
        elif kind == Item.EXTENDED_NEGOTIATION:
            extended.append(ExtendedNegotiation(*_counted_uid(content)))
    return UserInformation(maximum, implementation, version, tuple(roles), window, tuple(extended))


def _counted(uid: str) -> bytes:
    return struct.pack(">H", len(uid)) + uid.encode()


def _counted_uid(content: bytes) -> tuple[str, bytes]:
    length = int.from_bytes(content[:2], "big")
    if len(content) < 2 + length:
        raise violation("a UID is longer than its item")
    return uid_of(content[2 : 2 + length]), content[2 + length :]
