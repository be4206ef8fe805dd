"""The seeded-PHI benchmark holds to its controls: a score is only worth what they show."""

from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from pydicom import dcmread

from phi.__main__ import run
from phi.judging.judge import Verdict
from phi.judging.validity import DCIODVFY
from phi.key import Act, AnswerKey
from phi.places import element_at
from phi.planting.casting import plant
from phi.scoring import PRIVACY, Score
from phi.sources import sources
from phi.tools.controls import Reference, Untouched, Withholding
from phi.tools.gateway import write_patients
from phi.tools.tool import Tool

SEED = 20261125
FILES = 27


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AnswerKey]:
    folder = tmp_path_factory.mktemp("planted")
    return folder, plant(sources(None, FILES, Random(SEED)), SEED, folder)  # noqa: S311 - the same each time


@pytest.fixture(scope="module")
def scored(
    planted: tuple[Path, AnswerKey], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, tuple[Score, list[Verdict]]]:
    folder, key = planted
    tools: tuple[Tool, ...] = (Untouched(), Withholding(), Reference())
    return {tool.name: run(tool, folder, key, tmp_path_factory.mktemp("out") / "one") for tool in tools}


def test_untouched_files_have_no_privacy_and_all_utility(
    scored: Mapping[str, tuple[Score, list[Verdict]]],
) -> None:
    percents = scored["untouched"][0].percents

    assert percents["Privacy"] == 0
    assert percents["Mixed text"] == 0
    assert percents["Utility"] == 100
    assert percents["Consistency"] == 100


def test_withholding_everything_gives_all_privacy_and_no_utility(
    scored: Mapping[str, tuple[Score, list[Verdict]]],
) -> None:
    percents = scored["all withheld"][0].percents

    assert percents["Privacy"] == 100
    assert [percents[name] for name in ("Mixed text", "Utility", "Consistency")] == [0, 0, 0]


def test_a_reference_that_reads_the_key_does_everything_right(
    scored: Mapping[str, tuple[Score, list[Verdict]]],
) -> None:
    wrong = [
        (verdict.row.act, verdict.row.path, verdict.found)
        for verdict in scored["reference"][1]
        if not verdict.is_right
    ]

    assert wrong == []


def test_every_planted_value_stands_in_its_file(planted: tuple[Path, AnswerKey]) -> None:
    folder, key = planted
    datasets = {name: dcmread(folder / name) for name in key.files}
    uids = [row for row in key.rows if row.act is Act.UID_CHANGED]

    assert uids
    for row in uids:
        element = element_at(datasets[row.file], row.path)
        assert element is not None
        assert row.value in str(element.value)


def test_the_same_seed_plants_the_same_bytes(planted: tuple[Path, AnswerKey], tmp_path: Path) -> None:
    folder, key = planted

    again = plant(sources(None, FILES, Random(SEED)), SEED, tmp_path)  # noqa: S311 - as above

    assert again.rows == key.rows
    assert {n: (tmp_path / n).read_bytes() for n in key.files} == {
        n: (folder / n).read_bytes() for n in key.files
    }


def test_every_kind_of_action_is_asked_for(planted: tuple[Path, AnswerKey]) -> None:
    _, key = planted

    assert {row.act for row in key.rows} == set(Act)
    assert {row.act for row in key.rows} >= set(PRIVACY)


def test_the_table_of_patients_says_nothing_of_where_values_were_planted(
    planted: tuple[Path, AnswerKey], tmp_path: Path
) -> None:
    _, key = planted

    write_patients(tmp_path / "patients.csv", key)

    lines = (tmp_path / "patients.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len({file.patient for file in key.files.values()}) + 1
    assert lines[0].startswith("PatientID,PatientName,PatientBirthDate")


def test_the_validator_is_there_to_judge_with() -> None:
    assert DCIODVFY.exists(), "tools/install-test-servers.sh installs dicom3tools"
