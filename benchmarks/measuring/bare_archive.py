"""The bare client as an archive that P2D's pipeline works from, and the same requests without any pipeline.

The requests are those of P2D's own connector: one query a level for each patient, by PatientID alone; where
only some images are wanted, a short one for all and a full one for these; lists of images for retrieval.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from measuring.bare import EXPLICIT, BareAssociation, Row
from measuring.peer import WORDS, Peer, row_of
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Choice, Level
from p2d.pacs.port import Query, RetrieveCounts
from p2d.pacs.query import KEYS
from p2d.testing.servers import RunningArchive

_LIST: Final = 500
_RELATED: Final = "00201208"
_PATIENT, _STUDY, _SERIES, _INSTANCE, _NUMBER = 0x00100020, 0x0020000D, 0x0020000E, 0x00080018, 0x00200013
_BRIEF: Final = (_PATIENT, _STUDY, _SERIES, _INSTANCE, _NUMBER)


class BareArchive(Peer):
    """Asks over one association, retrieves over another; both are opened anew for each patient."""

    def __init__(self, archive: RunningArchive, calling: str, classes: Sequence[str]) -> None:
        self._archive = archive
        self._calling = calling
        self._classes = classes

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield the images of the query's patient."""
        with BareAssociation(self._archive, self._calling) as association:
            rows = rows_of(association, query.patient_id.value, query.full)
        return iter(_headers(rows))

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield *instances*: whole studies where all of one is wanted, else by lists."""
        del counts
        patient, by_uid = patient_id.value, {header.sop_instance_uid: header for header in instances}
        studies: dict[str, list[IdentifiedHeader]] = {}
        for header in instances:
            studies.setdefault(header.study_instance_uid, []).append(header)
        whole = [
            study for study, some in studies.items() if text_of(some[0].elements, _RELATED) == str(len(some))
        ]
        rest = [header.sop_instance_uid for header in instances if header.study_instance_uid not in whole]
        with BareAssociation(self._archive, self._calling, self._classes) as association:
            arriving = chain(
                *(
                    association.get("STUDY", {_PATIENT: patient, _STUDY: one}, cut=not pixels)
                    for one in whole
                ),
                objects_of(association, patient, rest, cut=not pixels),
            )
            for sop_class, uid, content in arriving:
                yield IdentifiedInstance(by_uid[uid], content, EXPLICIT, sop_class, is_cut=not pixels)


def rows_of(
    association: BareAssociation, patient: str, full: Choice | None
) -> tuple[list[Row], list[Row], list[Row]]:
    """Return the rows of *patient* at study, series and image level."""
    studies, series = (
        association.find(WORDS[level], _asking(KEYS[level], patient)) for level in (Level.STUDY, Level.SERIES)
    )
    if full is Choice.ALL:
        return studies, series, association.find("IMAGE", _asking(KEYS[Level.INSTANCE], patient))
    brief = association.find("IMAGE", {**dict.fromkeys(_BRIEF, ""), _PATIENT: patient})
    if full is None:
        return studies, series, brief
    images = []
    for some in _lists(firsts(brief)):
        keys = {**_asking(KEYS[Level.INSTANCE], patient), _INSTANCE: "\\".join(some)}
        images += association.find("IMAGE", keys)
    picked = {row[_INSTANCE] for row in images}
    return studies, series, [*images, *(row for row in brief if row[_INSTANCE] not in picked)]


def firsts(rows: Iterable[Row]) -> list[str]:
    """Return the SOPInstanceUID of the first image of each series."""
    best: dict[bytes, tuple[bool, int, bytes]] = {}
    for row in rows:
        number = row.get(_NUMBER, b"")
        place = (not number, int(number or 0), row[_INSTANCE])
        best[row[_SERIES]] = min(best.get(row[_SERIES], place), place)
    return [uid.rstrip(b"\0").decode() for _, _, uid in best.values()]


def objects_of(
    association: BareAssociation, patient: str, uids: Sequence[str], *, cut: bool
) -> Iterator[tuple[str, str, bytes]]:
    """Yield SOP class, SOP instance and data set of the images *uids*, asked for by lists."""
    for some in _lists(uids):
        yield from association.get("IMAGE", {_PATIENT: patient, _INSTANCE: "\\".join(some)}, cut=cut)


def _lists(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(uids), _LIST):
        yield uids[start : start + _LIST]


def _asking(paths: Iterable[str], patient: str) -> dict[int, str]:
    return {**{int(path, 16): "" for path in paths}, _PATIENT: patient}


def _headers(rows: tuple[list[Row], list[Row], list[Row]]) -> list[IdentifiedHeader]:
    studies, series, images = (
        [row_of({f"{tag:08X}": value for tag, value in row.items()}) for row in some] for some in rows
    )
    by_study = {row["0020000D"].text: row for row in studies}
    by_series = {row["0020000E"].text: {**row, **by_study[row["0020000D"].text]} for row in series}
    return [IdentifiedHeader(Level.INSTANCE, {**row, **by_series[row["0020000E"].text]}) for row in images]
