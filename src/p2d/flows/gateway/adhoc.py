"""Ad hoc queries inside a session: metadata, images, a patient's studies. Audited before the first byte.

Every request is checked against the session's patients and modalities before identity or the archive is
asked, and again on every object received.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace

from p2d.access.check import check_session_request, inside, unknown
from p2d.access.policy import ModalityPolicy
from p2d.access.sessions import Session
from p2d.audit.log import Entry
from p2d.audit.refusals import marked, refusals_recorded
from p2d.flows.gateway.deid_report import ImageRun
from p2d.flows.gateway.forms import check_attributes, check_forms
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import PatientWork, locate
from p2d.flows.gateway.patient import Prepared, extract_headers, prepared_ahead, release_images
from p2d.jobs import ledger
from p2d.jobs.counts import SeriesCounts
from p2d.model.errors import Refused
from p2d.model.header import text_of
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Kind, Level, Output, Scope
from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld
from p2d.model.request import Request, Target

_MODALITY = "00080060"


@dataclass(frozen=True, slots=True)
class Answer:
    """Released headers of an ad hoc query and its ledger lines."""

    headers: list[ReleasedHeader]
    lines: list[SeriesCounts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AdHoc:
    """The researcher's queries; one instance a gateway."""

    gateway: Gateway

    def metadata(self, request: Request, session: Session) -> Answer:
        """Return the released headers that *request* asks for.

        Raises:
            NotFound: an identifier that is unknown or outside the session.
            Refused: policy or approval does not allow it.
            InvalidRequest: an attribute that the DICOM dictionary does not know.
            Unavailable, ProtocolViolation: the archive or identity failed; nothing is returned.

        """
        with self._refusals("metadata", session):
            request, _ = self._checked(request, session)
        with marked(), self._audited("metadata", request, session) as entry:
            answer, entries = Answer([]), []
            for work in self._locate(request, session):
                got = extract_headers(self.gateway, work, request)
                entries.append(ledger.Entry(str(work.patient), got.lines, got.notes, findings=got.findings))
                answer.headers.extend(got.extended if request.scope is Scope.EXTENDED else got.basic)
                answer.lines.extend(got.lines)
                answer.notes.extend(got.notes)
            booked = self.gateway.ledger.book("metadata", request.as_json(), entries, session.user)
            entry.outcome(ledger=booked, **totals(answer.lines))
        return answer

    def images(
        self, request: Request, session: Session, run: ImageRun
    ) -> Iterator[ReleasedInstance | Withheld]:
        """Yield the images of *request* as they arrive; *run* receives ledger and counts as patients end.

        Checks, and the resolution of the identifiers, happen before this returns; the archive is asked for
        images while the result is consumed.

        Raises:
            NotFound, Refused, InvalidRequest, Unavailable, ProtocolViolation: as ``metadata``.

        """
        with self._refusals("images", session):
            request, policy = self._checked(request, session)
        entry = self.gateway.audit.begin(
            action="images", user=session.user, session=session.session_id, subject=_subject(request)
        )
        try:
            with marked():
                works = self._locate(request, session)
        except BaseException as error:
            entry.close(error)
            raise
        run.query, run.user = entry.query, session.user
        return self._stream(request, works, policy, entry, run)

    def _stream(
        self,
        request: Request,
        works: Sequence[PatientWork],
        policy: ModalityPolicy,
        entry: Entry,
        run: ImageRun,
    ) -> Iterator[ReleasedInstance | Withheld]:
        try:
            with marked():
                yield from self._outcomes(request, works, policy, run)
            booked = self.gateway.ledger.book("images", request.as_json(), run.entries, run.user)
            entry.outcome(ledger=booked, **totals(run.lines))
        except BaseException as error:
            entry.close(error)
            raise
        entry.close(None)

    def _outcomes(
        self,
        request: Request,
        works: Sequence[PatientWork],
        policy: ModalityPolicy,
        run: ImageRun,
    ) -> Iterator[ReleasedInstance | Withheld]:
        with closing(prepared_ahead(self.gateway, works, request)) as patients:
            for prepared in patients:
                yield from self._outcomes_of(prepared, policy, run)

    def _outcomes_of(
        self, prepared: Prepared, policy: ModalityPolicy, run: ImageRun
    ) -> Iterator[ReleasedInstance | Withheld]:
        patient = prepared.work.patient
        allowed = [h for h in prepared.picks if policy.permits(text_of(h.elements, _MODALITY))]
        kept = {header.sop_instance_uid for header in allowed}
        for header in prepared.picks:
            if header.sop_instance_uid not in kept:
                study, series = prepared.pseudonyms_of(header)
                instance = prepared.keys.uids.get(header.sop_instance_uid, "")
                withheld = Withheld(patient, study, series, instance, Reason.MODALITY)
                prepared.tally.count(study, series, withheld)
                yield withheld
        yield from release_images(self.gateway, replace(prepared, picks=allowed), policy.permits)
        lines, tally = prepared.tally.lines(), prepared.tally
        run.lines.extend(lines)
        run.entries.append(ledger.Entry(str(patient), lines, tally.notes, findings=tally.findings))
        run.tally.merge(prepared.deid)

    def studies(self, patient: Pseudonym, session: Session) -> list[ReleasedHeader]:
        """Return one released header a series of *patient*: what a viewer lists.

        Raises:
            NotFound: unknown, or outside the session.

        """
        with self._refusals("studies", session):
            inside(session, patient, "patient")
        request = Request((Target(Kind.PATIENT, patient),), choice=Choice.FIRST, level=Level.SERIES)
        return self.metadata(request, session).headers

    def preview(self, study: Pseudonym, series: Pseudonym, session: Session) -> ReleasedInstance | Withheld:
        """Return the middle image of a series, released, for rendering.

        Raises:
            NotFound: unknown, outside the session, or without an image.
            Refused: images leave after a release review only.

        """
        with self._refusals("preview", session):
            self._check_no_review()
        target = Target(Kind.SERIES, series, study)
        request = Request((target,), choice=Choice.MIDDLE, output=Output.JPEG)
        outcomes = list(self.images(request, session, ImageRun()))
        if not outcomes:
            raise unknown("series")
        return outcomes[0]

    def _checked(self, request: Request, session: Session) -> tuple[Request, ModalityPolicy]:
        policy = self.gateway.policy.narrowed_by(session)
        check_attributes(request.attributes)
        check_forms(request.targets, self.gateway.patient_form)
        checked = check_session_request(
            request, session, policy, true_frames_allowed=self.gateway.allow_true_frames
        )
        return checked, policy

    def _check_no_review(self) -> None:
        if self.gateway.profile.review:
            raise Refused(
                "series",
                "its images leave after a release review only",
                "ask for them as images (p2d images); an officer reviews them (p2d review)",
            )

    def _locate(self, request: Request, session: Session) -> list[PatientWork]:
        works, _ = locate(self.gateway, request.targets, session.patients)
        for work in works:
            inside(session, work.patient, "identifiers")
        return works

    def _refusals(self, action: str, session: Session) -> AbstractContextManager[None]:
        return refusals_recorded(
            self.gateway.audit, action=action, user=session.user, session=session.session_id
        )

    def _audited(self, action: str, request: Request, session: Session) -> AbstractContextManager[Entry]:
        return self.gateway.audit.query(
            action=action, user=session.user, session=session.session_id, subject=_subject(request)
        )


def totals(lines: Sequence[SeriesCounts]) -> dict[str, int]:
    """Return the sums of *lines* under the ledger's words."""
    return {
        "series": len(lines),
        "expected": sum(line.expected for line in lines),
        "received": sum(line.received for line in lines),
        "missing": sum(line.missing for line in lines),
        "released": sum(line.released for line in lines),
        "withheld": sum(sum(line.withheld.values()) for line in lines),
        "duplicate": sum(line.duplicate for line in lines),
        "refused": sum(line.refused for line in lines),
    }


def _subject(request: Request) -> dict[str, object]:
    return {
        "identifiers": [f"{target.kind}:{target.pseudonym}" for target in request.targets],
        "modalities": sorted(request.modalities),
        "choice": str(request.choice),
        "scope": str(request.scope),
        "output": str(request.output),
    }
