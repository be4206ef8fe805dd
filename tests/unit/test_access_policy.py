"""Who may ask what: roles, modality policy, one answer for unknown and outside."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.access.caller import Caller
from p2d.access.check import check_bulk, check_session_request, inside, unknown
from p2d.access.policy import ModalityPolicy
from p2d.access.roles import Role
from p2d.access.sessions import Session
from p2d.model.errors import NotFound, P2DError, Refused
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Kind, Output
from p2d.model.modality import MODALITIES
from p2d.model.request import Request, Target, TimeFrame

ANNA, BODO = Pseudonym("P-ANNA"), Pseudonym("P-BODO")
SOME = ["CT", "MR", "US", "DX", "SR"]
modality_sets = st.frozensets(st.sampled_from(SOME))


def session(
    *,
    patients: frozenset[Pseudonym] = frozenset({ANNA}),
    allow: frozenset[str] = frozenset(),
    deny: frozenset[str] = frozenset(),
    images: bool = True,
) -> Session:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    return Session("S1", "researcher", Role.RESEARCHER, patients, allow, deny, images, end)


def request(
    patient: Pseudonym = ANNA,
    kind: Kind = Kind.PATIENT,
    frame: TimeFrame | None = None,
    *,
    modalities: frozenset[str] = frozenset(),
    output: Output = Output.JSON,
) -> Request:
    return Request((Target(kind, patient, frame=frame),), modalities=modalities, output=output)


def check(asked: Request, within: Session, *, true_frames_allowed: bool = False) -> Request:
    policy = ModalityPolicy(deny=frozenset({"US"})).narrowed_by(within)
    return check_session_request(asked, within, policy, true_frames_allowed=true_frames_allowed)


def raised(action: Callable[[], object]) -> P2DError:
    with pytest.raises(P2DError) as caught:
        action()
    return caught.value


@given(allow=modality_sets, deny=modality_sets, modality=st.sampled_from(SOME))
def test_a_modality_is_permitted_when_allowed_and_not_denied(
    allow: frozenset[str], deny: frozenset[str], modality: str
) -> None:
    permitted = ModalityPolicy(allow, deny).permits(modality)

    assert permitted == ((not allow or modality in allow) and modality not in deny)


@given(allow=modality_sets, deny=modality_sets, text=st.text(max_size=12))
def test_an_undefined_modality_is_never_permitted(
    allow: frozenset[str], deny: frozenset[str], text: str
) -> None:
    policy = ModalityPolicy(allow | {text}, deny)

    assert not policy.permits(text) or text in MODALITIES
    assert not policy.permits("")


@given(
    site=st.tuples(modality_sets, modality_sets),
    own=st.tuples(modality_sets, modality_sets),
    modality=st.sampled_from([*SOME, "MG", "", "??"]),
)
def test_a_narrowed_policy_permits_what_site_and_session_both_permit(
    site: tuple[frozenset[str], frozenset[str]], own: tuple[frozenset[str], frozenset[str]], modality: str
) -> None:
    policy = ModalityPolicy(*site)

    narrowed = policy.narrowed_by(session(allow=own[0], deny=own[1]))

    both = policy.permits(modality) and ModalityPolicy(*own).permits(modality)
    assert narrowed.permits(modality) == both


def test_a_patient_of_the_session_passes() -> None:
    asked = request()

    assert check(asked, session()) is asked


def test_unknown_and_outside_are_the_same_error() -> None:
    outside = raised(lambda: check(request(BODO), session()))
    later = raised(lambda: inside(session(), BODO, "identifiers[0]"))
    not_known = unknown("identifiers[0]")

    assert type(outside) is type(later) is type(not_known) is NotFound
    assert str(outside) == str(later) == str(not_known)
    assert BODO not in str(outside)


def test_the_error_names_the_first_identifier_outside() -> None:
    asked = Request((Target(Kind.PATIENT, ANNA), Target(Kind.PATIENT, BODO)))

    assert raised(lambda: check(asked, session())).field == "identifiers[1]"


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.PATIENT])
def test_other_kinds_pass_and_are_checked_by_the_patient_they_belong_to(kind: Kind) -> None:
    asked = request(BODO, kind)

    assert check(asked, session()) is asked


@pytest.mark.parametrize("output", [Output.DICOM, Output.JPEG])
def test_images_need_a_session_with_images(output: Output) -> None:
    without = session(images=False)

    assert raised(lambda: check(request(output=output), without)).status == Refused.status
    assert check(request(output=output), session())


def test_metadata_needs_no_session_with_images() -> None:
    assert check(request(output=Output.CSV), session(images=False))


def test_images_of_a_denied_modality_are_refused_by_name() -> None:
    asked = request(modalities=frozenset({"CT", "US"}), output=Output.DICOM)

    error = raised(lambda: check(asked, session()))

    assert isinstance(error, Refused)
    assert error.field == "modalities"
    assert "policy" in error.problem
    assert "US" in error.problem


def test_metadata_of_a_denied_modality_is_allowed() -> None:
    assert check(request(modalities=frozenset({"US"})), session())


def test_true_dates_need_permission() -> None:
    asked = request(frame=TimeFrame(date(2020, 1, 1), None, Calendar.TRUE))

    error = raised(lambda: check(asked, session()))

    assert isinstance(error, Refused)
    assert error.field == "identifiers[0].calendar"
    assert check(asked, session(), true_frames_allowed=True)


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.OFFICER])
def test_bulk_is_for_operators_only(role: Role) -> None:
    with pytest.raises(Refused):
        check_bulk(Caller("ruth", role, "warehouse"))

    check_bulk(Caller("olaf", Role.OPERATOR, "warehouse"))
