"""What a probe found out about one archive: a TOML file beside the settings, read by the connectors."""

from typing import Literal

from pydantic import Field

from p2d.settings.file import Strict


class Finding(Strict):
    """`[find]`: how the archive answers C-FIND.

    ``relational_series`` and ``relational_instance``: queries by PatientID alone were proved equal to the
    hierarchical answer, in the information ``model`` stated. ``keys`` are return keys (eight hexadecimal
    digits) that are answered at INSTANCE level beside the usual ones. ``most_rows`` is the number of rows at
    which answers end, ``cap_is_told`` whether the final status says so; None where no cap was met.
    """

    relational_series: bool = False
    relational_instance: bool = False
    relational_negotiated: bool = False
    model: Literal["patient-root", "study-root"] = "study-root"
    keys: frozenset[str] = frozenset()
    unsupported: frozenset[str] = frozenset()
    most_rows: int | None = None
    cap_is_told: bool | None = None
    character_sets: tuple[str, ...] = ()


class Retrieving(Strict):
    """`[retrieve]`: how objects are got.

    ``list_length`` is the longest list of SOP Instance UIDs in one request that brought every object (1: no
    lists). ``lists_need_upper_keys``: a list works only below one study and series. ``series`` and ``study``:
    whole series or studies may be named instead.
    """

    get: bool = False
    move: bool = False
    list_length: int = Field(1, ge=1, le=4000)
    lists_need_upper_keys: bool = True
    series: bool = False
    study: bool = False
    without_bulk_data: bool = False
    sop_classes: tuple[str, ...] = ()
    transfer_syntaxes: tuple[str, ...] = ()


class Web(Strict):
    """`[web]`: DICOMweb services that answer."""

    qido: bool = False
    wado_metadata: bool = False
    wado: bool = False


class Measured(Strict):
    """`[measured]`: what the archive bore, at the associations tried.

    Seconds are medians; ``associations`` is how many it accepted at once, of those tried.
    """

    associations: int = Field(1, ge=1)
    pdu_bytes: int = Field(16384, ge=0)
    asynchronous: int = Field(1, ge=1)
    find_seconds: float | None = Field(None, ge=0)
    retrieve_seconds: float | None = Field(None, ge=0)
    finds_per_second: dict[str, float] = Field(default_factory=dict)
    images_per_second: dict[str, float] = Field(default_factory=dict)
    bytes_per_second: dict[str, float] = Field(default_factory=dict)


class ArchiveProfile(Strict):
    """An archive's profile; it holds no identifier of a patient."""

    version: Literal[1] = 1
    archive: str
    probed_at: str = ""
    implementation: str = ""
    find: Finding = Finding()
    retrieve: Retrieving = Retrieving()
    web: Web = Web()
    measured: Measured = Measured()
