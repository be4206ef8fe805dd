"""P2D's score on a seeded-PHI set, with a new seed in every run; it is printed to run it again."""

import os
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest

from phi.__main__ import TARGETS, corpus_folder, run
from phi.key import Act
from phi.planting.casting import plant
from phi.scoring import failures, is_policy, table
from phi.sources import sources
from phi.tools.gateway import Gateway

pytestmark = pytest.mark.system
FILES = 36
SAMPLE_TARGETS = {
    "- text removed": 100.0,
    "- UIDs changed": 100.0,
    "- dates changed": 100.0,
    "- burned-in hidden": 93.0,
    "Privacy": 99.8,
    # one file of 36 that is withheld beyond policy is 3 %
    "Utility": 94.0,
    "Consistency": 95.0,
    "All actions": 96.0,
    "- released files": 99.5,
}
"""What a small set of new people in random files has to reach; ``make bench-phi`` holds P2D to more."""

SEED = int(os.environ.get("P2D_PHI_SEED") or int.from_bytes(os.urandom(3)))


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # of a corpus file that is planted in
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
    targets = TARGETS | SAMPLE_TARGETS
    # one text may lie where nobody reads it, however few are drawn: the detector finds 99 of 100
    drawn = sum(v.row.act is Act.PIXELS_HIDDEN and not is_policy(key.files[v.row.file]) for v in verdicts)
    if drawn:
        targets["- burned-in hidden"] = min(targets["- burned-in hidden"], 100.0 * (drawn - 1) / drawn)
    if find_spec("rapidocr") is None:
        del targets["- burned-in hidden"]  # such pictures are withheld without the extra p2d[pixels]
    reached = {name: score.percents[name] for name in targets}
    missed = {name: value for name, value in reached.items() if value is not None and value < targets[name]}
    assert missed == {}, f"seed {SEED}\n{wrong}"
