"""The mapping file: which columns of a hospital's files are what, how they are written, what words mean.

TOML or YAML. Every key is known or an error that names the closest one; nothing is guessed. For CSV and
Parquet it names tables and columns; for OMOP, i2b2 and FHIR it only translates their words.
"""

import difflib
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from p2d.clinical.conversion import ISO
from p2d.clinical.files import CsvForm
from p2d.model.errors import Misconfigured
from p2d.settings.file import Strict, validated

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Sign = Annotated[str, StringConstraints(min_length=1, max_length=1)]
_LARGEST: Final = 4 * 1024 * 1024


class Keyed(Strict):
    """A table of the mapping file."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, source: Any) -> Any:
        """Refuse a key that is not one, with the closest that is."""
        if isinstance(source, dict):
            for key in source:
                if key not in cls.model_fields:
                    close = difflib.get_close_matches(str(key), cls.model_fields, 1, 0.5)
                    hint = f"the closest is {close[0]}" if close else f"known: {', '.join(cls.model_fields)}"
                    raise ValueError(f"{str(key)[:60]} is no key here; {hint}")
        return source


class Cell(Keyed):
    """Where one value comes from: a column, or a constant; ``values`` translate it word by word.

    Without ``other`` a word that ``values`` do not hold sets its row aside.
    """

    column: Name | None = None
    constant: Name | None = None
    values: dict[str, str] = Field(default_factory=dict)
    other: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, source: Any) -> Any:
        return {"column": source} if isinstance(source, str) else source

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.column is None) == (self.constant is None):
            raise ValueError("needs a column or a constant, one of the two")
        if self.constant is not None and self.values:
            raise ValueError("a constant has no values to translate")
        if self.other is not None and not self.values:
            raise ValueError("other is for words that values do not hold; there are no values")
        return self


class _Writing(Keyed):
    """How files are written."""

    encoding: Name = "utf-8"
    delimiter: Sign = ","
    quote: Sign = '"'
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    dates: tuple[Name, ...] = (ISO,)
    nulls: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _writable(self) -> Self:
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ValueError("encoding is not known") from None
        if self.decimal == self.thousands or self.delimiter == self.quote:
            raise ValueError("two signs of the file are the same")
        for form in self.dates:
            if form != ISO and not all(part in form for part in ("%d", "%m")):
                raise ValueError(f"dates are written as {ISO} or with %d, %m and %Y")
        return self

    def form(self) -> CsvForm:
        """Return what reading the CSV file needs."""
        return CsvForm(self.encoding, self.delimiter, self.quote, self.nulls)


class Files(_Writing):
    """``[files]``: how all files are written, unless their table says otherwise."""


class PatientColumns(Keyed):
    """Columns of a patient; ``names``, ``contacts`` and ``ids`` clean texts and never leave the hospital."""

    patient: Cell
    sex: Cell | None = None
    birth: Cell | None = None
    names: tuple[Name, ...] = ()
    contacts: tuple[Name, ...] = ()
    ids: tuple[Name, ...] = ()


class CaseColumns(Keyed):
    """Columns of a case."""

    patient: Cell
    case: Cell
    start: Cell | None = None
    end: Cell | None = None
    type: Cell | None = None


class DocumentColumns(Keyed):
    """Columns of a document."""

    patient: Cell
    case: Cell | None = None
    document: Cell
    kind: Cell
    date: Cell | None = None
    accession: Cell | None = None
    text: Cell | None = None
    source: Cell | None = None


class FactValue(Keyed):
    """One value of a row: an attribute with a number, a code or a text."""

    attribute: Cell
    number: Cell | None = None
    code: Cell | None = None
    text: Cell | None = None
    unit: Cell | None = None
    date: Cell | None = None
    time: Cell | None = None

    @model_validator(mode="after")
    def _valued(self) -> Self:
        if self.number is None and self.code is None and self.text is None:
            raise ValueError("needs a number, a code or a text")
        return self


class FactColumns(Keyed):
    """Columns that all values of a row share, and those of a single value a row."""

    patient: Cell
    case: Cell | None = None
    document: Cell | None = None
    group: Cell | None = None
    date: Cell | None = None
    time: Cell | None = None
    source: Cell | None = None
    attribute: Cell | None = None
    number: Cell | None = None
    code: Cell | None = None
    text: Cell | None = None
    unit: Cell | None = None


class _Table(Keyed):
    file: Name
    encoding: Name | None = None
    delimiter: Sign | None = None
    quote: Sign | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal["", ".", ",", " ", "'"] | None = None
    dates: tuple[Name, ...] | None = None
    nulls: tuple[str, ...] | None = None
    only: bool = False
    """Whether a column of the file that is not named here is an error."""

    def writing(self, files: Files) -> Files:
        """Return how this table's files are written."""
        own = {name: getattr(self, name) for name in Files.model_fields}
        return Files(**{**files.model_dump(), **{k: v for k, v in own.items() if v is not None}})


class PatientTable(_Table):
    """``[[table]]`` with ``into = "patient"``."""

    into: Literal["patient"]
    columns: PatientColumns


