"""pynetdicom as its examples use it: level by level, ``send_c_find`` and ``send_c_get``, default sockets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association

from measuring.peer import WORDS, Peer, Row
from p2d.dicom.elements import elements_of, standard_vr
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.port import Query, RetrieveCounts
from p2d.pacs.query import KEYS, PATIENT_ID, SOP_CLASS_UID, UNIQUE
from p2d.testing.servers import RunningArchive

_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_RELATED: Final = "00201209"
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_SUCCESS: Final = 0


class StockArchive(Peer):
    """One association a patient for queries and one for images; a request a study, series or image."""

    def __init__(self, archive: RunningArchive, calling: str) -> None:
        self._archive = archive
        self._calling = calling

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield the images of the query's patient, found study by study and series by series."""
        entity = AE(ae_title=self._calling)
        entity.add_requested_context(_FIND)
        association = self._associated(entity)
        try:
            for study in asked(association, Level.STUDY, {PATIENT_ID: query.patient_id.value}):
                above = _keys(study, Level.STUDY)
                for series in asked(association, Level.SERIES, above):
                    for image in asked(association, Level.INSTANCE, {**above, **_keys(series, Level.SERIES)}):
                        yield IdentifiedHeader(Level.INSTANCE, {**image, **series, **study})
        finally:
            association.release()

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield *instances*: whole series where all of one is wanted, else image by image."""
        del counts, pixels
        arrived: list[IdentifiedInstance] = []
        by_uid = {header.sop_instance_uid: header for header in instances}

        def store(event: Any) -> int:
            request = event.request
            header = by_uid.get(request.AffectedSOPInstanceUID)
            if header is not None:
                content = request.DataSet.getvalue()
                syntax = str(event.context.transfer_syntax)
                arrived.append(IdentifiedInstance(header, content, syntax, str(request.AffectedSOPClassUID)))
            return _SUCCESS

        entity = AE(ae_title=self._calling)
        entity.add_requested_context(_GET)
        classes = sorted({text_of(header.elements, SOP_CLASS_UID) for header in instances})
        for uid in classes:
            entity.add_requested_context(uid)
        roles = [build_role(uid, scp_role=True) for uid in classes]
        association = self._associated(entity, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)])
        try:
            for level, keys in requests(patient_id, instances):
                for status, _ in association.send_c_get(_identifier(level, keys, ()), _GET):
                    _check(status)
                yield from arrived
                arrived.clear()
        finally:
            association.release()

    def associated(self) -> Association:
        """Return an association for queries."""
        entity = AE(ae_title=self._calling)
        entity.add_requested_context(_FIND)
        return self._associated(entity)

    def _associated(self, entity: AE, **more: Any) -> Association:
        archive = self._archive
        association = entity.associate(archive.host, archive.port, ae_title=archive.ae_title, **more)
        if not association.is_established:
            raise ConnectionError("the archive refuses the association")
        return association


def asked(association: Association, level: Level, keys: Mapping[str, str]) -> list[Row]:
    """Return the answers to one ``send_c_find``."""
    rows = []
    for status, answer in association.send_c_find(_identifier(level, keys, KEYS[level]), _FIND):
        _check(status)
        if answer is not None:
            rows.append(elements_of(answer, guess=True))
    return rows


def requests(
    patient_id: PatientId, instances: Sequence[IdentifiedHeader]
) -> Iterator[tuple[Level, dict[str, str]]]:
    """Yield level and keys of a retrieve for each series of which all is wanted, else for each image."""
    series: dict[str, list[IdentifiedHeader]] = {}
    for header in instances:
        series.setdefault(header.series_instance_uid, []).append(header)
    for some in series.values():
        keys = {PATIENT_ID: patient_id.value, **_keys(some[0].elements, Level.STUDY)}
        keys |= _keys(some[0].elements, Level.SERIES)
        if text_of(some[0].elements, _RELATED) == str(len(some)) and len(some) > 1:
            yield Level.SERIES, keys
        else:
            for header in some:
                yield Level.INSTANCE, {**keys, UNIQUE[Level.INSTANCE]: header.sop_instance_uid}


def _keys(row: Mapping[str, Any], level: Level) -> dict[str, str]:
    found = {PATIENT_ID: text_of(row, PATIENT_ID)} if PATIENT_ID in row else {}
    return {**found, UNIQUE[level]: text_of(row, UNIQUE[level])}


def _identifier(level: Level, keys: Mapping[str, str], returned: Sequence[str]) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = WORDS[level]
    for path, value in {**dict.fromkeys(returned, ""), **keys}.items():
        dataset.add_new(int(path, 16), standard_vr(int(path, 16)), value or None)
    return dataset


def _check(status: Dataset) -> None:
    if not status or (status.Status not in _PENDING and status.Status != _SUCCESS):
        raise ConnectionError("the archive did not answer well")
