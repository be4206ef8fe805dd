"""Real files are explained element by element by every profile, and no value of theirs is shown."""

from pathlib import Path

import pytest

from p2d.deid.profile.action import BULK_VRS, Action
from p2d.deid.profile.file_explanation import explained_file
from p2d.deid.profile.profile import PRESETS
from p2d.model.errors import InvalidRequest


@pytest.mark.parametrize("name", PRESETS)
def test_every_real_file_is_explained_or_refused(corpus: Path, name: str) -> None:
    explained = 0
    for file in sorted(corpus.joinpath("files").rglob("*.dcm")):
        if "fuzzing" in str(file):
            continue
        try:
            elements = list(explained_file(PRESETS[name], file))
        except InvalidRequest:
            continue
        explained += 1
        kept = [one for one in elements if one.action is Action.KEEP]
        assert not [one.path for one in kept if one.vr in BULK_VRS], file.name
        assert all(one.why.endswith(one.action) or "E.3.4-1" in one.why for one in elements)

    assert explained > 200
