"""Settings of the gateway process (hospital zone)."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, HttpUrl, ValidationInfo

from p2d.model.level import Calendar
from p2d.model.modality import MODALITIES
from p2d.settings.file import AeTitle, FilePath, Strict, beside_settings


def _modality(code: str) -> str:
    if code not in MODALITIES:
        raise ValueError("is not a modality code of PS3.3 C.7.3.1.1.1")
    return code


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


def _profile(text: str, info: ValidationInfo) -> str:
    """Return the name of a preset as it is, a file's path relative to the settings file's folder."""
    return str(beside_settings(Path(text), info)) if text.endswith((".yaml", ".yml")) else text


Modality = Annotated[str, AfterValidator(_modality)]
Pattern = Annotated[str, AfterValidator(_pattern)]
ProfileName = Annotated[str, AfterValidator(_profile)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Listener(Strict):
    """`[gateway]`: where it listens, where its state lies, who may speak to it.

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms; without it only P2D's
    own form (check character) is accepted.
    """

    host: str = "127.0.0.1"
    port: Port = 8110
    state_dir: FilePath
    service_secret: FilePath
    operator_secret: FilePath
    assertion_public_key: FilePath
    session_hours: float = Field(8.0, gt=0, le=24)
    session_idle_minutes: float = Field(15.0, gt=0, le=480)
    calendar: Calendar = Calendar.SHIFTED
    allow_true_frames: bool = False
    patient_form: Pattern | None = None


class Archive(Strict):
    """`[pacs]`: the archive's Application Entity and how it is asked.

    ``query``: ``prove`` compares relational with hierarchical answers before relying on them.
    ``store_port`` is our own Storage SCP, needed where ``retrieve = "move"``.
    """

    connector: Literal["dimse"] = "dimse"
    name: str = Field("main", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    host: str
    port: Port = 104
    called_ae_title: AeTitle
    calling_ae_title: AeTitle = "P2D"
    query: Literal["prove", "hierarchical", "relational"] = "prove"
    retrieve: Literal["get", "move"] = "get"
    store_host: str = "127.0.0.1"
    store_port: Port | None = None
    connect_seconds: float = Field(5.0, gt=0, le=120)
    answer_seconds: float = Field(60.0, gt=0, le=3600)


class Peer(Strict):
    """`[identity]` or `[warehouse]`: another P2D process and our secret for it."""

    url: HttpUrl
    secret: FilePath
    timeout_seconds: float = Field(60.0, gt=0, le=600)


class Images(Strict):
    """`[images]`: modalities whose pixels may leave; deny wins, an empty allow list allows all others."""

    allow: frozenset[Modality] = frozenset()
    deny: frozenset[Modality] = frozenset({"US"})


class Deidentification(Strict):
    """`[deid]`: the profile (basic, research, strict, or a project's YAML file) that everything passes.

    ``screening_processes`` is how many images are searched for burned-in text at a time, with the extra
    p2d[pixels].
    """

    profile: ProfileName = "research"
    screening_processes: int = Field(2, ge=1, le=64)


class Review(Strict):
    """`[review]`: how long images wait for a release review, and the officers' secret for it.

    Both matter only where the profile asks for a review.
    """

    hours: float = Field(72.0, gt=0, le=720)
    officer_secret: FilePath | None = None


class Bulk(Strict):
    """`[bulk]`: patients per batch posted to the warehouse, and attempts for each patient."""

    patients_per_batch: int = Field(10, ge=1, le=1000)
    attempts: int = Field(3, ge=1, le=10)


class GatewaySettings(Strict):
    """The gateway's settings file."""

    gateway: Listener
    pacs: Archive
    identity: Peer
    warehouse: Peer
    images: Images = Images()
    deid: Deidentification = Deidentification()
    review: Review = Review()
    bulk: Bulk = Bulk()
