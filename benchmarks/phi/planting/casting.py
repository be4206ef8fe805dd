"""The whole set: who is planted where, written to a folder, with the answer key."""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite

from phi.folding import contains, fold
from phi.identities import Person, invent
from phi.judging.outputs import Output
from phi.key import Act, AnswerKey, Expected, PlantedFile
from phi.places import text_of
from phi.planting.attributes import plant_attributes, plant_nested, plant_texts
from phi.planting.burned_in import plant_pixels
from phi.planting.content import plant_content
from phi.planting.hierarchy import plant_hierarchy, plant_references
from phi.planting.plot import Plot
from phi.planting.research import plant_research
from phi.planting.unusual import plant_unusual
from phi.sources import Source

_FILES_EACH: Final = 5
_STUDIES: Final = 3
_REPLACED: Final = (
    "RequestAttributesSequence",
    "ReferencedPatientSequence",
    "OriginalAttributesSequence",
    "OtherPatientIDsSequence",
    "PerformedProtocolCodeSequence",
    "PerformingPhysicianIdentificationSequence",
    "VerifyingObserverSequence",
    "IconImageSequence",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
)
"""Sequences of the source that planting would write over."""


def plant(sources: Sequence[Source], seed: int, folder: Path) -> AnswerKey:
    """Write every source with an invented patient planted into *folder*; return the answer key.

    The same sources and seed give the same files.
    """
    rng = Random(seed)  # noqa: S311 - a benchmark that can be run again
    people = invent(max(2, -(-len(sources) // _FILES_EACH)), rng)
    rows: list[Expected] = []
    files: dict[str, PlantedFile] = {}
    for number, person in enumerate(people):
        plots = _cast(sources, person, number, len(people), rng)
        uids: dict[str, str] = {}
        before = {plot.name: fold(_all_text(plot.dataset)) for plot in plots}
        for plot in plots:
            plot.siblings = plots
            plant_hierarchy(plot, uids)
        for plot in plots:
            _plant_rest(plot)
            _write(plot, folder)
            _drop_invisible(plot, Output(folder / plot.name))
            file = _planted(plot, before[plot.name])
            files[plot.name] = file
            plot.expect("file", Act.NO_LEAK, "no leak")
            plot.expect("file", Act.VALID, "no new errors")
            rows += plot.rows
    return AnswerKey(seed, files, rows, [person.table_row() for person in people])


def _cast(sources: Sequence[Source], person: Person, number: int, people: int, rng: Random) -> list[Plot]:
    """Give every *people*-th source to *person*, its studies in turn, in a character set for the name."""
    plots = []
    for turn, index in enumerate(range(number, len(sources), people)):
        source, dataset = sources[index], deepcopy(sources[index].dataset)
        for keyword in _REPLACED:
            if keyword in dataset:
                delattr(dataset, keyword)
        _set_charset(dataset, person, rng)
        name = f"{index + 1:04d}.dcm"
        if index % 2:
            owner = person.family if person.family.isascii() else person.patient_id
            name = f"{owner}_{name}".replace(" ", "_")
        plot = Plot(name, source, dataset, person, turn % _STUDIES, index + 1, Random(rng.random()))  # noqa: S311
        dataset.InstanceNumber = index + 1
        plots.append(plot)
    return plots


def _set_charset(dataset: Dataset, person: Person, rng: Random) -> None:
    """Choose a character set of the person's language; UTF-8 where the object has other letters already."""
    chosen = rng.choice(person.naming.charsets)
    if not _all_text(dataset).isascii():
        chosen = "ISO_IR 192"
    if chosen:
        dataset.SpecificCharacterSet = chosen.split("\\") if "\\" in chosen else chosen
    elif "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet


def _all_text(dataset: Dataset) -> str:
    return "\n".join(
        text_of(element)
        for element in dataset
        if element.VR not in ("OB", "OW", "UN", "OD", "OF", "OL", "OV")
    )


def _plant_rest(plot: Plot) -> None:
    plant_references(plot)
    plant_attributes(plot)
    plant_nested(plot)
    plant_texts(plot)
    plant_content(plot)
    plant_unusual(plot)
    plant_pixels(plot)
    plant_research(plot)


def _write(plot: Plot, folder: Path) -> None:
    path = folder / plot.name
    plot.dataset.preamble = plot.preamble
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = DicomBytesIO()
        dcmwrite(out, plot.dataset, enforce_file_format=True)
    path.write_bytes(out.getvalue())


def _drop_invisible(plot: Plot, written: Output) -> None:
    """Drop rows about texts that a reader cannot see in the written file, such as letters in a UN element."""
    plot.rows = [
        row
        for row in plot.rows
        if row.act not in (Act.TEXT_REMOVED, Act.MIXED_TEXT)
        or any(contains(written.folded(row.path), needle) for needle in row.gone)
    ]


def _planted(plot: Plot, before: str) -> PlantedFile:
    """Return the file's entry: needles that the clean object has already are none."""
    needles = tuple(needle for needle in plot.person.needles() if not contains(before, needle))
    return PlantedFile(
        name=plot.name,
        source=plot.source.name,
        patient=plot.person.patient_id,
        sop_instance_uid=str(plot.dataset.SOPInstanceUID),
        instance_number=plot.number,
        needles=needles,
        uids=tuple(sorted(plot.uids)),
        by_policy=plot.source.by_policy,
        has_text=any(row.box for row in plot.rows),
    )
