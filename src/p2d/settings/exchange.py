"""Settings of the warehouse's exports."""

from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, StringConstraints, model_validator

from p2d.settings.file import FilePath, Strict

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
SqlName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class Exchange(Strict):
    """`[exchange]`: where exports go.

    ``directory`` holds a folder for each export name, and the file of ids. ``concepts`` is a concept map
    (CSV) for OMOP. ``dicomweb_url`` is the gateway's DICOMweb address that OMOP and FHIR exports name.
    ``rows_at_once`` bounds the memory: about 1 kB a row. ``versions`` are the exports that stay in a folder,
    the newest among them.
    """

    directory: FilePath
    concepts: FilePath | None = None
    dicomweb_url: HttpUrl | None = None
    rows_at_once: int = Field(500_000, ge=10_000, le=10_000_000)
    versions: int = Field(2, ge=1, le=1000)


class ForeignDatabase(Strict):
    """`[[exchange_database]]`: a foreign PostgreSQL that one form goes straight into.

    ``dsn`` is a file with the connection string (libpq), a secret. ``table`` and the numbers that AttrIDs may
    have are for EAV alone.
    """

    name: Name
    form: Literal["eav", "omop", "i2b2"]
    dsn: FilePath
    sql_schema: SqlName = "public"
    table: SqlName = "dwinfo"
    first_attribute: int = Field(1_000_000, ge=1, le=2**31 - 1)
    last_attribute: int = Field(1_999_999, ge=1, le=2**31 - 1)

    @model_validator(mode="after")
    def _attributes_in_order(self) -> Self:
        if self.first_attribute > self.last_attribute:
            raise ValueError("first_attribute is above last_attribute")
        return self
