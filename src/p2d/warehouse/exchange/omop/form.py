"""OMOP CDM 5.4 with the medical imaging extension, and companion tables for what it has no place for.

A study is a procedure_occurrence, a series an image_occurrence, a report or letter a note, a parameter of the
acquisition a measurement with an image_feature. Nothing is left out for want of a date or a year of
birth: 1900-01-01 and 0 stand for unknown. Standard concepts come from a map that the site completes; without
one an id is 0, and the source value and a concept of P2D's own (from 2,000,000,001 on) say what is meant.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from p2d.model.errors import Misconfigured
from p2d.warehouse.exchange.acquisition import acquisition, parameters
from p2d.warehouse.exchange.columns import imaging_columns
from p2d.warehouse.exchange.dictionary import layouts, lines, padded
from p2d.warehouse.exchange.form import Rows, empty
from p2d.warehouse.exchange.omop.sql import IDS, PREPARED, TABLES
from p2d.warehouse.exchange.source import Source
from p2d.warehouse.exchange.workbench import Workbench

FIRST_CONCEPT: Final = 2_000_000_001
"""Concepts from 2,000,000,000 on are a site's own (OHDSI, Book of OHDSI, chapter 5)."""

_MAP_COLUMNS: Final = ("source_vocabulary_id", "source_code", "target_concept_id")
_NEW_CONCEPTS: Final = """
SELECT c.id AS concept_id, left(n.name, 255) AS concept_name, n.domain AS domain_id, 'P2D' AS vocabulary_id,
  'Undefined' AS concept_class_id, left(c."key", 50) AS concept_code, DATE '1970-01-01' AS valid_start_date,
  DATE '2099-12-31' AS valid_end_date
FROM concept_id c JOIN concept_named n ON n."key" = c."key"
WHERE c.id NOT IN (SELECT id FROM concept_shown)
"""


@dataclass(frozen=True, slots=True)
class Concept:
    """A line of a concept map: the standard concept of a source code."""

    vocabulary: str
    code: str
    concept: int


class Omop:
    """The form ``omop``.

    *concepts* completes or overrides the map that comes with P2D; *dicomweb* is the address below which
    ``wadors_uri`` lies, as ``https://gateway.example/dicomweb``, None leaves it empty.
    """

    name = "omop"

    def __init__(self, concepts: Sequence[Concept] = (), dicomweb: str | None = None) -> None:
        self._concepts = {(c.vocabulary, c.code): c.concept for c in (*_shipped(), *concepts)}
        self._dicomweb = dicomweb
        self._acquisition = ""

    def begin(self, bench: Workbench, source: Source) -> Iterator[Rows]:
        """Yield the tables without rows, the vocabulary and the source."""
        self._acquisition = acquisition(imaging_columns(source.columns()))
        rows = [(vocabulary, code, concept) for (vocabulary, code), concept in self._concepts.items()]
        bench.offer(
            "mapped", _table({"vocabulary": pa.string(), "code": pa.string(), "concept": pa.int32()}, rows)
        )
        bench.offer("parameter", parameters())
        bench.offer("address", pa.table({"dicomweb": pa.array([self._dicomweb], pa.string())}))
        bench.run("CREATE OR REPLACE TEMP TABLE concept_shown (id INTEGER)")
        yield from empty(self.name)
        yield (
            "vocabulary",
            bench.table(
                "SELECT 'P2D' AS vocabulary_id, 'P2D source concepts' AS vocabulary_name, 'local' AS "
                "vocabulary_reference, NULL::VARCHAR AS vocabulary_version, 0 AS vocabulary_concept_id"
            ),
        )
        yield "cdm_source", padded(layouts(self.name)["cdm_source"], bench.table(TABLES["cdm_source"]))

    def part(self, bench: Workbench) -> Iterator[Rows]:
        """Yield the rows of the patients that *bench* holds."""
        bench.run(self._acquisition)
        bench.run(PREPARED)
        for domain, keys in IDS.items():
            bench.number(domain, keys, FIRST_CONCEPT if domain == "concept" else 1)
        yield "concept", padded(layouts(self.name)["concept"], bench.table(_NEW_CONCEPTS))
        bench.run("INSERT INTO concept_shown SELECT id FROM concept_id EXCEPT SELECT id FROM concept_shown")
        for name, layout in layouts(self.name).items():
            if name in TABLES and name != "cdm_source":
                yield name, padded(layout, bench.table(TABLES[name]))

    def end(self, bench: Workbench) -> Iterator[Rows]:
        """Yield nothing more."""
        del bench
        yield from ()


def read_concepts(path: Path) -> tuple[Concept, ...]:
    """Return the concept map at *path*, a CSV with the columns of OMOP's source_to_concept_map.

    Only ``source_vocabulary_id``, ``source_code`` and ``target_concept_id`` are read;
    docs/reference/exchange.md lists the vocabularies.

    Raises:
        Misconfigured: the file is not readable, lacks a column, or an id is not a whole number.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return tuple(
                Concept(row[_MAP_COLUMNS[0]], row[_MAP_COLUMNS[1]], int(row[_MAP_COLUMNS[2]]))
                for row in csv.DictReader(stream)
            )
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError, TypeError):
        remedy = f"a CSV file with the columns {', '.join(_MAP_COLUMNS)}"
        raise Misconfigured("exchange.concepts", "is not a readable concept map", remedy) from None


def _shipped() -> Iterator[Concept]:
    for row in lines("concepts.tsv"):
        yield Concept(row["vocabulary"], row["code"], int(row["concept"]))


def _table(columns: Mapping[str, pa.DataType], rows: Sequence[Sequence[object]]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(columns.items())}
    )
