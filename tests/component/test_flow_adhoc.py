"""Ad hoc queries over fakes: refused before anything is asked, checked again on arrival, all on record."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from p2d.access.policy import ModalityPolicy
from p2d.access.sessions import Session
from p2d.deid.profile.profile import RESEARCH
from p2d.flows.gateway.adhoc import AdHoc
from p2d.flows.gateway.deid_report import ImageRun
from p2d.model.errors import InvalidRequest, Misconfigured, NotFound, P2DError, Refused, Unavailable
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Kind, Output, Scope
from p2d.model.released import Reason, ReleasedInstance, Withheld
from p2d.model.request import Request, Target
from p2d.testing.datasets import ct, held_ct, three_patients
from p2d.testing.gateway_stages import GatewayStages, gateway_stages
from p2d.testing.holdings import HeldInstance

SECRETS = ("P-1", "P-2", "P-3", "Example", "Müller", "ACC-", "CASE-", "1.2.826.")


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, three_patients().listed)


def images(stages: GatewayStages, request: Request, session: Session) -> list[ReleasedInstance | Withheld]:
    return list(AdHoc(stages.gateway).images(replace(request, output=Output.DICOM), session, ImageRun()))


def asked(stages: GatewayStages, request: Request, session: Session) -> object:
    ask = AdHoc(stages.gateway)
    return (
        ask.images(request, session, ImageRun())
        if request.output.is_image
        else ask.metadata(request, session)
    )


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize(("choice", "rows"), [(Choice.FIRST, 3), (Choice.MIDDLE, 3), (Choice.ALL, 22)])
def test_metadata_are_of_the_chosen_images_and_in_pseudonyms(
    stages: GatewayStages, scope: Scope, choice: Choice, rows: int
) -> None:
    request = Request((stages.target("P-1"),), choice=choice, scope=scope)

    answer = AdHoc(stages.gateway).metadata(request, stages.session("P-1"))

    assert len(answer.headers) == rows
    assert {header.patient for header in answer.headers} == {stages.patient("P-1")}
    texts = str([dict(header.elements) for header in answer.headers])
    assert not any(secret in texts for secret in {*SECRETS} - {"Example"})  # Example is the manufacturer
    assert sum(line.missing for line in answer.lines) == 0
    assert all(line.adds_up for line in answer.lines)


def test_images_arrive_released_with_a_ledger_that_adds_up(stages: GatewayStages) -> None:
    run = ImageRun()
    request = Request((stages.target("P-2"),), output=Output.DICOM)

    found = list(AdHoc(stages.gateway).images(request, stages.session("P-2", images=True), run))

    assert len([one for one in found if isinstance(one, ReleasedInstance)]) == 18
    assert len(run.lines) == 2
    assert run.tally.objects == 18


def test_a_profile_of_whole_weeks_is_not_served_with_shifts_by_days(stages: GatewayStages) -> None:
    weekly = replace(stages.gateway, profile=replace(RESEARCH, whole_weeks=True))
    targets = tuple(stages.target(patient) for patient in ("P-1", "P-2", "P-3"))

    with pytest.raises(Misconfigured, match="whole weeks"):
        AdHoc(weekly).metadata(Request(targets), stages.session("P-1", "P-2", "P-3"))


def other_patient(stages: GatewayStages) -> Target:
    return stages.target("P-2")


def unknown_patient(stages: GatewayStages) -> Target:
    return Target(Kind.PATIENT, stages.patient("P-77", known=False))


def other_study(stages: GatewayStages) -> Target:
    uid = next(one["StudyInstanceUID"] for one in three_patients().listed if one["PatientID"] == "P-2")
    stages.patient("P-2")
    return Target(Kind.STUDY, stages.study(uid))


def unknown_study(stages: GatewayStages) -> Target:
    return Target(Kind.STUDY, stages.derived("1.2.3.4"))


def other_accession(stages: GatewayStages) -> Target:
    stages.patient("P-2")
    return Target(Kind.ACCESSION, stages.accession("ACC-21"))


@pytest.mark.parametrize(
    "target", [other_patient, unknown_patient, other_study, unknown_study, other_accession]
)
@pytest.mark.parametrize("output", [Output.JSON, Output.DICOM])
def test_outside_the_session_and_unknown_are_one_answer(
    stages: GatewayStages, target: Callable[[GatewayStages], Target], output: Output
) -> None:
    session = stages.session("P-1", images=True)
    request = Request((target(stages),), output=output)

    with pytest.raises(NotFound) as caught:
        asked(stages, request, session)

    assert str(caught.value) == (
        "identifiers[0]: is unknown or not part of this session"
        " (check the pseudonym, or open a session that holds it)"
    )
    assert stages.pacs.retrieves == 0
    record = stages.records()[-1]
    assert "NotFound" in str(record)
    assert not any(secret in stages.audit_file.read_text(encoding="utf-8") for secret in SECRETS)


@pytest.mark.parametrize("target", [other_patient, unknown_patient])
def test_for_a_patient_outside_neither_identity_nor_archive_is_asked(
    stages: GatewayStages, target: Callable[[GatewayStages], Target]
) -> None:
    session = stages.session("P-1")
    request = Request((stages.target("P-1"), target(stages)))

    with pytest.raises(NotFound, match=r"identifiers\[1\]"):
        AdHoc(stages.gateway).metadata(request, session)

    assert stages.asked == 0


@pytest.mark.parametrize(
    ("change", "session", "error", "field"),
    [
        ({"output": Output.JPEG}, {"images": False}, Refused, "output"),
        ({"output": Output.JPEG, "modalities": frozenset({"US"})}, {"images": True}, Refused, "modalities"),
        (
            {"output": Output.DICOM, "modalities": frozenset({"MR"})},
            {"images": True, "deny": ["MR"]},
            Refused,
            "modalities",
        ),
        (
            {"output": Output.DICOM, "modalities": frozenset({"MR"})},
            {"images": True, "allow": ["CT"]},
            Refused,
            "modalities",
        ),
        ({"attributes": ("Example^Anna",)}, {}, InvalidRequest, "attributes"),
        (
            {"output": Output.DICOM, "attributes": ("Example^Anna",)},
            {"images": True},
            InvalidRequest,
            "attributes",
        ),
        ({"targets": (Target(Kind.PATIENT, Pseudonym("Example-Anna")),)}, {}, InvalidRequest, "identifiers"),
        (
            {"targets": (Target(Kind.SERIES, Pseudonym("2.25.1"), Pseudonym("Example")),)},
            {},
            InvalidRequest,
            "identifiers.study",
        ),
    ],
)
def test_what_is_refused_is_on_record_and_nobody_was_asked(
    stages: GatewayStages,
    change: dict[str, object],
    session: dict[str, object],
    error: type[P2DError],
    field: str,
) -> None:
    opened = stages.session("P-1", **session)  # type: ignore[arg-type]  # keywords of a session
    request = replace(Request((stages.target("P-1"),)), **change)  # type: ignore[arg-type]  # of a request

    with pytest.raises(error) as caught:
        asked(stages, request, opened)

    assert caught.value.field.startswith(field.partition(".")[0])
    assert caught.value.remedy
    assert "Example" not in str(caught.value)
    assert stages.asked == 0
    (record,) = stages.records()
    assert (record["kind"], record["action"], record["user"]) == ("event", "refused", "rita")
    assert record["session"] == opened.session_id
    assert (record["subject"]["family"], record["subject"]["field"]) == (
        error.__name__,
        _without_study(field),
    )
    assert "Example" not in str(record)


def _without_study(field: str) -> str:
    return {"identifiers": "identifiers.pseudonym"}.get(field, field)


def test_a_modality_that_policy_denies_is_withheld_without_a_retrieve(stages: GatewayStages) -> None:
    session = stages.session("P-2", images=True, deny=["CT", "MR"])

    found = images(stages, Request((stages.target("P-2"),)), session)

    assert {one.reason for one in found if isinstance(one, Withheld)} == {Reason.MODALITY}
    assert len(found) == 18


def test_only_the_permitted_series_of_a_study_is_retrieved(stages: GatewayStages) -> None:
    session = stages.session("P-2", images=True, allow=["CT"])

    found = images(stages, Request((stages.target("P-2"),)), session)

    assert len([one for one in found if isinstance(one, ReleasedInstance)]) == 8
    assert len([one for one in found if isinstance(one, Withheld)]) == 10


@pytest.mark.parametrize("truth", ["US", "MG", "", "XX"])
def test_an_object_whose_own_modality_is_not_permitted_is_withheld_on_arrival(
    tmp_path: Path, truth: str
) -> None:
    listed_as_ct = HeldInstance(held_ct().attributes, partial(ct, Modality=truth))
    policy = ModalityPolicy(allow=frozenset({"CT"}))
    stages = gateway_stages(tmp_path, [listed_as_ct], policy=policy)

    (found,) = images(stages, Request((stages.target("P-1"),)), stages.session("P-1", images=True))

    assert isinstance(found, Withheld)
    assert stages.pacs.retrieves == 1


def test_an_object_of_another_patient_is_withheld(tmp_path: Path) -> None:
    swapped = HeldInstance(held_ct().attributes, partial(ct, PatientID="P-9"))
    stages = gateway_stages(tmp_path, [swapped])

    (found,) = images(stages, Request((stages.target("P-1"),)), stages.session("P-1", images=True))

    assert isinstance(found, Withheld)
    assert found.reason is Reason.PATIENT_MISMATCH


def test_a_viewer_gets_one_header_a_series_and_the_middle_image(stages: GatewayStages) -> None:
    session = stages.session("P-1", images=True)
    ask = AdHoc(stages.gateway)

    listed = ask.studies(stages.patient("P-1"), session)
    seen = ask.preview(Pseudonym(listed[0].study), Pseudonym(listed[0].series), session)

    assert len({header.series for header in listed}) == len(listed) == 3
    assert isinstance(seen, ReleasedInstance)
    assert seen.header.series == listed[0].series


def test_a_series_without_image_and_one_of_another_study_are_not_found(stages: GatewayStages) -> None:
    session = stages.session("P-1", images=True)
    listed = AdHoc(stages.gateway).studies(stages.patient("P-1"), session)

    with pytest.raises(NotFound, match="series"):
        AdHoc(stages.gateway).preview(Pseudonym(listed[0].study), Pseudonym("2.25.1"), session)


def test_the_list_of_a_patient_outside_is_not_found_without_a_question(stages: GatewayStages) -> None:
    session = stages.session("P-1")

    with pytest.raises(NotFound):
        AdHoc(stages.gateway).studies(stages.patient("P-2"), session)

    assert stages.asked == 0
    assert stages.records()[-1]["subject"] == {"action": "studies", "family": "NotFound", "field": "patient"}


def test_intent_comes_before_the_archive_is_asked_and_outcome_after(stages: GatewayStages) -> None:
    session = stages.session("P-1", images=True)
    request = Request((stages.target("P-1"),), output=Output.DICOM)

    stream = AdHoc(stages.gateway).images(request, session, ImageRun())
    before = (stages.pacs.retrieves, [record["kind"] for record in stages.records()])
    first = next(stream)
    amid = [record["kind"] for record in stages.records()]
    rest = list(stream)

    assert before == (0, ["intent"])
    assert isinstance(first, ReleasedInstance)
    assert amid == ["intent"]
    intent, outcome = stages.records()
    assert intent["subject"]["identifiers"] == [f"patient:{stages.patient('P-1')}"]
    assert (outcome["outcome"], outcome["counts"]["released"]) == ("ok", len(rest) + 1)


def test_a_download_that_is_left_half_way_shows_in_the_audit(stages: GatewayStages) -> None:
    request = Request((stages.target("P-1"),), output=Output.DICOM)
    stream = AdHoc(stages.gateway).images(request, stages.session("P-1", images=True), ImageRun())

    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator

    assert stages.records()[-1]["error"] == "Cancelled"


def test_an_archive_that_fails_gives_nothing_and_one_outcome(stages: GatewayStages) -> None:
    stages.pacs.fails = Unavailable("pacs", "aborted the association", "ask again")
    request = Request((stages.target("P-1"),))

    with pytest.raises(Unavailable):
        AdHoc(stages.gateway).metadata(request, stages.session("P-1"))

    assert [record["kind"] for record in stages.records()] == ["intent", "outcome"]
    assert stages.records()[-1]["error"] == "Unavailable"


def test_without_an_audit_nothing_is_asked(stages: GatewayStages) -> None:
    session = stages.session("P-1")
    stages.audit_file.mkdir()

    with pytest.raises(Unavailable, match="audit"):
        AdHoc(stages.gateway).metadata(Request((stages.target("P-1"),)), session)

    assert stages.asked == 0


def test_an_answered_query_is_booked_in_the_ledger_that_the_audit_names(stages: GatewayStages) -> None:
    session = stages.session("P-1", "P-2", images=True)
    request = Request((stages.target("P-1"), stages.target("P-2")))

    answer = AdHoc(stages.gateway).metadata(request, session)
    list(AdHoc(stages.gateway).images(replace(request, output=Output.DICOM), session, ImageRun()))

    booked = [one["counts"]["ledger"] for one in stages.records() if one["kind"] == "outcome"]
    ledger = stages.gateway.ledger
    by_series = {line.series: line for line in answer.lines}
    assert {line.series: line for line in ledger.lines(booked[0])} == by_series
    assert [ledger.report(query).kind for query in booked] == ["metadata", "images"]
    assert [ledger.report(query).expected for query in booked] == [40, 40]
