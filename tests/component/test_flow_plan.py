"""Plans against archives whose truth is known: what is predicted equals what a run then finds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.plan.planner import Effort, Plan, Planner, render
from p2d.model.errors import InvalidRequest, Refused, Unavailable
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Choice, Kind, Level, Scope
from p2d.model.request import Request, Target
from p2d.pacs.governor.port import NotNow, Why
from p2d.pacs.port import Query
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, RESEARCHER, GatewayStages, gateway_stages
from p2d.testing.hospital import generate
from p2d.testing.memory_pacs import MemoryPacs

IMAGES, SERIES = 60, 8


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, three_patients().listed)


def request_of(stages: GatewayStages, *patients: str, **changes: object) -> Request:
    targets = tuple(stages.target(patient) for patient in patients)
    return replace(Request(targets=targets), **changes)  # type: ignore[arg-type] # fields of each test


def planned(stages: GatewayStages, request: Request, **changes: object) -> Plan:
    return Planner(stages.gateway).plan(request, OPERATOR, **changes)  # type: ignore[arg-type] # as above


def test_all_patients_counted_give_the_true_totals_of_each_approach(stages: GatewayStages) -> None:
    made = planned(stages, request_of(stages, "P-1", "P-2", "P-3"))

    rows = {one.approach.name: one.rows.estimate for one in made.predictions}
    moved = {one.approach.name: one.moved.estimate for one in made.predictions}
    assert rows == {
        "basic/first": SERIES, "basic/all": IMAGES, "extended/first": SERIES, "extended/all": IMAGES,
    }  # fmt: skip
    assert moved == {"basic/first": 0, "basic/all": 0, "extended/first": SERIES, "extended/all": IMAGES}
    assert made.recommended is not None
    assert made.recommended.approach.name == "extended/all"


def test_nothing_is_loaded_and_what_the_plan_cost_is_told(stages: GatewayStages) -> None:
    made = planned(stages, request_of(stages, "P-1", "P-2"))

    assert stages.warehouse.rows("instance") == []
    assert made.sample.cost.finds == stages.pacs.queries
    assert made.sample.cost.instances > 0
    assert f"{made.sample.cost.finds:,} queries" in render(made)
    cost = made.sample.cost
    assert stages.records()[-1]["counts"] == {"queries": cost.finds, "images": cost.instances}


def test_a_modality_narrows_what_is_counted(stages: GatewayStages) -> None:
    request = request_of(stages, "P-1", "P-2", "P-3", modalities=frozenset({"MR"}))
    made = planned(stages, request)

    extractor = BulkExtractor(stages.gateway)
    run = replace(request, scope=Scope.EXTENDED, choice=Choice.ALL)
    report = extractor.run(extractor.open(run, OPERATOR), OPERATOR)
    assert made.predictions[-1].moved.estimate == report.expected > 0


class UncountedPacs(MemoryPacs):
    """States no numbers of related series or instances, as many archives do not."""

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        for header in super().find(query):
            elements: dict[str, Element] = {
                path: element
                for path, element in header.elements.items()
                if path not in {"00201206", "00201208", "00201209"}
            }
            yield IdentifiedHeader(header.level, elements)


def test_an_archive_without_numbers_is_listed_instead(stages: GatewayStages) -> None:
    uncounted = replace(stages, gateway=replace(stages.gateway, pacs=UncountedPacs(three_patients().listed)))

    made = planned(uncounted, request_of(stages, "P-1", "P-2", "P-3"))

    assert made.predictions[-1].rows.estimate == IMAGES


def test_the_image_budget_is_kept_but_one_patient_of_each_approach_is_timed(stages: GatewayStages) -> None:
    made = planned(stages, request_of(stages, "P-1", "P-2", "P-3"), effort=Effort(10, 3, 1))

    assert [len(timed) for timed in made.sample.timed.values()] == [3, 3, 1, 1]


def test_unknown_patients_count_as_having_nothing(stages: GatewayStages) -> None:
    unknown = Target(Kind.PATIENT, stages.patient("P-77", known=False))
    request = request_of(stages, "P-1", "P-2")

    made = planned(stages, replace(request, targets=(*request.targets, unknown)))

    assert made.sample.unknown == 1
    assert made.predictions[-1].rows.estimate == 40


def test_a_sample_is_scaled_to_the_whole_hospital(stages: GatewayStages) -> None:
    made = planned(stages, request_of(stages, "P-1", "P-2", "P-3"), patients=3000)

    assert made.predictions[-1].rows.estimate == IMAGES * 1000
    assert made.predictions[-1].rows.low < IMAGES * 1000


@pytest.mark.parametrize("effort", [Effort(50, 4, 200)])
@pytest.mark.parametrize("seed", range(1, 6))
def test_images_of_a_hospital_are_predicted_within_a_fifth(tmp_path: Path, seed: int, effort: Effort) -> None:
    hospital = generate(70, seed, 50)
    stages = gateway_stages(tmp_path, hospital.instances())
    patients = [patient.patient_id for patient in hospital.patients]
    truth = sum(1 for _ in hospital.images())

    made = planned(stages, request_of(stages, *patients), effort=effort)

    assert made.predictions[-1].rows.estimate == pytest.approx(truth, rel=0.2)


def test_counting_ends_where_the_images_are_known_well_enough(tmp_path: Path) -> None:
    hospital = generate(240, 5, 4)
    stages = gateway_stages(tmp_path, hospital.instances())
    patients = [patient.patient_id for patient in hospital.patients]
    truth = sum(1 for _ in hospital.images())

    made = planned(stages, request_of(stages, *patients), effort=Effort(400, 2, 20, 0.25))

    assert 100 <= len(made.sample.counted) < len(patients)
    rows = made.predictions[-1].rows
    assert rows.low <= truth <= rows.high
    assert rows.estimate == pytest.approx(truth, rel=0.25)


def test_counting_goes_on_to_the_last_where_they_are_not(tmp_path: Path) -> None:
    hospital = generate(120, 5, 4)
    stages = gateway_stages(tmp_path, hospital.instances())
    patients = [patient.patient_id for patient in hospital.patients]

    made = planned(stages, request_of(stages, *patients), effort=Effort(400, 2, 20, 0.0001))

    assert len(made.sample.counted) == len(patients)
    assert made.predictions[-1].rows.estimate == sum(1 for _ in hospital.images())


def test_a_plan_is_for_operators_and_patients_only(stages: GatewayStages) -> None:
    request = request_of(stages, "P-1")
    study = Target(Kind.STUDY, stages.study(three_patients().listed[0]["StudyInstanceUID"]))

    with pytest.raises(Refused):
        Planner(stages.gateway).plan(request, RESEARCHER)
    with pytest.raises(InvalidRequest, match="is not patient"):
        planned(stages, replace(request, targets=(study,)))
    with pytest.raises(InvalidRequest, match="less than the 1 named"):
        planned(stages, request, patients=0)


def test_nobody_with_images_is_said(stages: GatewayStages) -> None:
    with pytest.raises(InvalidRequest, match="no patient with images"):
        planned(stages, request_of(stages, "P-99"))


def test_an_archive_that_does_not_answer_ends_the_plan(stages: GatewayStages) -> None:
    stages.pacs.fails = Unavailable("pacs", "does not answer", "try later")

    with pytest.raises(Unavailable, match="does not answer"):
        planned(stages, request_of(stages, "P-1"))


def test_a_stop_ends_the_plan_and_is_no_patient_s_fault(stages: GatewayStages) -> None:
    stages.pacs.fails = NotNow("main", Why.STOPPED, "is stopped", "p2d archive resume, then try again")

    with pytest.raises(NotNow):
        planned(stages, request_of(stages, "P-1"))


def test_levels_asked_are_studies_where_the_archive_counts(stages: GatewayStages) -> None:
    asked: list[Level] = []

    class Watched(MemoryPacs):
        def find(self, query: Query) -> Iterator[IdentifiedHeader]:
            asked.append(query.level)
            return super().find(query)

    watched = replace(stages, gateway=replace(stages.gateway, pacs=Watched(three_patients().listed)))
    planned(watched, request_of(stages, "P-1", "P-2"), effort=Effort(2, 2, 10))

    assert asked[:2] == [Level.STUDY, Level.STUDY]
