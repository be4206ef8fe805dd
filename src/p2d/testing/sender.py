"""An archive's storing side for tests of our Storage SCP: well behaved, or as raw as a test wants it."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Self

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from p2d.dimse import pdu
from p2d.dimse.association import Association
from p2d.dimse.command import Command, Operation, Priority
from p2d.dimse.messages import encoded
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.pdu import AssociateRequest, ProposedContext
from p2d.dimse.services import EXPLICIT, IMPLICIT, VERIFICATION
from p2d.testing.datasets import CT_IMAGE_STORAGE

ARCHIVE: Final = "ARCHIVE"
GATEWAY: Final = "P2D"


def content_of(dataset: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """Return *dataset* without file meta information, in a little endian transfer syntax."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = transfer_syntax_uid == IMPLICIT, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def storage_request(uid: str, **elements: str | int) -> Command:
    """Return the C-STORE-RQ for object *uid*; *elements* as of ``Command``."""
    command = Command(Operation.C_STORE_RQ, priority=Priority.LOW, sop_instance_uid=uid)
    return replace(command, **elements)  # type: ignore[arg-type] # the caller knows them


@contextmanager
def storing(peer: Peer, *syntaxes: str, sop_class_uid: str = CT_IMAGE_STORAGE) -> Iterator[Association]:
    """Associate with *peer* for C-STORE in *syntaxes* (explicit VR) and C-ECHO; aborted in the end."""
    storage = (sop_class_uid, syntaxes or (EXPLICIT,))
    association = Association(peer, Proposal((storage, (VERIFICATION, (IMPLICIT,)))))
    try:
        yield association
    finally:
        association.abort()


def store(association: Association, uid: str, content: bytes, **elements: str | int) -> int:
    """Store *content* as object *uid*; return the status of the answer."""
    sop_class_uid = str(elements.pop("sop_class_uid", CT_IMAGE_STORAGE))
    context = association.context(CT_IMAGE_STORAGE)
    association.send(context, storage_request(uid, **elements, sop_class_uid=sop_class_uid), content)
    received = association.receive()
    if received is None:
        raise TimeoutError("no answer to a C-STORE")
    _, status = association.response(Operation.C_STORE_RSP, received)
    return status


class RawSender:
    """A socket that sends what a test says, after an association or without one."""

    def __init__(self, port: int, *, address: str = "127.0.0.1", seconds: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), seconds, source_address=(address, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(
        self, *, calling: str = ARCHIVE, called: str = GATEWAY, syntaxes: tuple[str, ...] = (EXPLICIT,)
    ) -> bytes:
        """Send an A-ASSOCIATE-RQ; return the answering PDU, type and length included."""
        contexts = (ProposedContext(1, CT_IMAGE_STORAGE, syntaxes),)
        self.socket.sendall(pdu.encode(AssociateRequest(called, calling, contexts)))
        return self.pdu()

    def pdu(self) -> bytes:
        """Return the next PDU, or no bytes when the connection has ended."""
        head = self._exactly(6)
        if not head:
            return b""
        (length,) = struct.unpack(">2xI", head)
        return head + self._exactly(length)

    def begin(self, uid: str, content: bytes) -> None:
        """Send a C-STORE-RQ and a first part of its data set, not the last."""
        command = storage_request(uid, message_id=1, sop_class_uid=CT_IMAGE_STORAGE, has_data_set=True)
        pieces = encoded(1, replace(command, has_data_set=True), content, 0)
        head = bytearray(pieces[2])
        head[11] = 0  # message control header: data set, more to come
        self.socket.sendall(b"".join((*pieces[:2], head, pieces[3])))

    def more(self, content: bytes, *, last: bool = False) -> None:
        """Send a further part of the data set."""
        head = struct.pack(">BxIIBB", 4, len(content) + 6, len(content) + 2, 1, 2 if last else 0)
        self.socket.sendall(head + content)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                part = self.socket.recv(count - len(found))
            except ConnectionError:
                return b""
            if not part:
                return b""
            found += part
        return found
