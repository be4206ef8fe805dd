"""WADO-RS (PS3.18 10.4): whole objects as multipart, or headers alone as DICOM JSON.

A series of which all is wanted is asked for in one request, anything else instance by instance.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from p2d.dicom.walk import Source
from p2d.dimse.spool import OBJECT_BYTES, Allowance, Spool
from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance
from p2d.pacs.arrival import opened
from p2d.pacs.dicomweb.connection import Answer, WebConnection
from p2d.pacs.dicomweb.json_array import JsonObject, NotJson, objects_of
from p2d.pacs.dicomweb.json_model import NotDicomJson, elements_of, encoded_dataset
from p2d.pacs.dicomweb.multipart import NotMultipart, PartSplitter, boundary_of, media_type_of
from p2d.pacs.dicomweb.search import JSON, JSON_TYPES
from p2d.pacs.port import RetrieveCounts
from p2d.pacs.query import is_uid

AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
AS_PLEASED: Final = 'multipart/related; type="application/dicom"'
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_RELATED_INSTANCES: Final = "00201209"
_SOP_CLASS: Final = "00080016"
_SOP_INSTANCE: Final = "00080018"
_SLACK: Final = 10
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.NO_CONTENT})
_NOT_OFFERED: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)


@dataclass(frozen=True, slots=True)
class Resource:
    """What one request asks for: a whole series, or one instance of it."""

    path: str = field(repr=False)
    headers: Sequence[IdentifiedHeader] = field(repr=False)


class NotOffered(Exception):  # noqa: N818 - says what happened, as p2d.model.errors do
    """The archive does not send this resource in this form."""


class Waiting:
    """The instances of one retrieve and which of them have not arrived; not shared between threads."""

    def __init__(self, instances: Iterable[IdentifiedHeader], counts: RetrieveCounts) -> None:
        self._headers = {one.sop_instance_uid: one for one in instances}
        self._missing = dict(self._headers)
        self.counts = counts
        self.allowance = Allowance()
        self.unusable = 0
        """Headers alone that arrived and were not to be used."""

    @property
    def missing(self) -> list[IdentifiedHeader]:
        """Instances that have not arrived, in the order asked for."""
        return list(self._missing.values())

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield *chunks* as they are and count their octets."""
        for chunk in chunks:
            self.counts.octets += len(chunk)
            yield chunk

    def take(self, uid: str) -> IdentifiedHeader | None:
        """Return the header for an object that arrived; None, and counted, where it is not wanted."""
        header = self._missing.pop(uid, None)
        if header is None and uid in self._headers:
            self.counts.duplicates += 1
        elif header is None:
            self.counts.refused += 1
        return header


def resources(instances: Iterable[IdentifiedHeader], *, by_series: bool) -> list[Resource]:
    """Return as few requests as needed; instances whose UIDs could not stand in an address are left out."""
    series: dict[tuple[str, str], list[IdentifiedHeader]] = {}
    for header in instances:
        if all(map(is_uid, (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid))):
            series.setdefault((header.study_instance_uid, header.series_instance_uid), []).append(header)
    found: list[Resource] = []
    for (study, one), headers in series.items():
        path = f"studies/{quote(study, safe='')}/series/{quote(one, safe='')}"
        counted = text_of(headers[0].elements, _RELATED_INSTANCES)
        if by_series and len(headers) > 1 and counted == str(len(headers)):
            found.append(Resource(path, headers))
        else:
            found += [
                Resource(f"{path}/instances/{quote(each.sop_instance_uid, safe='')}", [each])
                for each in headers
            ]
    return found


