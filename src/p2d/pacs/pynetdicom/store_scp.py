"""Our Storage SCP for C-MOVE (PS3.4 B): open only during retrieves, and for the archive only."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pynetdicom import AE, evt

from p2d.model.errors import Misconfigured
from p2d.model.identified import IdentifiedInstance
from p2d.pacs.pynetdicom.collection import NOT_AUTHORISED, Collection
from p2d.pacs.pynetdicom.contexts import accepted_storage
from p2d.pacs.pynetdicom.sockets import LONGEST_PDU, hardened
from p2d.settings.gateway import Archive

_AHEAD: Final = 4
_OUT_OF_RESOURCES: Final = 0xA700
_ASSOCIATIONS: Final = 8


class Delivery:
    """A retrieve that waits for objects: its collection and the few that were not yet taken on.

    ``handled`` of the collection's stores are refused or among the arrived; others are about to be.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.arrived: queue.Queue[IdentifiedInstance] = queue.Queue(_AHEAD)
        self.handled = 0
        self._lock = threading.Lock()

    def receive(self, uid: str, sop_class_uid: str, syntax: str, content: bytes, seconds: float) -> int:
        """Return the C-STORE status for an object; it waits up to *seconds* until there is room for it."""
        status, instance = self.collection.receive(uid, sop_class_uid, syntax, content)
        try:
            if instance is not None:
                self.arrived.put(instance, timeout=seconds)
        except queue.Full:
            status = _OUT_OF_RESOURCES
        with self._lock:
            self.handled += 1
        return status


class StoreScp:
    """Listens on ``store_host`` and ``store_port`` from the first open delivery to the last one."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._open: list[Delivery] = []
        self._server: Any = None

    @contextmanager
    def expecting(self, collection: Collection) -> Iterator[Delivery]:
        """Accept the objects of *collection* for as long as the context lasts.

        Raises:
            Misconfigured: no ``store_port`` is set, or it cannot be opened.

        """
        delivery = Delivery(collection)
        with self._lock:
            if self._server is None:
                self._server = self._started()
            self._open.append(delivery)
        try:
            yield delivery
        finally:
            with self._lock:
                self._open.remove(delivery)
                last, self._server = (None, self._server) if self._open else (self._server, None)
            if last is not None:
                last.shutdown()
                last.server_close()

    def _started(self) -> Any:
        archive = self._archive
        if archive.store_port is None:
            raise Misconfigured(
                "pacs.store_port", "is not set", 'retrieve = "move" needs a port for our Storage SCP'
            )
        entity = AE(ae_title=archive.calling_ae_title)
        entity.maximum_pdu_size = LONGEST_PDU
        entity.maximum_associations = _ASSOCIATIONS
        entity.require_calling_aet = [archive.called_ae_title]
        entity.require_called_aet = True
        entity.acse_timeout = archive.connect_seconds
        entity.dimse_timeout = archive.answer_seconds
        entity.network_timeout = archive.answer_seconds
        try:
            return entity.start_server(
                (archive.store_host, archive.store_port),
                block=False,
                contexts=accepted_storage(),
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, hardened(archive.answer_seconds)),
                    (evt.EVT_C_STORE, self._stored),
                ],
            )
        except OSError as error:
            raise Misconfigured(
                "pacs.store_port",
                f"cannot be opened: {type(error).__name__}",
                "choose a free port on store_host",
            ) from None

    def _stored(self, event: Any) -> int:
        """Answer one C-STORE request; the archive waits until the retrieve has room for the object."""
        uid = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            awaiting = [one for one in self._open if one.collection.holds(uid)]
            bystanders = self._open[:1]
        if not awaiting:
            for one in bystanders:
                one.collection.refuse()
            return NOT_AUTHORISED
        content = event.request.DataSet.getvalue()
        sop_class, syntax = str(event.request.AffectedSOPClassUID), str(event.context.transfer_syntax)
        seconds = self._archive.answer_seconds
        statuses = [one.receive(uid, sop_class, syntax, content, seconds) for one in awaiting]
        return _OUT_OF_RESOURCES if _OUT_OF_RESOURCES in statuses else statuses[-1]
