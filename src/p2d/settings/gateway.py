"""Settings of the gateway process (hospital zone)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    HttpUrl,
    IPvAnyNetwork,
    Tag,
    ValidationInfo,
    model_validator,
)

from p2d.model.level import Calendar
from p2d.model.modality import MODALITIES
from p2d.settings.file import AeTitle, FilePath, Strict, beside_settings
from p2d.settings.governor import Governing
from p2d.settings.jobs import Jobs
from p2d.settings.sync import NightlySync


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


def _fingerprint(text: str) -> str:
    plain = text.replace(":", "").lower()
    if not re.fullmatch("[0-9a-f]{64}", plain):
        raise ValueError("is not a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")
    return plain


def _named_apart(archives: tuple["AnyArchive", ...]) -> tuple["AnyArchive", ...]:
    if len({one.name for one in archives}) < len(archives):
        raise ValueError("two archives have one name: give each its own")
    return archives


def _listed(tables: object) -> object:
    """Return one table as a list of one."""
    return tables if isinstance(tables, Sequence) else (tables,)


def _connector(table: object) -> str:
    found = table.get("connector", "dimse") if isinstance(table, dict) else getattr(table, "connector", "")
    return f"over {'dimse' if found == 'pynetdicom' else found}"


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Modality = Annotated[str, AfterValidator(_modality)]
Pattern = Annotated[str, AfterValidator(_pattern)]
ProfileName = Annotated[str, AfterValidator(_profile)]
Port = Annotated[int, Field(ge=1, le=65535)]
ArchiveName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


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


class Tls(Strict):
    """`[pacs.tls]`: associations over TLS in both directions (PS3.15 B.9, BCP 195), all files in PEM.

    The archive's certificate comes from one of ``authorities`` and holds one of ``names`` (``host`` where
    none is given), or else is one of ``fingerprints`` (SHA-256, hexadecimal).
    """

    certificate: FilePath
    key: FilePath
    authorities: FilePath
    names: frozenset[str] = frozenset()
    fingerprints: frozenset[Fingerprint] = frozenset()


class Archive(Strict):
    """`[pacs]`: the archive's Application Entity and how it is asked.

    ``connector``: P2D's own DIMSE client, or ``pynetdicom``. ``query``: ``prove`` compares relational with
    hierarchical answers before relying on them, where no profile says how it is. ``retrieve = "get"`` falls
    back to C-MOVE where the archive refuses C-GET and a ``store_port`` is set.

    ``store_port`` is our own Storage SCP, needed where ``retrieve = "move"``; it lets in only ``store_from``
    (addresses or networks; those of ``host`` unless stated) under ``store_ae_titles`` (``called_ae_title``
    unless stated). ``associations`` are the most we hold open towards the archive, ``list_length`` the UIDs
    in one request, ``pdu_bytes`` the longest PDU we take, ``object_mib`` the largest object. Objects of more
    than a few MiB go to ``spool_dir`` on tmpfs, or to memory outside the heap. ``answer_seconds`` bound the
    silence within an answer, ``request_seconds`` a request as a whole, whatever keeps coming. ``profile`` is
    the file that ``p2d probe`` wrote.
    """

    connector: Literal["dimse", "pynetdicom"] = "dimse"
    name: ArchiveName = "main"
    host: str
    port: Port = 104
    called_ae_title: AeTitle
    calling_ae_title: AeTitle = "P2D"
    query: Literal["prove", "hierarchical", "relational"] = "prove"
    retrieve: Literal["get", "move"] = "get"
    store_host: str = "127.0.0.1"
    store_port: Port | None = None
    store_from: tuple[IPvAnyNetwork, ...] = ()
    store_ae_titles: frozenset[AeTitle] = frozenset()
    associations: int = Field(4, ge=1, le=64)
    list_length: int = Field(200, ge=1, le=4000)
    pdu_bytes: int = Field(262_144, ge=16_384, le=4_194_304)
    object_mib: int = Field(4096, ge=1, le=65_536)
    spool_dir: FilePath | None = None
    connect_seconds: float = Field(5.0, gt=0, le=120)
    answer_seconds: float = Field(60.0, gt=0, le=3600)
    request_seconds: float = Field(3600.0, gt=0, le=86_400)
    tls: Tls | None = None
    governor: Governing = Governing()
    profile: FilePath | None = None


class WebArchive(Strict):
    """`[pacs]` with ``connector = "dicomweb"``: an archive over DICOMweb (PS3.18) below ``url``.

    ``secret`` is a file with the archive's bearer token, or with the password where ``user`` is set;
    ``ca_file`` holds the authorities to trust instead of the system's, ``certificate`` and ``key`` are ours
    (all PEM).
    ``headers``: ``metadata`` asks for headers without pixel data, ``whole`` always retrieves whole objects.
    ``object_mib`` is the largest object, ``profile`` the file that ``p2d probe`` wrote. ``governor`` says how
    gently it is asked.
    """

    connector: Literal["dicomweb"]
    name: ArchiveName = "main"
    url: HttpUrl
    user: str | None = Field(None, pattern=r"^[^:\x00-\x1f]{1,255}$")
    secret: FilePath | None = None
    ca_file: FilePath | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    headers: Literal["metadata", "whole"] = "metadata"
    governor: Governing = Governing()
    object_mib: int = Field(4096, ge=1, le=65_536)
    profile: FilePath | None = None
    connect_seconds: float = Field(5.0, gt=0, le=120)
    answer_seconds: float = Field(60.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _fits_together(self) -> "WebArchive":
        if self.url.username or self.url.password or self.url.query or self.url.fragment:
            raise ValueError("url is an address alone: put the password into the file that secret names")
        if self.user is not None and self.secret is None:
            raise ValueError("user needs secret: the file with its password")
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("certificate and key need each other")
        return self


class FolderArchive(Strict):
    """`[pacs]` with ``connector = "folder"``: a folder of DICOM files in the place of an archive.

    Changes are looked for when the index is ``rescan_seconds`` old.
    """

    connector: Literal["folder"]
    name: ArchiveName = "main"
    folder: FilePath
    rescan_seconds: float = Field(300.0, ge=0)


AnyArchive = Annotated[
    Annotated[Archive, Tag("over dimse")]
    | Annotated[WebArchive, Tag("over dicomweb")]
    | Annotated[FolderArchive, Tag("over folder")],
    Discriminator(
        _connector,
        custom_error_type="connector",
        custom_error_message="connector is none of dimse, pynetdicom, dicomweb, folder",
    ),
]


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


class Completeness(Strict):
    """`[ledger]`: the private key (p2d ledger keys) that signs the summaries of runs served over REST."""

    signing_key: FilePath | None = None


class Bulk(Strict):
    """`[bulk]`: patients per batch posted to the warehouse and worked at once, attempts for each patient."""

    patients_per_batch: int = Field(10, ge=1, le=1000)
    patients_at_once: int = Field(2, ge=1, le=16)
    attempts: int = Field(3, ge=1, le=10)


class Metrics(Strict):
    """`[metrics]`: ``token``, a file with the bearer token of ``GET /metrics``; else none are served."""

    token: FilePath | None = None


Archives = Annotated[
    tuple[AnyArchive, ...], Field(min_length=1), BeforeValidator(_listed), AfterValidator(_named_apart)
]


class GatewaySettings(Strict):
    """The gateway's settings file; ``pacs`` is one table or ``[[pacs]]`` several, preferred ones first."""

    gateway: Listener
    pacs: Archives
    identity: Peer
    warehouse: Peer
    images: Images = Images()
    deid: Deidentification = Deidentification()
    review: Review = Review()
    bulk: Bulk = Bulk()
    metrics: Metrics = Metrics()
    jobs: Jobs = Jobs()
    ledger: Completeness = Completeness()
    sync: NightlySync = NightlySync()
