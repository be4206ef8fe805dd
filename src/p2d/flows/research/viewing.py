"""Look at the patients of one cohort: their studies as the archive lists them now, and previews of series.

Only patients of the cohort are shown; anything else answers like an unknown patient, before the gateway is
asked. The gateway's session key stays in here. Where the gateway is silent the warehouse's own list stands
in.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from p2d.flows.research.gateway_client import SessionKey
from p2d.model.errors import NotFound, P2DError, ProtocolViolation, Refused, Unavailable
from p2d.warehouse.query.text_form.completion import Completion

_MOST_LISTINGS: Final = 200
_MOST_PREVIEWS: Final = 64
_LONGEST_NUMBER: Final = 13  # VR IS has at most 12 characters, PS3.5 6.2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SeriesEntry:
    """One series as it is listed; texts are empty where nothing is known. ``images`` counts its instances."""

    series: str
    modality: str
    number: str
    description: str
    body_part: str
    images: str


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """One study as it is listed, with its series; ``day`` is its shifted date, YYYY-MM-DD."""

    study: str
    day: str
    description: str
    series: tuple[SeriesEntry, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Studies of a patient; ``note`` says why they are the warehouse's own list, or is empty."""

    studies: tuple[StudyEntry, ...]
    note: str = ""

    @property
    def is_live(self) -> bool:
        """Whether the archive was asked just now, so that previews can be had."""
        return not self.note


