"""The formats by name, and the source of each over a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from p2d.clinical.chunk import Source
from p2d.clinical.fhir.source import FhirSource
from p2d.clinical.i2b2 import I2b2Source
from p2d.clinical.mapped import MappedSource
from p2d.clinical.mapping import NOTHING_MAPPED, IntakeMapping
from p2d.clinical.native import NativeSource
from p2d.clinical.omop import OmopSource
from p2d.model.errors import InvalidRequest

_MAPPED: Final[Mapping[str, Callable[[Path, IntakeMapping], Source]]] = {
    "csv": MappedSource,
    "omop": OmopSource,
    "i2b2": I2b2Source,
    "fhir": FhirSource,
}
NATIVE: Final = "p2d"
FORMATS: Final = (NATIVE, *_MAPPED)


def open_source(folder: Path, form: str, mapping: IntakeMapping | None = None) -> Source:
    """Return the source of the format *form* over *folder*; ``csv`` needs a *mapping*, ``p2d`` takes none.

    Raises:
        InvalidRequest: the format is not known, its files are not there, or a mapping is missing or too much.

    """
    if form == NATIVE:
        if mapping is not None:
            raise InvalidRequest(
                "--mapping", "is for other formats than p2d", "leave it out, or name --format"
            )
        return NativeSource(folder)
    if form not in _MAPPED:
        raise InvalidRequest("--format", "is not known", f"use one of {', '.join(FORMATS)}")
    if form == "csv" and mapping is None:
        raise InvalidRequest("--mapping", "is missing", "name the file that says what the columns are")
    return _MAPPED[form](folder, mapping or NOTHING_MAPPED)
