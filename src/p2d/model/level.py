"""The closed vocabularies of a request: level, kind of identifier, choice, scope, format, calendar."""

from enum import StrEnum


class Level(StrEnum):
    """Level of the DICOM information model (PS3.4 C.6); INSTANCE is C-FIND's IMAGE."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


class Kind(StrEnum):
    """What a pseudonym stands for."""

    PATIENT = "patient"
    CASE = "case"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"
    ACCESSION = "accession"


class Choice(StrEnum):
    """Which images of a series: order is (InstanceNumber, missing last, SOPInstanceUID)."""

    FIRST = "first"
    MIDDLE = "middle"
    ALL = "all"


class Scope(StrEnum):
    """BASIC is what C-FIND returns, EXTENDED the whole header of a retrieved instance."""

    BASIC = "basic"
    EXTENDED = "extended"


class Output(StrEnum):
    """What a query returns: header tables or images."""

    CSV = "csv"
    JSON = "json"
    DICOM = "dicom"
    JPEG = "jpeg"

    @property
    def is_image(self) -> bool:
        """Whether pixels are asked for."""
        return self in {Output.DICOM, Output.JPEG}


class Calendar(StrEnum):
    """Which calendar a time frame is stated in: the patient's shifted one or the true one."""

    SHIFTED = "shifted"
    TRUE = "true"
