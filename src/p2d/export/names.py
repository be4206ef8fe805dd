"""File names of exported images: pseudonyms and nothing else."""

import re
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym, is_derived_uid
from p2d.model.level import Output
from p2d.model.released import ReleasedHeader

SUFFIXES: Final = {Output.DICOM: ".dcm", Output.JPEG: ".jpg"}
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/2\.25\.[0-9]{1,39}){3}\.(dcm|jpg)")


def file_name(header: ReleasedHeader, output: Output) -> str:
    """Return ``patient/study/series/instance.dcm`` (or ``.jpg``) for *header*.

    Raises:
        InvalidRequest: a part that is no pseudonym or no derived UID, or an output that is no image.

    """
    if output not in SUFFIXES:
        raise InvalidRequest("output", "is no image format", "use dicom or jpeg")
    Pseudonym.parse(str(header.patient), "patient")
    for field in ("study", "series", "instance"):
        if not is_derived_uid(getattr(header, field)):
            raise InvalidRequest(field, "is not a derived UID", "export only what de-identification released")
    return f"{header.patient}/{header.study}/{header.series}/{header.instance}{SUFFIXES[output]}"


def is_file_name(name: str) -> bool:
    """Whether *name* has the form that ``file_name`` gives."""
    return _FILE.fullmatch(name) is not None
