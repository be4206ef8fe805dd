"""P2D's score on a seeded-PHI set, with a new seed in every run; it is printed to run it again."""

import os
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest

from phi.__main__ import TARGETS, corpus_folder, run
from phi.planting.casting import plant
from phi.scoring import failures, table
from phi.sources import sources
from phi.tools.gateway import Gateway

pytestmark = pytest.mark.system
FILES = 36
SEED = int(os.environ.get("P2D_PHI_SEED") or int.from_bytes(os.urandom(3)))


def test_p2d_reaches_its_targets_on_people_it_has_never_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    key = plant(sources(corpus_folder(), FILES, Random(SEED)), SEED, planted)  # noqa: S311 - to be run again

    score, verdicts = run(Gateway(), planted, key, tmp_path / "p2d")

    with capsys.disabled():
        print(f"\nP2D_PHI_SEED={SEED}: {len(key.files)} files, {len(key.rows)} actions")  # noqa: T201 - to repeat it
    wrong = "\n".join([*failures(key, verdicts), *table([score])])
    targets = dict(TARGETS)
    if find_spec("rapidocr") is None:
        del targets["- burned-in hidden"]  # such pictures are withheld without the extra p2d[pixels]
    reached = {name: score.percents[name] for name in targets}
    missed = {name: value for name, value in reached.items() if value is not None and value < targets[name]}
    assert missed == {}, f"seed {SEED}\n{wrong}"
