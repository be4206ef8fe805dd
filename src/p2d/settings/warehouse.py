"""Settings of the warehouse process (research zone)."""

from pydantic import Field, HttpUrl

from p2d.settings.file import FilePath, Strict
from p2d.settings.gateway import Pattern, Port


class Store(Strict):
    """`[warehouse]`: where it listens, its DuckDB file, who may load and who may ask.

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms; without it only P2D's
    own form (check character) is loaded.
    """

    host: str = "127.0.0.1"
    port: Port = 8130
    state_dir: FilePath
    database: FilePath
    loader_secret: FilePath
    operator_secret: FilePath
    researcher_secret: FilePath
    assertion_private_key: FilePath
    patient_form: Pattern | None = None
    rows_per_preview: int = Field(10, ge=1, le=1000)


class Gateway(Strict):
    """`[gateway]`: the gateway that pages are proxied to, and the service password shared with it."""

    url: HttpUrl
    service_secret: FilePath
    timeout_seconds: float = Field(120.0, gt=0, le=600)


class WarehouseSettings(Strict):
    """The warehouse's settings file."""

    warehouse: Store
    gateway: Gateway | None = None