class Retriever:
    """Requests of one archive for objects; safe to share between threads."""

    def __init__(self, connection: WebConnection, object_bytes: int = OBJECT_BYTES) -> None:
        self._connection = connection
        self._object_bytes = object_bytes
        self._accept = AS_STORED

    def metadata(self, resource: Resource, waiting: Waiting, mark: int) -> Iterator[IdentifiedInstance]:
        """Yield the instances of *resource* without bulk data; what cannot be used stays missing.

        Raises:
            NotOffered: the archive has no metadata for it.
            Unavailable, ProtocolViolation: as ``Pacs.retrieve``.

        """
        path = f"{resource.path}/metadata"
        with self._connection.get(path, {}, JSON, mark) as answer:
            if answer.status in _GONE:
                return
            if answer.status in _NOT_OFFERED or media_type_of(answer.content_type)[0] not in JSON_TYPES:
                raise NotOffered
            _check_found(answer)
            try:
                for count, one in enumerate(objects_of(waiting.counted(answer.chunks)), 1):
                    _check_count(count, resource)
                    instance = _instance_of(one, waiting)
                    if instance is not None:
                        yield instance
            except NotJson as error:
                raise ProtocolViolation("pacs", f"WADO-RS metadata are not readable: {error}") from None

    def whole(
        self, resource: Resource, waiting: Waiting, mark: int, *, pixels: bool
    ) -> Iterator[IdentifiedInstance]:
        """Yield the instances of *resource* as whole objects, cut before pixel data without *pixels*.

        Raises:
            Unavailable, ProtocolViolation: as ``Pacs.retrieve``.

        """
        try:
            yield from self._whole(resource, waiting, mark, pixels=pixels)
        except NotOffered:
            if self._accept == AS_PLEASED:
                raise ProtocolViolation(
                    "pacs", "WADO-RS does not send objects as multipart/related", "use DIMSE"
                ) from None
            self._accept = AS_PLEASED
            note = "the archive does not send objects as stored; it chose the transfer syntax"
            if note not in waiting.counts.notes:
                waiting.counts.notes.append(note)
            yield from self.whole(resource, waiting, mark, pixels=pixels)

    def _whole(
        self, resource: Resource, waiting: Waiting, mark: int, *, pixels: bool
    ) -> Iterator[IdentifiedInstance]:
        with self._connection.get(resource.path, {}, self._accept, mark) as answer:
            if answer.status in _GONE:
                return
            if answer.status in _NOT_OFFERED:
                raise NotOffered
            _check_found(answer)
            for count, source in enumerate(self._parts(answer, waiting), 1):
                _check_count(count, resource)
                arrived = opened(source)
                if arrived is None:
                    waiting.counts.refused += 1
                    continue
                header = waiting.take(arrived.sop_instance_uid)
                if header is not None:
                    yield arrived.under(header, pixels=pixels)

    def _parts(self, answer: Answer, waiting: Waiting) -> Iterator[Source]:
        """Yield the parts of a multipart body, each once it is whole.

        Raises:
            NotOffered: another content type.
            Unavailable: the body ends within a part, or there is no room for it.
            ProtocolViolation: no multipart body, or a part or a retrieve beyond its cap.

        """
        try:
            splitter = PartSplitter(boundary_of(answer.content_type))
        except NotMultipart:
            raise NotOffered from None
        spool = self._spool(waiting.allowance)
        try:
            for chunk in waiting.counted(answer.chunks):
                for piece in splitter.feed(chunk):
                    if piece is None:
                        yield spool.content()
                        spool = self._spool(waiting.allowance)
                    else:
                        spool.write(piece)
        except NotMultipart as error:
            raise ProtocolViolation("pacs", f"a WADO-RS answer is not readable: {error}") from None
        finally:
            spool.discard()
        if not splitter.is_over:
            raise Unavailable("pacs", "the archive ended its answer within an object", "try again")

    def _spool(self, allowance: Allowance) -> Spool:
        return Spool(limit=self._object_bytes, allowance=allowance)


def _instance_of(one: JsonObject, waiting: Waiting) -> IdentifiedInstance | None:
    """Return *one* as a data set; None where it is not wanted, or has to be retrieved whole."""
    try:
        own = elements_of({path: one[path] for path in (_SOP_CLASS, _SOP_INSTANCE) if path in one})
        content = encoded_dataset(one)
    except NotDicomJson:
        waiting.unusable += 1
        return None
    header = waiting.take(text_of(own, _SOP_INSTANCE))
    if header is None:
        return None
    return IdentifiedInstance(header, content, _EXPLICIT, text_of(own, _SOP_CLASS), is_cut=True)


def _check_found(answer: Answer) -> None:
    if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise ProtocolViolation("pacs", f"WADO-RS answered HTTP {answer.status}", "correct pacs.url")


def _check_count(count: int, resource: Resource) -> None:
    if count > 2 * len(resource.headers) + _SLACK:
        raise ProtocolViolation("pacs", "WADO-RS brings far more objects than were asked for")