@dataclass(frozen=True, slots=True)
class CohortAnswer:
    """Result of a query: counts under the words shown, the first rows, and all patients of the cohort.

    A count is None where it is not shown. Rows have the order of ``columns``; the column ``patient`` holds
    pseudonyms. ``total`` counts the rows beyond those shown, too. ``note`` is a sentence on what the counts
    stand for, or empty.
    """

    counts: Mapping[str, int | None]
    columns: Sequence[str]
    rows: Sequence[Sequence[object]] = field(repr=False)
    total: int
    patients: Sequence[str] = field(repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class QueryRead:
    """A query as JSON-like data, as a search line, and in words by language (``de``, ``en``)."""

    query: Mapping[str, object] = field(repr=False)
    line: str = field(repr=False)
    words: Mapping[str, str] = field(repr=False)


class Cohorts(Protocol):
    """The warehouse's side of the pages; safe to share between threads."""

    def run(self, user: str, query: Mapping[str, object], rows: int, question: str = "") -> CohortAnswer:
        """Run *query* in the name of *user*; the answer shows at most *rows* rows.

        It is cancelled by the name *question*, where it has one.

        Raises:
            InvalidRequest: the query is malformed or names what the warehouse does not hold.
            Unavailable: it took too long or was cancelled, or nothing can be recorded.

        """
        ...

    def read(self, user: str, query: str | Mapping[str, object]) -> QueryRead:
        """Return *query*, a search line or JSON, in all the ways that it is written; nobody is counted.

        Raises:
            InvalidRequest: it is malformed or names what the warehouse does not hold.
            Unavailable: the warehouse cannot be read.

        """
        ...

    def complete(self, user: str, line: str, cursor: int) -> Sequence[Completion]:
        """Return what may come next at *cursor* of a search line.

        Raises:
            Unavailable: the warehouse cannot be read.

        """
        ...

    def studies_of(self, user: str, patient: str) -> Sequence[StudyEntry]:
        """Return what the warehouse itself knows of *patient*, asked in the name of *user*.

        Raises:
            Unavailable: the warehouse cannot be read, or nothing can be recorded.

        """
        ...


class Archive(Protocol):
    """What viewing needs of the gateway; ``GatewayClient`` has it."""

    def open_session(
        self, user: str, role: str, patients: Sequence[str], *, images: bool, hours: float | None = None
    ) -> SessionKey:
        """Open a session for *patients*."""
        ...

    def close_session(self, session: SessionKey) -> None:
        """End a session."""
        ...

    def studies(self, session: SessionKey, patient: str) -> dict[str, object]:
        """Return the studies and series of *patient*."""
        ...

    def rendered(self, session: SessionKey, study: str, series: str) -> bytes:
        """Return the middle image of a series as JPEG."""
        ...


@dataclass(slots=True)
class Viewing:
    """One user's view of the patients of one cohort; safe to share between threads.

    ``archive`` is None where no gateway is configured; ``own_list`` returns what the warehouse knows of a
    patient. Without ``images`` only lists are shown.
    """

    user: str
    patients: Sequence[str] = field(repr=False)
    archive: Archive | None
    own_list: Callable[[str], Sequence[StudyEntry]]
    images: bool = True
    _members: frozenset[str] = field(init=False, repr=False)
    _session: SessionKey | None = field(default=None, init=False, repr=False)
    _listings: dict[str, Listing] = field(default_factory=dict, init=False, repr=False)
    _previews: dict[tuple[str, str], bytes | str] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self._members = frozenset(self.patients)

    def listing(self, patient: str) -> Listing:
        """Return the studies of *patient*, asked anew.

        Raises:
            NotFound: unknown, or not in the cohort.
            Unavailable: the warehouse cannot be read.

        """
        if patient not in self._members:
            raise NotFound("patient", "is not in the cohort of this session", "choose one from the list")
        try:
            listing = Listing(
                self._with_session(lambda archive, key: parse_studies(archive.studies(key, patient)))
            )
        except P2DError as error:
            listing = Listing(tuple(self.own_list(patient)), _note(error))
        while len(self._listings) >= _MOST_LISTINGS:
            self._listings.pop(next(iter(self._listings)), None)
        self._listings[patient] = listing
        return listing

    def series(self, patient: str, study: str, series: str) -> tuple[StudyEntry, SeriesEntry]:
        """Return the entries of a series of *patient*; a series of another patient is not found.

        Raises:
            NotFound: unknown, not in the cohort, or not of this patient.

        """
        listing = self._listings.get(patient) or self.listing(patient)
        for study_entry in listing.studies:
            for entry in study_entry.series:
                if (study_entry.study, entry.series) == (study, series):
                    return study_entry, entry
        raise NotFound("series", "is not among the series of this patient", "choose one from the list")

    def preview(self, patient: str, study: str, series: str) -> bytes:
        """Return the middle image of a series of *patient* as JPEG.

        Raises:
            NotFound: unknown, not in the cohort, or not of this patient.
            Refused: images are not approved, or this one is withheld; the problem says why.
            Unavailable: the gateway is silent.

        """
        self.series(patient, study, series)
        if not self.images:
            raise Refused("images", "are not part of this sign-in", "ask an operator for a link with images")
        place = (study, series)
        picture = self._previews.get(place)
        if picture is None:
            picture = self._ask_preview(study, series)
            while len(self._previews) >= _MOST_PREVIEWS:
                self._previews.pop(next(iter(self._previews)), None)
            self._previews[place] = picture
        if isinstance(picture, str):
            raise Refused("series", picture, "its headers can be queried")
        return picture

    def close(self) -> None:
        """End the session at the gateway; one that is silent ends it by its own clock."""
        with self._lock:
            key, self._session = self._session, None
        if key is not None and self.archive is not None:
            try:
                self.archive.close_session(key)
            except P2DError:
                return

    def _ask_preview(self, study: str, series: str) -> bytes | str:
        """Return the JPEG, or the problem with which the gateway refused this series for good."""
        try:
            return self._with_session(lambda archive, key: archive.rendered(key, study, series))
        except Refused as error:
            if error.field != "series":
                raise
            return error.problem

    def _with_session(self, ask: Callable[[Archive, SessionKey], _T]) -> _T:
        """Ask with the cohort's session; one that the gateway has ended meanwhile is opened anew, once."""
        if self.archive is None:
            raise Unavailable("gateway", "is not configured", "name it in the warehouse's settings")
        key = self._opened(self.archive, None)
        try:
            return ask(self.archive, key)
        except Refused as error:
            if error.field != "session":
                raise
            return ask(self.archive, self._opened(self.archive, key))

    def _opened(self, archive: Archive, ended: SessionKey | None) -> SessionKey:
        with self._lock:
            if self._session is None or self._session is ended:
                self._session = archive.open_session(
                    self.user, "researcher", self.patients, images=self.images
                )
            return self._session


def parse_studies(answer: Mapping[str, object]) -> tuple[StudyEntry, ...]:
    """Return the gateway's answer to ``GET /studies`` as entries, oldest study first, series by number.

    Raises:
        ProtocolViolation: it has another form.

    """
    studies = [
        StudyEntry(
            study=_text(study, "study"),
            day=_day(_text(study, "StudyDate")),
            description=_text(study, "StudyDescription"),
            series=tuple(sorted((_series(entry) for entry in _objects(study, "series")), key=_number)),
        )
        for study in _objects(answer, "studies")
    ]
    return tuple(sorted(studies, key=lambda study: (not study.day, study.day)))


def _series(entry: Mapping[str, object]) -> SeriesEntry:
    return SeriesEntry(
        series=_text(entry, "series"),
        modality=_text(entry, "Modality"),
        number=_text(entry, "SeriesNumber"),
        description=_text(entry, "SeriesDescription"),
        body_part=_text(entry, "BodyPartExamined"),
        images=_text(entry, "NumberOfSeriesRelatedInstances"),
    )


def _number(entry: SeriesEntry) -> tuple[bool, int, str]:
    is_number = entry.number.isascii() and entry.number.isdigit() and len(entry.number) < _LONGEST_NUMBER
    return not is_number, int(entry.number) if is_number else 0, entry.number


def _objects(source: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = source.get(name)
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise ProtocolViolation("gateway", "answered with a list of another form", "update both sides")
    return found


def _text(source: Mapping[str, object], name: str) -> str:
    value = source.get(name, "")
    if not isinstance(value, (str, int)):
        raise ProtocolViolation("gateway", "answered with a list of another form", "update both sides")
    return str(value)


def _day(dicom: str) -> str:
    """Return a DICOM date (PS3.5 6.2, YYYYMMDD) with hyphens; anything else as it is."""
    is_date = len(dicom) == len("YYYYMMDD") and dicom.isdigit()
    return f"{dicom[:4]}-{dicom[4:6]}-{dicom[6:]}" if is_date else dicom


def _note(error: P2DError) -> str:
    return f"{error.field} {error.problem}"
