"""What the archive does with queries: relational ones, keys, caps, negotiation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from p2d.dimse.association import Association
from p2d.dimse.identifiers import Row
from p2d.dimse.negotiation import Peer
from p2d.dimse.services import FIND
from p2d.model.errors import P2DError
from p2d.model.header import Elements, text_of
from p2d.model.level import Level
from p2d.pacs.probe.asking import Asking, Bill, query_proposal
from p2d.pacs.probe.known import INSTANCE, PATIENT_ROOT, SERIES, STUDY, STUDY_ROOT, WORDS, Known
from p2d.pacs.query import KEYS, PATIENT_ID
from p2d.settings.archive_profile import Finding

Remark = Callable[[str], None]
_MODELS: Final[tuple[tuple[Literal["patient-root", "study-root"], str], ...]] = (
    ("patient-root", PATIENT_ROOT),
    ("study-root", STUDY_ROOT),
)
_TAG_DIGITS: Final = 8
_SLACK: Final = 20
"""Rows taken beyond those known before a query is cancelled."""


@dataclass(slots=True)
class Relational:
    """Whether series and instances of a patient can be asked for at once, in one information model."""

    model: Literal["patient-root", "study-root"] = "study-root"
    series: bool = False
    instance: bool = False
    negotiated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """The state of probing queries: the connection, the truth and where to say what was seen."""

    peer: Peer
    bill: Bill
    known: Known
    remark: Remark = field(repr=False)

    def finding(self, asking: Asking, header: Elements | None) -> Finding:
        """Return what queries do; *header* is one retrieved object's, whose attributes are asked for."""
        relational = self._relational(asking, negotiated=False)
        if not relational.instance:
            relational = self._negotiated() or relational
        unsupported = self._unsupported()
        cap, is_told = self._cap()
        return Finding(
            relational_series=relational.series,
            relational_instance=relational.instance,
            relational_negotiated=relational.negotiated,
            model=relational.model,
            keys=frozenset(self._answered(asking, header) if header else ()),
            unsupported=frozenset(unsupported),
            most_rows=cap,
            cap_is_told=is_told,
            character_sets=tuple(sorted(self.known.character_sets)),
        )

    def _negotiated(self) -> Relational | None:
        """Ask again where the archive grants relational queries by extended negotiation (PS3.4 C.5.1)."""
        try:
            asking = Asking(self.peer, query_proposal(relational=True), self.bill)
        except P2DError:
            self.remark("an association that asks for relational queries is refused")
            return None
        try:
            if not _is_granted(asking.association):
                self.remark("relational queries are not granted by extended negotiation")
                return None
            found = self._relational(asking, negotiated=True)
            return found if found.instance else None
        finally:
            asking.close()

    def _relational(self, asking: Asking, *, negotiated: bool) -> Relational:
        """Try both information models, the first that answers as level by level is used."""
        best = Relational()
        for name, root in _MODELS:
            if not asking.accepts(root):
                self.remark(f"{name} queries are not accepted")
                continue
            series = self._equal(asking, root, Level.SERIES, f"{name} SERIES by PatientID")
            instance = self._equal(asking, root, Level.INSTANCE, f"{name} IMAGE by PatientID")
            if instance and not best.instance:
                best = Relational(name, series, instance, negotiated)
        return best

    def _equal(self, asking: Asking, root: str, level: Level, name: str) -> bool:
        known, own = self.known, self.known.patient_id.value
        true: set[tuple[str, ...]] = set(known.places) if level is Level.INSTANCE else set(known.series)
        paths = (STUDY, SERIES, INSTANCE) if level is Level.INSTANCE else (STUDY, SERIES)
        keys = {**dict.fromkeys((*KEYS[level], STUDY, SERIES), ""), PATIENT_ID: own}
        try:
            answer = asking.find(root, WORDS[level], keys, len(true) + _SLACK)
        except P2DError as error:
            self.remark(f"{name}: {error.problem}")
            raise
        foreign = sum(text_of(row, PATIENT_ID) not in {"", own.strip()} for row in answer.rows)
        if foreign:
            self.remark(f"{name}: answers with {foreign} or more rows of other patients")
        elif not answer.is_whole:
            self.remark(f"{name}: more rows than there are, or status 0x{answer.status:04X}")
        elif answer.uids(*paths) != true:
            self.remark(f"{name}: {len(answer.rows)} rows, but {len(true)} level by level")
        else:
            self.remark(f"{name}: equal to the answer level by level")
            return True
        return False

    def _unsupported(self) -> set[str]:
        """Return the keys that no row of their level has as much as an empty value of."""
        known = self.known
        by_level = (
            (Level.STUDY, known.studies),
            (Level.SERIES, known.series_rows),
            (Level.INSTANCE, known.instance_rows),
        )
        missing = {
            path for level, rows in by_level if rows for path in KEYS[level] if not _is_answered(rows, path)
        }
        if missing:
            self.remark(f"{len(missing)} of the usual keys are not answered: {', '.join(sorted(missing))}")
        return missing

    def _cap(self) -> tuple[int | None, bool | None]:
        if not self.known.capped:
            self.remark(f"no cap on rows was met in answers of up to {self._longest()} rows")
            return None, None
        cap = max(self.known.capped)
        self.remark(f"answers end at {cap} rows although there are more")
        return cap, False

    def _longest(self) -> int:
        return max((len(uids) for uids in self.known.series.values()), default=0)

    def _answered(self, asking: Asking, header: Elements) -> set[str]:
        """Ask for every attribute of one header; return those beyond the usual that come back equal."""
        (study, series), uids = min(self.known.series.items(), key=lambda item: len(item[1]))
        usual = {path for level in (Level.STUDY, Level.SERIES, Level.INSTANCE) for path in KEYS[level]}
        wanted = {
            path: element
            for path, element in header.items()
            if len(path) == _TAG_DIGITS  # not of an item
            and path not in usual
            and element.vr not in {"SQ", "OB", "OW", "UN"}
            and int(path[:4], 16) % 2 == 0
        }
        keys = {**dict.fromkeys(wanted, ""), **self.known.keys(study, series, uids[:1])}
        try:
            answer = asking.find(STUDY_ROOT, "IMAGE", keys, _SLACK)
        except P2DError:
            self.remark("a query for all attributes of a header is not answered")
            return set()
        if not answer.rows:
            return set()
        row = answer.rows[0]
        equal = {
            path for path, element in wanted.items() if text_of(row, path).strip() == element.text.strip()
        }
        given = {path for path in equal if wanted[path].text.strip()}
        self.remark(f"{len(given)} of {len(wanted)} attributes of a whole header are answered by C-FIND")
        return given


def _is_granted(association: Association) -> bool:
    return any(association.extended.get(uid, b"\0")[:1] == b"\x01" for uid in FIND)


def _is_answered(rows: list[Row], path: str) -> bool:
    return any(path in row for row in rows)
