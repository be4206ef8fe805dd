"""Settings of the identity process (trusted third party)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from p2d.settings.file import FilePath, Strict
from p2d.settings.gateway import Port

_RIGHTS = frozenset(
    {
        f"{d}:{a}"
        for d in ("patient", "case", "accession", "study")
        for a in ("resolve", "pseudonymise", "create")
    }
    | {"uid:derive", "patient:date_shift"}
)


def _right(text: str) -> str:
    if text not in _RIGHTS:
        raise ValueError(f"is not a right; known: {', '.join(sorted(_RIGHTS))}")
    return text


class Service(Strict):
    """`[identity]`: where it listens, its database and its key file (0400)."""

    host: str = "127.0.0.1"
    port: Port = 8120
    state_dir: FilePath
    database: FilePath
    key_file: FilePath
    max_shift_days: int = Field(365, ge=1, le=3650)
    shift_by_weeks: bool = False


class Client(Strict):
    """`[[clients]]`: who may ask, by secret, and for what (domain:action)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    secret: FilePath
    rights: frozenset[Annotated[str, AfterValidator(_right)]]


class ForeignTable(Strict):
    """`[patient_table]`: a read-only CSV (``original,pseudonym``) of the site's own IDM for patients."""

    connector: Literal["csv"] = "csv"
    path: FilePath


class IdentitySettings(Strict):
    """The identity service's settings file."""

    identity: Service
    clients: tuple[Client, ...] = Field(min_length=1)
    patient_table: ForeignTable | None = None
