"""A picture archive for tests and demonstrations: query, C-GET, C-MOVE and storage, with faults to switch on.

Query answers leave as ready-made bytes on pynetdicom's own socket, because encoding each through its objects
takes a hundred times as long; everything else goes through pynetdicom.
"""

import logging
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt

from p2d.dimse.association import Association
from p2d.dimse.command import Command, Operation, Priority
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.services import GET_WITHOUT_BULK_DATA
from p2d.model.errors import P2DError
from p2d.pacs.pynetdicom.sockets import close_surely
from p2d.testing.archive_index import ArchiveIndex, asked
from p2d.testing.holdings import KEYWORDS, HeldInstance, Holdings

_QUERY_RETRIEVE: Final = tuple(
    f"1.2.840.10008.5.1.4.1.2.{model}.{service}" for model in (1, 2) for service in (1, 2, 3)
)
_SYNTAXES: Final = (
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.5",
)  # fmt: skip
_ABORT: Final = b"\x07\0\0\0\0\x04\0\0\0\0"  # A-ABORT by the service user (PS3.8 9.3.8)
_PENDING: Final = 0xFF00
_BATCH: Final = 65_536


@dataclass(slots=True)
class Faults:
    """How the archive misbehaves; all off by default, changed at any time."""

    abort_after: int | None = None
    """Abort after this many C-FIND answers."""
    hangs: bool = False
    """Never answer a C-FIND."""
    final_status: int | None = None
    """End C-FIND with this status instead of success."""
    adds_foreign_rows: bool = False
    """Answer each C-FIND with rows of other patients as well."""
    ignores_patient: bool = False
    """Ignore PatientID where no upper UID is stated below study level."""
    sends_nothing: bool = False
    """Answer C-GET and C-MOVE with success and no object."""
    sends_twice: bool = False
    """Send each object twice."""
    sends_also: tuple[HeldInstance, ...] = ()
    """Send these as well, though nobody asked for them."""
    skips_in_lists: frozenset[str] = field(default=frozenset(), repr=False)
    """SOP Instance UIDs left out unless asked for alone."""


