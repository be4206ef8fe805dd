import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder with real public DICOM files; they are not part of the repository."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "corpus"
    folder = Path(os.environ.get("P2D_CORPUS", beside))
    if not (folder / "manifest.json").exists():
        pytest.skip("the corpus of public DICOM files is not here: set P2D_CORPUS to its folder")
    return folder
