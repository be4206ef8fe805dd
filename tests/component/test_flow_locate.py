"""From pseudonyms to searches: each kind of identifier, calendars, stays, and the budget."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.access.check import unknown
from p2d.flows.gateway.adhoc import AdHoc
from p2d.flows.gateway.locate import SEARCH_BUDGET, locate
from p2d.identity.port import Domain
from p2d.model.errors import InvalidRequest, NotFound, Refused
from p2d.model.identified import CaseStay, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Kind
from p2d.model.request import Request, Target, TimeFrame
from p2d.testing.datasets import held_ct, three_patients
from p2d.testing.gateway_stages import GatewayStages, gateway_stages

HELD = three_patients().listed
P2_CT = [one for one in HELD if one["PatientID"] == "P-2" and one["Modality"] == "CT"]
STUDY, SERIES, INSTANCE = (
    P2_CT[0][keyword] for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
)
DAY = date(2019, 7, 1)  # of P-2's only study


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, HELD)


def found(stages: GatewayStages, *targets: Target, patients: tuple[str, ...] = ("P-2",)) -> int:
    """How many images an ad hoc query of *targets* lists."""
    return len(AdHoc(stages.gateway).metadata(Request(targets), stages.session(*patients)).headers)


def shift_of(stages: GatewayStages, patient: str) -> timedelta:
    return timedelta(days=stages.identity.date_shift([stages.patient(patient)])[0])


def test_each_kind_of_identifier_finds_its_part(stages: GatewayStages) -> None:
    stages.patient("P-2")
    study = stages.study(STUDY)

    assert found(stages, stages.target("P-2")) == 18
    assert found(stages, Target(Kind.STUDY, study)) == 18
    assert found(stages, Target(Kind.ACCESSION, stages.accession("ACC-21"))) == 18
    assert found(stages, Target(Kind.SERIES, stages.derived(SERIES), study)) == 8
    assert found(stages, Target(Kind.INSTANCE, stages.derived(INSTANCE), study)) == 1


def test_several_identifiers_of_a_patient_are_one_work_and_count_images_once(stages: GatewayStages) -> None:
    study = stages.study(STUDY)
    targets = (
        stages.target("P-2"),
        Target(Kind.STUDY, study),
        Target(Kind.SERIES, stages.derived(SERIES), study),
        stages.target("P-2"),
    )

    works, unresolved = locate(stages.gateway, targets, None)

    assert [(work.patient, len(work.searches)) for work in works] == [(stages.patient("P-2"), 3)]
    assert unresolved == []
    assert found(stages, *targets) == 18


def test_without_its_study_a_series_is_searched_in_the_sessions_patients_only(stages: GatewayStages) -> None:
    series = Target(Kind.SERIES, stages.derived(SERIES))
    instance = Target(Kind.INSTANCE, stages.derived(INSTANCE))

    assert found(stages, series, patients=("P-1", "P-2")) == 8
    assert found(stages, instance, patients=("P-1", "P-2")) == 1
    assert found(stages, series, patients=("P-1", "P-3")) == 0


def test_the_search_without_study_has_a_budget(stages: GatewayStages) -> None:
    many = frozenset(stages.patient(f"X-{n}") for n in range(SEARCH_BUDGET + 1))
    target = Target(Kind.SERIES, stages.derived(SERIES))

    with pytest.raises(InvalidRequest, match=rf"at most {SEARCH_BUDGET} patients") as caught:
        locate(stages.gateway, [target], many)
    with pytest.raises(InvalidRequest):
        locate(stages.gateway, [target], None)

    assert caught.value.field == "identifiers.study"
    assert stages.asked == 0


@given(shape=st.sampled_from(list(Calendar)), before=st.integers(0, 3), after=st.integers(0, 3))
def test_a_frame_is_converted_into_the_true_calendar_of_each_patient(
    tmp_path_factory: pytest.TempPathFactory, shape: Calendar, before: int, after: int
) -> None:
    stages = gateway_stages(tmp_path_factory.mktemp("s"), HELD, allow_true_frames=True)
    shift = shift_of(stages, "P-2") if shape is Calendar.SHIFTED else timedelta(0)
    around = TimeFrame(DAY + shift - timedelta(days=before), DAY + shift + timedelta(days=after), shape)
    beside = TimeFrame(DAY + shift + timedelta(days=1), None, shape)

    (work,), _ = locate(stages.gateway, [stages.target("P-2", around)], None)

    (search,) = work.searches
    assert search.first_day == DAY - timedelta(days=before)
    assert search.last_day == DAY + timedelta(days=after)
    assert found(stages, stages.target("P-2", around)) == 18
    assert found(stages, stages.target("P-2", beside)) == 0


def test_the_same_frame_means_other_true_days_for_other_patients(stages: GatewayStages) -> None:
    frame = TimeFrame(date(2020, 1, 1), date(2020, 12, 31))

    works, _ = locate(stages.gateway, [stages.target("P-1", frame), stages.target("P-2", frame)], None)

    days = {work.searches[0].first_day for work in works}
    assert days == {date(2020, 1, 1) - shift_of(stages, patient) for patient in ("P-1", "P-2")}
    assert len(days) == 2


def test_true_dates_are_refused_unless_the_site_allows_them(stages: GatewayStages) -> None:
    target = stages.target("P-2", TimeFrame(DAY, DAY, Calendar.TRUE))

    with pytest.raises(Refused, match="true dates"):
        found(stages, target)

    assert stages.asked == 0


def test_where_the_warehouse_keeps_true_dates_no_frame_is_moved(tmp_path: Path) -> None:
    stages = gateway_stages(tmp_path, HELD, calendar=Calendar.TRUE)

    assert found(stages, stages.target("P-2", TimeFrame(DAY, DAY))) == 18


@pytest.mark.parametrize("day", [date.min, date.max])
@pytest.mark.parametrize("patient", ["P-1", "P-2", "P-3"])
def test_the_ends_of_the_calendar_can_be_stated_whatever_the_shift(
    stages: GatewayStages, day: date, patient: str
) -> None:
    all_of_it = TimeFrame(date.min, date.max)
    count = len([one for one in HELD if one["PatientID"] == patient])

    locate(stages.gateway, [stages.target(patient, TimeFrame(day, day))], None)

    assert found(stages, stages.target(patient, all_of_it), patients=(patient,)) == count


def stay(start: date | None, end: date | None, admission: str = "CASE-21") -> CaseStay:
    return CaseStay(admission, PatientId("P-2"), start, end)


def test_a_case_finds_the_studies_of_its_stay(stages: GatewayStages) -> None:
    stages.patient("P-2")
    week = timedelta(days=3)

    assert found(stages, Target(Kind.CASE, stages.case(stay(DAY - week, DAY + week)))) == 18


def test_another_admission_in_the_same_stay_is_another_case(stages: GatewayStages) -> None:
    stages.patient("P-2")

    assert found(stages, Target(Kind.CASE, stages.case(stay(DAY, DAY, "CASE-99")))) == 0


def test_a_stay_before_the_study_finds_nothing(stages: GatewayStages) -> None:
    stages.patient("P-2")
    early = stay(DAY - timedelta(days=9), DAY - timedelta(days=2))

    assert found(stages, Target(Kind.CASE, stages.case(early))) == 0


def test_a_study_without_admission_belongs_to_the_stay_it_lies_in(tmp_path: Path) -> None:
    silent = held_ct(PatientID="P-2", StudyDate="20190701", AdmissionID="")
    stages = gateway_stages(tmp_path, [silent])
    stages.patient("P-2")

    assert found(stages, Target(Kind.CASE, stages.case(stay(DAY, DAY, "CASE-99")))) == 1


def test_a_stay_without_days_is_matched_by_its_admission_alone(tmp_path: Path) -> None:
    silent = held_ct(PatientID="P-2", AdmissionID="", StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4")
    stages = gateway_stages(tmp_path, [*HELD, silent])
    stages.patient("P-2")

    assert found(stages, Target(Kind.CASE, stages.case(stay(None, None)))) == 18


def test_a_frame_outside_the_stay_asks_the_archive_nothing(stages: GatewayStages) -> None:
    stages.patient("P-2")
    frame = TimeFrame(DAY + shift_of(stages, "P-2") + timedelta(days=30), None)
    case = stages.case(stay(DAY, DAY))

    assert found(stages, Target(Kind.CASE, case, frame=frame)) == 0
    assert stages.pacs.queries == 0


def test_a_frame_narrows_a_stay(stages: GatewayStages) -> None:
    stages.patient("P-2")
    month = timedelta(days=30)
    moved = DAY + shift_of(stages, "P-2")
    case = Target(Kind.CASE, stages.case(stay(DAY - month, DAY + month)), frame=TimeFrame(moved, moved))

    (work,), _ = locate(stages.gateway, [case], None)

    assert (work.searches[0].first_day, work.searches[0].last_day) == (DAY, DAY)


def test_a_case_of_a_patient_without_pseudonym_is_not_found(stages: GatewayStages) -> None:
    case = stages.case(CaseStay("CASE-77", PatientId("P-77"), DAY, DAY))

    with pytest.raises(NotFound) as caught:
        found(stages, Target(Kind.CASE, case))

    assert str(caught.value) == str(unknown("identifiers[0]"))


def test_outside_a_session_each_failure_keeps_its_reason(stages: GatewayStages) -> None:
    patient = stages.patient("P-77", known=False)
    wrong = Pseudonym(f"{patient[:-1]}{'0' if patient[-1] != '0' else '1'}")

    works, unresolved = locate(
        stages.gateway, [Target(Kind.PATIENT, patient), Target(Kind.PATIENT, wrong)], None
    )

    assert works == []
    assert [(item.field, item.reason) for item in unresolved] == [
        ("identifiers[0]", "NotFound"),
        ("identifiers[1]", "Invalid"),
    ]


def test_a_study_that_names_two_patients_shows_the_sessions_only(tmp_path: Path) -> None:
    shared = [
        held_ct(PatientID=patient, SeriesInstanceUID=f"1.2.{n}", SOPInstanceUID=f"1.2.{n}.1")
        for n, patient in enumerate(("P-1", "P-2"), 1)
    ]
    stages = gateway_stages(tmp_path, shared)
    stages.patient("P-1")
    study = Target(Kind.STUDY, stages.study(shared[0]["StudyInstanceUID"]))

    assert found(stages, study, patients=("P-2",)) == 1
    with pytest.raises(NotFound):
        found(stages, study, patients=("P-3",))


def test_identifiers_show_in_no_repr(stages: GatewayStages) -> None:
    targets = (
        stages.target("P-2", TimeFrame(DAY, DAY)),
        Target(Kind.STUDY, stages.study(STUDY)),
        Target(Kind.ACCESSION, stages.accession("ACC-21")),
        Target(Kind.CASE, stages.case(stay(DAY, DAY))),
    )

    works, _ = locate(stages.gateway, targets, None)

    assert not any(secret in repr(works) for secret in ("P-2", STUDY, "ACC-21", "CASE-21", "datetime"))


def test_identity_is_asked_in_lists(stages: GatewayStages) -> None:
    calls: list[int] = []
    inner = stages.identity.resolve

    def resolve(domain: Domain, pseudonyms: list[Pseudonym]) -> object:
        calls.append(len(pseudonyms))
        return inner(domain, pseudonyms)

    stages.identity.resolve = resolve  # type: ignore[method-assign,assignment]  # counts lists
    gateway = replace(stages.gateway, identity=stages.identity)

    locate(gateway, [stages.target(patient) for patient in ("P-1", "P-2", "P-3")], None)

    assert calls == [3]
