"""i2b2 1.8: the star schema with imaging as one concept and its attributes as modifiers.

In i2b2 two constraints hold in the same instance where patient, encounter, concept, provider, start date and
instance number agree. So every series is an observation of one concept, ``instance_num`` its place among the
series of the same patient, encounter and start date, and "in the same instance" means "in the same series".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from p2d.clinical.i2b2 import SERIES
from p2d.warehouse.exchange.acquisition import acquisition, parameters
from p2d.warehouse.exchange.columns import imaging_columns
from p2d.warehouse.exchange.dictionary import layouts, padded
from p2d.warehouse.exchange.form import Rows, empty
from p2d.warehouse.exchange.i2b2.sql import (
    IDS,
    LINKS,
    PREPARED,
    SEEN,
    SEEN_CONCEPTS,
    SEEN_MODIFIERS,
    SEEN_TABLES,
    TABLES,
    modifiers,
)
from p2d.warehouse.exchange.source import Source
from p2d.warehouse.exchange.workbench import Workbench

ROOT: Final = "\\P2D\\"
_SERIES_PATH: Final = "\\P2D\\Imaging\\Series\\"
_MODIFIERS_PATH: Final = "\\DICOM\\"
_FACTS_PATH: Final = "\\P2D\\Facts\\"
_DOCUMENTS_PATH: Final = "\\P2D\\Documents\\"
_NAME: Final = 2000
_STEP: Final = 250
_XML: Final = (
    '<?xml version="1.0"?><ValueMetadata><Version>3.02</Version><CreationDateTime></CreationDateTime>'
    "<TestID></TestID><TestName></TestName><DataType>{type}</DataType><Flagstouse></Flagstouse>"
    "<Oktousevalues>Y</Oktousevalues><MaxStringLength>255</MaxStringLength><EnumValues></EnumValues>"
    "<UnitValues><NormalUnits></NormalUnits></UnitValues></ValueMetadata>"
)
_Entry = dict[str, object]


class I2b2:
    """The form ``i2b2``."""

    name = "i2b2"

    def __init__(self) -> None:
        self._prepared = ""
        self._acquisition = ""

    def begin(self, bench: Workbench, source: Source) -> Iterator[Rows]:
        """Yield the tables without rows, and the one provider."""
        columns = imaging_columns(source.columns())
        self._acquisition = acquisition(columns)
        self._prepared = PREPARED.format(modifiers=modifiers(columns))
        bench.offer("parameter", parameters())
        bench.run(SEEN_TABLES)
        yield from empty(self.name)
        provider: _Entry = {"provider_id": "@", "provider_path": f"{ROOT}@\\", "name_char": "not known"}
        yield self._rows("provider_dimension", [provider])

    def part(self, bench: Workbench) -> Iterator[Rows]:
        """Yield the rows of the patients that *bench* holds."""
        bench.run(self._acquisition)
        bench.run(self._prepared)
        for domain, keys in IDS.items():
            bench.number(domain, keys)
        bench.run(SEEN)
        for name, statement in TABLES.items():
            yield name, padded(layouts(self.name)[name], bench.table(statement))

    def end(self, bench: Workbench) -> Iterator[Rows]:
        """Yield concepts, modifiers and the ontology of what was seen."""
        concepts = bench.table(SEEN_CONCEPTS).to_pylist()
        found = _distinct([_concept(row) for row in concepts])
        folders = _folders({str(row["folder"]) for row in concepts if row["kind"] == "fact"})
        folders = [one for one in folders if one["path"] not in {other["path"] for other in found}]
        found.append(_entry(_SERIES_PATH, SERIES, "Series", "FA ", None))
        seen = [row for row in bench.table(SEEN_MODIFIERS).to_pylist() if row["modifier_cd"] != "@"]
        modified = [*(_modifier(row) for row in seen), *_LINKS]
        yield self._rows(
            "concept_dimension",
            [
                {"concept_path": one["path"], "concept_cd": one["code"], "name_char": one["term"]}
                for one in found
            ],
        )
        yield self._rows(
            "modifier_dimension",
            [
                {"modifier_path": m["path"], "modifier_cd": m["code"], "name_char": m["name"]}
                for m in modified
            ],
        )
        listed = [_listed(one, "concept") for one in (*folders, *found)]
        yield self._rows("p2d_ontology", listed + [_listed(one, "modifier") for one in modified])
        yield self._rows("table_access", [_ACCESS])

    def _rows(self, table: str, rows: Sequence[_Entry]) -> Rows:
        schema = layouts(self.name)[table].schema
        stated = {"sourcesystem_cd": "P2D"} if "sourcesystem_cd" in schema.names else {}
        return table, pa.Table.from_pylist([{**stated, **row} for row in rows], schema=schema)


def _step(text: str) -> str:
    """Return *text* as a step of a path."""
    return text.replace("\\", "/").strip()[:_STEP] or "-"


def _distinct(entries: list[_Entry]) -> list[_Entry]:
    """Return *entries* with their codes in those paths that would be the same twice."""
    taken: set[object] = set()
    for one in entries:
        if one["path"] in taken:
            one["path"] = f"{str(one['path'])[:-1]} [{one['code']}]\\"
        taken.add(one["path"])
    return entries


def _concept(row: Mapping[str, Any]) -> _Entry:
    """Return a concept that was seen, a line of ``SEEN_CONCEPTS``."""
    base = _FACTS_PATH if row["kind"] == "fact" else _DOCUMENTS_PATH
    path, code, value = f"{base}{_step(row['folder'])}\\", row["concept_cd"], row["code"]
    if value is not None and not row["is_number"]:
        name = f"{value} {row['remark'] or ''}".strip()
        found = _entry(f"{path}{_step(value)}\\", code, name, "LA ", row["patients"])
        return found | {"term": (row["remark"] or value)[:_NAME]}
    return _entry(path, code, row["folder"], "LA ", row["patients"], _type(row))


def _modifier(row: Mapping[str, Any]) -> _Entry:
    """Return a modifier that was seen, a line of ``SEEN_MODIFIERS``."""
    path = f"{_MODIFIERS_PATH}{row['keyword']}\\"
    return _entry(path, row["modifier_cd"], row["keyword"], "RA ", row["patients"], _type(row))


def _type(row: Mapping[str, Any]) -> str:
    return "Float" if row["is_number"] else "String"


def _entry(path: str, code: str | None, name: str, look: str, patients: int | None, kind: str = "") -> _Entry:
    xml = _XML.format(type=kind) if kind else None
    name = name[:_NAME]
    return {"path": path, "code": code, "name": name, "term": name, "look": look, "xml": xml, "n": patients}


def _folders(attributes: set[str]) -> list[_Entry]:
    named = [
        (ROOT, "P2D"),
        (_FACTS_PATH, "Clinical facts"),
        (_DOCUMENTS_PATH, "Documents"),
        ("\\P2D\\Imaging\\", "Imaging"),
        *((f"{_FACTS_PATH}{_step(attribute)}\\", attribute) for attribute in sorted(attributes)),
    ]
    return [_entry(path, None, name, "FA ", None) for path, name in named]


def _listed(one: _Entry, kind: str) -> _Entry:
    """Return the ontology's line of a concept, folder or modifier."""
    path = str(one["path"])
    return {
        "c_hlevel": path.count("\\") - 2 + (kind == "modifier"),
        "c_fullname": path,
        "c_name": one["name"],
        "c_synonym_cd": "N",
        "c_visualattributes": one["look"],
        "c_totalnum": one["n"],
        "c_basecode": one["code"],
        "c_metadataxml": one["xml"],
        "c_facttablecolumn": f"{kind}_cd",
        "c_tablename": f"{kind}_dimension",
        "c_columnname": f"{kind}_path",
        "c_columndatatype": "T",
        "c_operator": "LIKE",
        "c_dimcode": path,
        "c_tooltip": path.strip("\\").replace("\\", " \\ "),
        "m_applied_path": one.get("applied", f"{_SERIES_PATH}%") if kind == "modifier" else "@",
        "update_date": _EPOCH,
    }


_LINKS: Final = tuple(
    _entry(f"\\{name}\\", code, name, "RA ", None, "String") | {"applied": f"{ROOT}%"}
    for name, code in LINKS.items()
)
_EPOCH: Final = pa.scalar(0, pa.timestamp("us")).as_py()
_ACCESS: Final[_Entry] = {
    "c_table_cd": "P2D",
    "c_table_name": "p2d_ontology",
    "c_protected_access": "N",
    "c_hlevel": 0,
    "c_fullname": ROOT,
    "c_name": "P2D",
    "c_synonym_cd": "N",
    "c_visualattributes": "FA ",
    "c_facttablecolumn": "concept_cd",
    "c_dimtablename": "concept_dimension",
    "c_columnname": "concept_path",
    "c_columndatatype": "T",
    "c_operator": "LIKE",
    "c_dimcode": ROOT,
    "c_tooltip": "P2D",
}