class DimseArchiveServer:
    """A test archive on a loopback port; a context manager that serves while it is open.

    ``peers`` maps AE titles to the address of their Storage SCP (C-MOVE destinations); ``callers`` are the
    AE titles accepted, empty for all. Stored objects are kept in memory where ``accepts_stores``.
    ``without_bulk_data`` offers the retrieval of PS3.4 Annex Z, which pynetdicom does.
    """

    def __init__(  # noqa: PLR0913 - what an archive may be like
        self,
        holdings: Holdings,
        *,
        ae_title: str = "ARCHIVE",
        host: str = "127.0.0.1",
        port: int = 0,
        peers: Mapping[str, tuple[str, int]] | None = None,
        callers: Sequence[str] = (),
        accepts_stores: bool = False,
        without_bulk_data: bool = False,
    ) -> None:
        self.ae_title = ae_title
        self.host = host
        self.port = port
        self.peers = dict(peers or {})
        self.faults = Faults()
        self.queries = 0
        self._callers = list(callers)
        self._accepts_stores = accepts_stores
        self._without_bulk_data = without_bulk_data
        self._index = ArchiveIndex(holdings.instances())
        self._closing = threading.Event()
        self._server: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; ``port`` then holds the port bound."""
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
        entity = AE(ae_title=self.ae_title)
        entity.maximum_pdu_size = 131_072
        entity.maximum_associations = 32
        entity.require_called_aet = True
        entity.require_calling_aet = self._callers
        entity.add_supported_context("1.2.840.10008.1.1")
        for uid in _QUERY_RETRIEVE:
            entity.add_supported_context(uid)
        if self._without_bulk_data:
            entity.add_supported_context(GET_WITHOUT_BULK_DATA)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(
                str(context.abstract_syntax), list(_SYNTAXES), scu_role=self._accepts_stores, scp_role=True
            )
        self._server = entity.start_server(
            (self.host, self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _without_delay),
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
                (evt.EVT_C_MOVE, self._move),
                (evt.EVT_C_STORE, self._store),
            ],
        )
        self.port = self._server.server_address[1]

    def stop(self) -> None:
        """Abort what is open and stop listening."""
        self._closing.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _find(self, event: Any) -> Iterator[tuple[int, None]]:
        self.queries += 1
        faults = self.faults
        if faults.hangs:
            self._closing.wait(60)
            return
        level, keys, tags = asked(event.identifier)
        if faults.ignores_patient and level in {"SERIES", "IMAGE"} and not keys.get("StudyInstanceUID"):
            keys = {**keys, "PatientID": ""}
        found = self._index.entities(level, keys)
        if faults.adds_foreign_rows:
            patient = keys.get("PatientID", "")
            found += [one for one in self._index.entities(level, {}) if one["PatientID"] != patient][:3]
        if faults.abort_after is not None:
            found = found[: faults.abort_after]
        self._send(event, (self._index.answer(level, one, tags) for one in found))
        if faults.abort_after is not None:
            event.assoc.dul.socket.socket.sendall(_ABORT)
            self._closing.wait(0.2)
        elif faults.final_status is not None:
            yield faults.final_status, None

    def _send(self, event: Any, identifiers: Iterator[bytes]) -> None:
        """Write pending responses straight to the socket; pynetdicom adds the final one afterwards."""
        plain = event.assoc.dul.socket.socket
        limit = event.assoc.requestor.maximum_length or _BATCH
        context = event.context.context_id
        command = _response(str(event.request.AffectedSOPClassUID), event.request.MessageID)
        waiting = bytearray()
        for identifier in identifiers:
            waiting += _data_pdus(context, command, identifier, limit)
            if len(waiting) > _BATCH:
                if event.is_cancelled:
                    return
                plain.sendall(waiting)
                waiting.clear()
        plain.sendall(waiting)

    def _chosen(self, event: Any) -> list[HeldInstance]:
        faults = self.faults
        _, keys, _ = asked(event.identifier)
        if faults.sends_nothing:
            return []
        found = self._index.instances(keys)
        if "\\" in keys.get("SOPInstanceUID", ""):
            found = [one for one in found if one["SOPInstanceUID"] not in faults.skips_in_lists]
        if faults.sends_twice:
            found = [one for one in found for _ in range(2)]
        return [*found, *faults.sends_also]

    def _get(self, event: Any) -> Iterator[Any]:
        chosen = self._chosen(event)
        yield len(chosen)
        for one in chosen:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield _PENDING, one.render()

    def _move(self, event: Any) -> Iterator[Any]:
        address = self.peers.get(event.move_destination)
        if address is None:
            yield None, None
            return
        chosen = self._chosen(event)
        if chosen and not self._sent(event, address, chosen):
            yield None, None
            return
        yield address
        yield 0  # the objects are there already: pynetdicom's own sender can lose an answer and stall

    def _sent(self, event: Any, address: tuple[str, int], chosen: Sequence[HeldInstance]) -> bool:
        """Send *chosen* over an association of our own; return whether the destination let us in."""
        objects = [_Sendable(one.render()) for one in chosen]
        contexts = dict.fromkeys((one.sop_class_uid, (one.syntax,)) for one in objects)
        peer = Peer(*address, event.move_destination, self.ae_title)
        try:
            association = Association(peer, Proposal(tuple(contexts)))
        except P2DError:
            return False
        calling = event.assoc.requestor.ae_title
        with suppress(P2DError):  # the destination ended it: what came is there, the rest is not
            for one in objects:
                if event.is_cancelled:
                    break
                one.send(association, calling, event.request.MessageID)
        association.release()
        return True

    def _store(self, event: Any) -> int:
        if not self._accepts_stores:
            return 0x0122
        dataset: Dataset = event.dataset
        dataset.file_meta = event.file_meta
        self._index.add(held(dataset))
        return 0x0000


class _Sendable:
    """An object with its encoding."""

    def __init__(self, dataset: Dataset) -> None:
        buffer = DicomBytesIO()
        syntax = dataset.file_meta.TransferSyntaxUID
        buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
        write_dataset(buffer, dataset)
        self.syntax = str(syntax)
        self.sop_class_uid = str(dataset.SOPClassUID)
        self.sop_instance_uid = str(dataset.SOPInstanceUID)
        self.content = buffer.getvalue()

    def send(self, association: Association, originator: str, message_id: int) -> None:
        context = next(
            one
            for one in association.contexts.values()
            if (one.abstract_syntax, one.transfer_syntax) == (self.sop_class_uid, self.syntax)
        )
        command = Command(
            Operation.C_STORE_RQ,
            priority=Priority.LOW,
            sop_instance_uid=self.sop_instance_uid,
            move_originator=originator,
            move_originator_id=message_id,
        )
        association.send(context, command, self.content)
        received = association.receive()
        if received is not None:
            association.response(Operation.C_STORE_RSP, received)


def held(dataset: Dataset) -> HeldInstance:
    """Return *dataset* as a held instance."""
    attributes = {}
    for keyword in KEYWORDS:
        value = dataset.get(keyword)
        if value is not None:
            attributes[keyword] = str(value)
    return HeldInstance(attributes, lambda: dataset)


def serve_archive(
    holdings: Holdings,
    port: int,
    ae_title: str,
    peers: Mapping[str, tuple[str, int]],
    host: str = "127.0.0.1",
) -> None:
    """Serve *holdings* until the process is interrupted or terminated."""
    with DimseArchiveServer(holdings, ae_title=ae_title, host=host, port=port, peers=peers):
        threading.Event().wait()


def _without_delay(event: Any) -> None:
    wrapper = event.assoc.dul.socket
    wrapper.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    close_surely(wrapper)


def _response(sop_class_uid: str, message_id: int) -> bytes:
    """Return the command set of a pending C-FIND-RSP (PS3.7 9.3.2.2)."""
    uid = sop_class_uid.encode()
    uid += b"\0" * (len(uid) % 2)
    body = struct.pack("<HHI", 0, 0x0002, len(uid)) + uid
    for element, value in ((0x0100, 0x8020), (0x0120, message_id), (0x0800, 0x0001), (0x0900, _PENDING)):
        body += struct.pack("<HHIH", 0, element, 2, value)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _data_pdus(context: int, command: bytes, identifier: bytes, limit: int) -> bytes:
    """Return P-DATA-TF PDUs (PS3.8 9.3.5) of at most *limit* bytes with both parts of a message."""
    if len(command) + len(identifier) + 12 <= limit:
        return _pdu(_item(context, 0x03, command) + _item(context, 0x02, identifier))
    pdus = _pdu(_item(context, 0x03, command))
    step = limit - 6
    for start in range(0, len(identifier), step):
        control = 0x02 if start + step >= len(identifier) else 0x00
        pdus += _pdu(_item(context, control, identifier[start : start + step]))
    return pdus


def _item(context: int, control: int, content: bytes) -> bytes:
    return struct.pack(">IBB", len(content) + 2, context, control) + content


def _pdu(items: bytes) -> bytes:
    return struct.pack(">BBI", 4, 0, len(items)) + items
