"""The page of intake: every key of the mapping file, what every format reads, a sample that works."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from p2d.clinical import i2b2, omop
from p2d.clinical.chunk import IDENTIFYING, SCHEMAS
from p2d.clinical.fhir.records import _MAKERS
from p2d.clinical.formats import FORMATS
from p2d.clinical.mapping import (
    CaseColumns,
    Cell,
    DocumentColumns,
    FactColumns,
    FactTable,
    FactValue,
    Files,
    IntakeMapping,
    Keyed,
    Limit,
    Omop,
    PatientColumns,
    UnitConversion,
    Words,
)
from p2d.flows.gateway.pseudonymise import INPUT

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "intake.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return PAGE.split(f"\n{heading}\n")[1].split("\n## ")[0].split("\n### ")[0]


def rows_of(heading: str) -> dict[str, list[str]]:
    """Return key → other cells of the table below *heading*."""
    rows = [line.strip("|").split(" | ") for line in section(heading).splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


@pytest.mark.parametrize(
    ("heading", "kind", "inherited"),
    [
        ("### `[files]`", Files, set()),
        ("### `[[table]]`", FactTable, set(Files.model_fields)),
        ("### `[table.columns]`", Cell, set()),
        ("### `[[unit]]`", UnitConversion, set()),
        ("### `[[limit]]`", Limit, set()),
        ("### `[words]`", Words, set()),
        ("### `[omop]`", Omop, set()),
    ],
)
def test_every_key_of_the_mapping_file_is_documented(
    heading: str, kind: type[Keyed], inherited: set[str]
) -> None:
    assert set(rows_of(heading)) == set(kind.model_fields) - inherited


@pytest.mark.parametrize(("heading", "kind"), [("### `[files]`", Files), ("### `[[unit]]`", UnitConversion)])
def test_defaults_are_those_of_the_program(heading: str, kind: type[Keyed]) -> None:
    for key, cells in rows_of(heading).items():
        default: Any = kind.model_fields[key].default
        if default is PydanticUndefined:
            assert cells[0] == "*required*"
        elif default is not None:
            told = tomllib.loads(f"v = {cells[0].strip('`')}")["v"]
            assert (tuple(told) if isinstance(told, list) else told) == default


@pytest.mark.parametrize(
    ("into", "kind"),
    [
        ("patient", PatientColumns),
        ("case", CaseColumns),
        ("document", DocumentColumns),
        ("fact", FactColumns),
    ],
)
def test_every_field_is_documented_and_the_needed_ones_are_marked(into: str, kind: type[Keyed]) -> None:
    line = next(one for one in section("### `[table.columns]`").splitlines() if one.startswith(f"| {into} |"))
    fields = re.findall(r"(\*?)`(\w+)`", line)

    assert {name for _, name in fields} == set(kind.model_fields)
    needed = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert {name for star, name in fields if star} - {"attribute"} == needed


def test_the_fields_of_several_values_a_row_are_documented() -> None:
    assert set(re.findall(r"`(\w+)`", section("### `[[table.value]]`"))) >= set(FactValue.model_fields)


def test_the_four_tables_are_those_of_the_readers() -> None:
    lines = section("## What every format becomes").splitlines()
    for table, schema in SCHEMAS.items():
        fields = set(re.findall(r"`(\w+)`", next(line for line in lines if line.startswith(f"| {table} |"))))

        assert fields == {"birth_year" if n == "birth" else n for n in schema.names} - set(IDENTIFYING)


def test_the_identified_form_is_the_one_that_is_read() -> None:
    lines = section("## P2D's own CSV").splitlines()
    for name, columns in INPUT.items():
        assert (
            tuple(re.findall(r"`(\w+)`", next(one for one in lines if one.startswith(f"| {name} |"))))
            == columns
        )


def test_the_sample_is_a_mapping() -> None:
    sample = PAGE.split("```toml\n")[1].split("```")[0]

    mapping = IntakeMapping.model_validate(tomllib.loads(sample))

    assert [table.into for table in mapping.table] == ["patient", "fact", "fact"]


def test_every_format_says_which_tables_and_resources_it_reads() -> None:
    assert all(f"`--format {form}`" in PAGE for form in FORMATS if form != "csv")
    for reading in omop.READINGS:
        assert f"`{reading.file}`" in section("## OMOP CDM 5.4")
    for one in i2b2.READINGS:
        assert f"`{one.file}`" in section("## i2b2")
    for word in (i2b2.DOCUMENT_MODIFIER, i2b2.ACCESSION_MODIFIER):
        assert f"`{word}`" in section("## i2b2")
    for kind in _MAKERS:
        assert kind in section("## FHIR R4")