class CaseTable(_Table):
    """``[[table]]`` with ``into = "case"``."""

    into: Literal["case"]
    columns: CaseColumns


class DocumentTable(_Table):
    """``[[table]]`` with ``into = "document"``."""

    into: Literal["document"]
    columns: DocumentColumns


class FactTable(_Table):
    """``[[table]]`` with ``into = "fact"``: one value a row, or several in ``[[table.value]]``."""

    into: Literal["fact"]
    columns: FactColumns
    value: tuple[FactValue, ...] = ()

    @model_validator(mode="after")
    def _some_value(self) -> Self:
        single = [name for name in ("number", "code", "text", "unit") if getattr(self.columns, name)]
        if self.value and (single or self.columns.attribute):
            raise ValueError(
                "several values a row: attribute, number, code, text, unit belong to [[table.value]]"
            )
        if not self.value:
            if self.columns.attribute is None:
                raise ValueError("needs columns.attribute, or [[table.value]]")
            self.values()
        return self

    def values(self) -> tuple[FactValue, ...]:
        """Return the values of a row, one at least."""
        if self.value:
            return self.value
        c = self.columns
        return (
            FactValue.model_validate(
                {n: getattr(c, n) for n in ("attribute", "number", "code", "text", "unit") if getattr(c, n)}
            ),
        )


Table = Annotated[PatientTable | CaseTable | DocumentTable | FactTable, Field(discriminator="into")]


class UnitConversion(Keyed):
    """``[[unit]]``: a unit that becomes another: number * factor + offset; of one attribute or of all."""

    attribute: Name | None = None
    unit: Name
    into: Name
    factor: float = Field(1.0, gt=0, allow_inf_nan=False)
    offset: float = Field(0.0, allow_inf_nan=False)


class Limit(Keyed):
    """``[[limit]]``: which units and numbers an attribute may have; others set their row aside."""

    attribute: Name
    units: tuple[str, ...] | None = None
    least: float | None = Field(None, allow_inf_nan=False)
    most: float | None = Field(None, allow_inf_nan=False)


class Words(Keyed):
    """``[words]``: what the words of OMOP, i2b2 and FHIR become.

    ``attributes``: a code, or ``scheme|code``, becomes the name of an attribute. ``schemes``: a vocabulary or
    code system becomes the attribute that holds its codes. ``kinds``, ``types``, ``sex``: of documents, cases
    and patients.
    """

    attributes: dict[str, Name] = Field(default_factory=dict)
    schemes: dict[str, Name] = Field(default_factory=dict)
    kinds: dict[str, Name] = Field(default_factory=dict)
    types: dict[str, Name] = Field(default_factory=dict)
    sex: dict[str, Name] = Field(default_factory=dict)


class Omop(Keyed):
    """``[omop]``: what the standard leaves open.

    ``note_key``: what tells documents apart; the other reading of ``note_source_value`` is a kind.
    """

    note_key: Literal["note_id", "note_source_value"] = "note_id"


class IntakeMapping(Keyed):
    """The whole mapping file."""

    version: Literal[1]
    files: Files = Files()
    table: tuple[Table, ...] = ()
    unit: tuple[UnitConversion, ...] = ()
    limit: tuple[Limit, ...] = ()
    words: Words = Words()
    omop: Omop = Omop()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        units = [(one.attribute, one.unit) for one in self.unit]
        if len(set(units)) != len(units):
            raise ValueError("a unit is converted twice")
        limits = [one.attribute for one in self.limit]
        if len(set(limits)) != len(limits):
            raise ValueError("an attribute has two limits")
        for number, table in enumerate(self.table, 1):
            try:
                table.writing(self.files)
            except ValidationError as error:
                raise ValueError(f"table {number}: {error.errors()[0]['msg']}") from None
        return self


NOTHING_MAPPED: Final = IntakeMapping(version=1)


def read_mapping(path: Path) -> IntakeMapping:
    """Return the mapping file at *path*: TOML, or YAML where its name ends in ``.yaml`` or ``.yml``.

    Raises:
        Misconfigured: absent, not TOML or YAML, or a key is unknown (the closest is named), missing or wrong.

    """
    try:
        if path.stat().st_size > _LARGEST:
            raise Misconfigured(path.name, "is larger than 4 MiB", "name the mapping file, not the data")
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() in {".yaml", ".yml"}:
            source = _plain(yaml.safe_load(text))
        else:
            source = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError, ValueError):
        remedy = "write it as docs/reference/intake.md shows"
        raise Misconfigured(path.name, "is not readable as TOML or YAML", remedy) from None
    return validated(source, path, IntakeMapping)


def _plain(source: Any) -> Any:
    """Return a YAML document with keys as texts: YAML reads ``1:`` as a number and ``no:`` as false."""
    if isinstance(source, dict):
        if not all(isinstance(key, str) for key in source):
            raise ValueError("keys are texts; quote them")
        return {key: _plain(value) for key, value in source.items()}
    if isinstance(source, list):
        return [_plain(item) for item in source]
    return source.isoformat() if isinstance(source, date) else source
