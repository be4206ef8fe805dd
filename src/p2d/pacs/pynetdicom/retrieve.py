"""C-GET and C-MOVE (PS3.4 C.4.2, C.4.3) by lists of instances, reconciled by UID and never by status."""

import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from p2d.dimse.identifiers import encoded
from p2d.dimse.services import GET, MOVE
from p2d.dimse.status import is_final
from p2d.model.errors import Unavailable
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance
from p2d.model.level import Level
from p2d.pacs.pynetdicom.association import Association
from p2d.pacs.pynetdicom.collection import Collection
from p2d.pacs.pynetdicom.contexts import CLASSES_PER_ASSOCIATION
from p2d.pacs.pynetdicom.messages import GET_RESPONSE, MOVE_RESPONSE, STORE_REQUEST, Message
from p2d.pacs.pynetdicom.requests import (
    COMMAND,
    DESTINATION,
    GET_REQUEST,
    LOW,
    MOVE_REQUEST,
    PRIORITY,
    RESPONDS_TO,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STATUS,
    STORE_RESPONSE,
)
from p2d.pacs.pynetdicom.store_scp import Delivery
from p2d.pacs.query import SOP_CLASS_UID as SOP_CLASS
from p2d.pacs.query import UNIQUE

_POLL_SECONDS: Final = 0.02


@dataclass(slots=True)
class Grace:
    """Seconds that one retrieve may yet wait for objects which the archive says it has sent."""

    left: float = 1.0

    @contextmanager
    def spent(self) -> Iterator[float]:
        """Give what is left, as a deadline, and take away what was waited until the context ends."""
        started = time.monotonic()
        try:
            yield started + self.left
        finally:
            self.left -= time.monotonic() - started


def by_classes(instances: Sequence[IdentifiedHeader]) -> list[tuple[frozenset[str], list[IdentifiedHeader]]]:
    """Group *instances* so that the SOP classes of each group fit one association; unknown ones are one."""
    by_class: dict[str, list[IdentifiedHeader]] = {}
    for header in instances:
        by_class.setdefault(text_of(header.elements, SOP_CLASS), []).append(header)
    groups = [(frozenset[str](), unknown)] if (unknown := by_class.pop("", [])) else []
    classes = sorted(by_class)
    for start in range(0, len(classes), CLASSES_PER_ASSOCIATION):
        some = classes[start : start + CLASSES_PER_ASSOCIATION]
        groups.append((frozenset(some), [header for one in some for header in by_class[one]]))
    return groups


def get(
    association: Association, keys: dict[str, str], collection: Collection, grace: Grace
) -> Iterator[IdentifiedInstance]:
    """Yield what one C-GET brings; the archive's stores are answered on the same association.

    Objects that the final response counts and that have not come are waited for within *grace*.

    Raises:
        Unavailable: aborted, timed out or out of resources.
        ProtocolViolation: a status that PS3.4 C.4.3.1.4 does not define.

    """
    context = association.context(*GET)
    message_id = association.send({COMMAND: GET_REQUEST, PRIORITY: LOW}, context, encoded("IMAGE", keys))
    before, response = collection.stores, Message()
    has_ended = False
    while not has_ended:
        message = association.receive()
        if message is not None and message.command == STORE_REQUEST:
            instance = _answered(association, message, collection)
            if instance is not None:
                yield instance
        else:
            response = association.response(GET_RESPONSE, message_id, message)
            has_ended = is_final(response.status, "C-GET")
    with grace.spent() as deadline:
        while _is_owed(response, before, keys, collection) and time.monotonic() < deadline:
            late = association.receive(deadline - time.monotonic())
            if late is None:
                return
            if late.command != STORE_REQUEST:
                association.response(GET_RESPONSE, message_id, late)
            elif (instance := _answered(association, late, collection)) is not None:
                yield instance


def _is_owed(response: Message, before: int, keys: dict[str, str], collection: Collection) -> bool:
    """Whether the final *response* counts more objects than came since *before*, and some are missing."""
    came = collection.stores - before
    return response.completed + response.warned > came and collection.lacks(
        keys[UNIQUE[Level.INSTANCE]].split("\\")
    )


def _answered(association: Association, store: Message, collection: Collection) -> IdentifiedInstance | None:
    context = association.contexts.get(store.context_id)
    syntax = str(context.transfer_syntax[0]) if context is not None else ""
    status, instance = collection.receive(store.sop_instance_uid, store.sop_class_uid, syntax, store.content)
    response: dict[int, int | str] = {
        SOP_CLASS_UID: store.sop_class_uid,
        COMMAND: STORE_RESPONSE,
        RESPONDS_TO: store.message_id,
        STATUS: status,
        SOP_INSTANCE_UID: store.sop_instance_uid,
    }
    association.reply(response, store.context_id)
    return instance


def move(
    association: Association,
    keys: dict[str, str],
    delivery: Delivery,
    destination: str,
    idle_seconds: float,
    grace: Grace,
) -> Iterator[IdentifiedInstance]:
    """Yield what one C-MOVE to *destination*, our own Storage SCP, brings; for *grace* see ``get``.

    Raises:
        Unavailable: aborted, out of resources, or neither object nor answer for *idle_seconds*.
        Misconfigured: the archive does not know our AE title as a destination.
        ProtocolViolation: a status that PS3.4 C.4.2.1.5 does not define.

    """
    context = association.context(*MOVE)
    command: dict[int, int | str] = {COMMAND: MOVE_REQUEST, PRIORITY: LOW, DESTINATION: destination}
    message_id = association.send(command, context, encoded("IMAGE", keys))
    latest = time.monotonic()
    before, response = delivery.collection.stores, Message()
    has_ended = False
    while not has_ended:
        received = association.receive(_POLL_SECONDS)
        if received is not None:
            response = association.response(MOVE_RESPONSE, message_id, received)
            has_ended = is_final(response.status, "C-MOVE")
            latest = time.monotonic()
        for instance in _waiting(delivery):
            yield instance
            latest = time.monotonic()
        if time.monotonic() - latest > idle_seconds:
            raise Unavailable("pacs", "C-MOVE brought nothing for too long", "try again later")
    with grace.spent() as deadline:
        while time.monotonic() < deadline and (
            delivery.handled < delivery.collection.stores
            or _is_owed(response, before, keys, delivery.collection)
        ):
            with suppress(queue.Empty):
                yield delivery.arrived.get(timeout=_POLL_SECONDS)
    yield from _waiting(delivery)


def _waiting(delivery: Delivery) -> Iterator[IdentifiedInstance]:
    while True:
        try:
            yield delivery.arrived.get_nowait()
        except queue.Empty:
            return
