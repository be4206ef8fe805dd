"""Decide whether a request may go on, before identity or the archive is asked.

What is unknown and what lies outside the session end in the same error, made in one place.
"""

from collections.abc import Iterable

from p2d.access.caller import Caller
from p2d.access.policy import ModalityPolicy
from p2d.access.roles import Role
from p2d.access.sessions import Session
from p2d.model.errors import NotFound, Refused
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Kind
from p2d.model.request import Request, Target


def check_bulk(caller: Caller) -> None:
    """Let operators pass; bulk runs need no session.

    Raises:
        Refused: the caller has another role.

    """
    if caller.role is not Role.OPERATOR:
        raise Refused("role", "bulk runs are for operators", "ask an operator to run the extraction")


def check_review(caller: Caller, asker: str) -> None:
    """Let an officer pass who did not ask for the images under review.

    Raises:
        Refused: the caller has another role, or is *asker*.

    """
    check_officer(caller)
    if caller.user == asker:
        raise Refused("hold", "is your own request", "let another officer decide on it")


def check_officer(caller: Caller) -> None:
    """Let officers pass: they look at images that are held for a release review.

    Raises:
        Refused: the caller has another role.

    """
    if caller.role is not Role.OFFICER:
        raise Refused("role", "release reviews are for officers", "ask a data protection officer")


def check_true_frames(targets: Iterable[Target], *, true_frames_allowed: bool) -> None:
    """Let time frames in true dates pass only where the site allows them.

    Raises:
        Refused: a time frame in true dates without permission.

    """
    if true_frames_allowed:
        return
    for index, target in enumerate(targets):
        if target.frame and target.frame.calendar is Calendar.TRUE:
            raise Refused(
                f"identifiers[{index}].calendar",
                "time frames in true dates are not allowed here",
                "state it in the patient's shifted calendar, as the warehouse shows dates",
            )


def check_session_request(
    request: Request, session: Session, policy: ModalityPolicy, *, true_frames_allowed: bool
) -> Request:
    """Return *request* when *session* and *policy* (already narrowed by it) let it go on.

    Patients are checked here. Cases, studies, series, instances and accessions pass, and what they resolve
    to is checked by ``inside``.

    Raises:
        Refused: images without permission, a modality that policy denies, true dates without permission.
        NotFound: a patient outside the session.

    """
    if request.output.is_image:
        _check_images(request, session, policy)
    check_true_frames(request.targets, true_frames_allowed=true_frames_allowed)
    for index, target in enumerate(request.targets):
        if target.kind is Kind.PATIENT:
            inside(session, target.pseudonym, f"identifiers[{index}]")
    return request


def inside(session: Session, patient: Pseudonym, field: str = "identifiers") -> None:
    """Let *patient* pass when it is one of the session's.

    Raises:
        NotFound: it is not; the same error as for an unknown one.

    """
    if patient not in session.patients:
        raise unknown(field)


def unknown(field: str) -> NotFound:
    """Return the one error for *field* being unknown or outside the session."""
    return NotFound(
        field,
        "is unknown or not part of this session",
        "check the pseudonym, or open a session that holds it",
    )


def _check_images(request: Request, session: Session, policy: ModalityPolicy) -> None:
    if not session.images:
        raise Refused("output", "this session does not include images", "open a session approved for images")
    denied = sorted(code for code in request.modalities if not policy.permits(code))
    if denied:
        raise Refused(
            "modalities",
            f"the modality policy does not release images of {', '.join(denied)}",
            "leave these modalities out, or ask for their metadata",
        )
