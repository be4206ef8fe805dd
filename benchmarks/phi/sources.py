"""Clean objects to plant into: public files of the corpus where it is, and objects made here everywhere."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from p2d.testing.hospital import generate
from phi.objects import made_objects

_EDGE: Final = 320
_IDENTITIES: Final = (
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "RequestAttributesSequence",
    "OriginalAttributesSequence",
    "ReferencedStudySequence",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "PerformingPhysicianName",
    "ReferringPhysicianName",
    "PatientComments",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "ImageComments",
)
_NAMED_IN_CONTENT: Final = ("VerifyingObserverSequence", "AuthorObserverSequence", "ParticipantSequence")


@dataclass(frozen=True, slots=True)
class Source:
    """One clean object; ``is_whole_picture`` says that no text stands in its pixels yet."""

    name: str
    dataset: Dataset
    by_policy: bool = False
    is_whole_picture: bool = True


def sources(corpus: Path | None, count: int, rng: Random) -> list[Source]:
    """Return *count* objects at the most, the made ones first, then those of *corpus*, in random order."""
    made = list(_made(rng.randrange(1, 1 << 30)))
    real = list(_real(corpus)) if corpus is not None else []
    rng.shuffle(made)
    rng.shuffle(real)
    share = max(min(len(made), count // 3), count - len(real))
    chosen = made[:share] + real[: max(0, count - share)]
    rng.shuffle(chosen)
    return chosen


def _made(seed: int) -> Iterator[Source]:
    for name, dataset, by_policy in made_objects():
        yield Source(f"made/{name}", dataset, by_policy=by_policy)
    counts: dict[str, int] = {}
    for patient in generate(patients=14, seed=seed, max_images=4, pixels=_EDGE).patients:
        for series in (series for study in patient.studies for series in study.series):
            number = counts[series.modality] = counts.get(series.modality, 0) + 1
            if number > 2:
                continue
            dataset = series.first().render()
            _make_clean(dataset)
            yield Source(f"hospital/{series.modality}{number}", dataset)


def _make_clean(dataset: Dataset) -> None:
    """Take the synthetic hospital's own people out: the benchmark plants its own."""
    for keyword in _IDENTITIES + _NAMED_IN_CONTENT:
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.remove_private_tags()
    if "ContentSequence" in dataset:
        named = ("PNAME", "UIDREF", "TEXT", "CONTAINER")
        dataset.ContentSequence = [
            item for item in dataset.ContentSequence if item.get("ValueType") not in named
        ]


_UNSEARCHABLE: Final = frozenset({"test_files/JPGExtended.dcm"})
"""12-bit JPEG Extended: no decoder with a permissive licence reads it, so its pixels cannot be searched."""


def _real(corpus: Path) -> Iterator[Source]:
    listed = resources.files("phi").joinpath("data_corpus.txt").read_text(encoding="utf-8").splitlines()
    ends = [line for line in listed if line and not line.startswith("#")]
    files = sorted(
        path for path in (corpus / "files").rglob("*") if path.is_file() and "pwnlabmx" not in path.parts[-1]
    )
    for end in ends:
        path = next((path for path in files if str(path).endswith("/" + end)), None)
        dataset = _read(path) if path else None
        if dataset is not None:
            yield Source(f"corpus/{end}", dataset, by_policy=end in _UNSEARCHABLE)


def _read(path: Path) -> Dataset | None:
    """Return the whole data set, or None where pydicom cannot decode it to the end."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path)
            dataset.decode()
            for _ in dataset.iterall():
                pass
    except (
        InvalidDicomError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        NotImplementedError,
        EOFError,
    ):
        return None
    return dataset if "SOPClassUID" in dataset and "TransferSyntaxUID" in dataset.file_meta else None
