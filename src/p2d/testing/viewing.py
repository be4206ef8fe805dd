"""In-memory stand-ins for the two sides of the start page: the warehouse's cohorts and the gateway."""

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from p2d.flows.research.gateway_client import SessionKey
from p2d.flows.research.viewing import CohortAnswer, QueryRead, StudyEntry
from p2d.model.errors import InvalidRequest, NotFound, Refused, Unavailable
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.completion import Completion, complete
from p2d.warehouse.query.text_form.grammar import parse_text
from p2d.warehouse.query.text_form.vocabulary import Names
from p2d.warehouse.query.text_form.writer import as_line
from p2d.warehouse.query.words.sentences import LANGUAGES, query_words

_VALUES = {"Modality": ("CT", "MR")}


def sample_jpeg(side: int = 96) -> bytes:
    """Return a grey gradient of *side* by *side* pixels as JPEG."""
    target = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).save(target, "JPEG")
    return target.getvalue()


@dataclass(slots=True)
class CohortsFake:
    """Answers every query with ``answer``; a query without ``where`` is invalid. Records who asked."""

    answer: CohortAnswer
    own: Mapping[str, Sequence[StudyEntry]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    listed: list[tuple[str, str]] = field(default_factory=list)

    def run(self, user: str, query: Mapping[str, object], rows: int, question: str = "") -> CohortAnswer:
        """Record the question and return the answer, cut to *rows* rows."""
        del question
        self.asked.append((user, query))
        if "where" not in query:
            raise InvalidRequest("where", "is missing", "write a group or a criterion")
        shown = self.answer
        return CohortAnswer(
            shown.counts, shown.columns, shown.rows[:rows], shown.total, shown.patients, shown.note
        )

    def read(self, user: str, query: str | Mapping[str, object]) -> QueryRead:
        """Return *query* as it is written; any name will do."""
        del user
        found = parse_text(query) if isinstance(query, str) else parse(query)
        words = {str(language): query_words(found, language) for language in LANGUAGES}
        return QueryRead(query_json(found), as_line(found), words)

    def complete(self, user: str, line: str, cursor: int) -> Sequence[Completion]:
        """Return what may come at *cursor* where LVEF and Modality are all there is."""
        del user
        names = Names(frozenset({"LVEF", "Modality"}), values=lambda name: _VALUES.get(name, ()))
        return complete(line, cursor, names)

    def studies_of(self, user: str, patient: str) -> Sequence[StudyEntry]:
        """Record the question and return what ``own`` holds of *patient*."""
        self.listed.append((user, patient))
        return self.own.get(patient, ())


@dataclass(slots=True)
class ArchiveFake:
    """A gateway in memory: lists by patient, withheld series with their reason, all others one JPEG.

    ``is_up`` False makes it silent; ``end_sessions`` ends all sessions as a restart or idleness would.
    """

    lists: Mapping[str, dict[str, object]]
    withheld: Mapping[str, str] = field(default_factory=dict)
    picture: bytes = field(default_factory=sample_jpeg, repr=False)
    is_up: bool = True
    opened: list[tuple[str, str, tuple[str, ...], bool]] = field(default_factory=list)
    rendered_series: list[str] = field(default_factory=list)
    _live: dict[str, frozenset[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open_session(
        self, user: str, role: str, patients: Sequence[str], *, images: bool, hours: float | None = None
    ) -> SessionKey:
        """Open a session for *patients*."""
        self._require_up()
        with self._lock:
            self.opened.append((user, role, tuple(patients), images))
            key = f"key-{len(self.opened)}"
            self._live[key] = frozenset(patients)
        return SessionKey(f"S{len(self.opened)}", key, f"in {hours or 8:g} h")

    def close_session(self, session: SessionKey) -> None:
        """End a session."""
        self._require_up()
        self._live.pop(session.key, None)

    def end_sessions(self) -> None:
        """End all sessions."""
        self._live.clear()

    @property
    def live_sessions(self) -> int:
        """How many sessions are open."""
        return len(self._live)

    def studies(self, session: SessionKey, patient: str) -> dict[str, object]:
        """Return the list of *patient*."""
        if patient not in self._patients(session) or patient not in self.lists:
            raise NotFound("patient", "is unknown", "use a patient of the session")
        return self.lists[patient]

    def rendered(self, session: SessionKey, study: str, series: str) -> bytes:
        """Return the JPEG, unless the series is withheld."""
        self._patients(session)
        self.rendered_series.append(f"{study}/{series}")
        if series in self.withheld:
            raise Refused("series", f"its image is withheld: {self.withheld[series]}")
        return self.picture

    def _patients(self, session: SessionKey) -> frozenset[str]:
        self._require_up()
        if session.key not in self._live:
            raise Refused("session", "the key opens no session (unknown, expired or closed)")
        return self._live[session.key]

    def _require_up(self) -> None:
        if not self.is_up:
            raise Unavailable("gateway", "does not answer (ConnectError)", "check that it runs: p2d check")
