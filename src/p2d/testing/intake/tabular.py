"""Rows as CSV files, and the German export that a mapping file describes."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from p2d.testing.intake.records import Clinical


def write_rows(
    path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",", encoding: str = "utf-8"
) -> None:
    """Write *rows* as CSV with the columns of the first one; a table without rows is not written."""
    if rows:
        with path.open("w", encoding=encoding, newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)


def write_mapped(clinical: Clinical, folder: Path) -> None:
    """Write *clinical* as a German hospital exports it, and beside it the mapping that reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = resources.files("p2d.testing.intake") / "mapping.toml"
    (folder / "mapping.toml").write_text(mapping.read_text(encoding="utf-8"), encoding="utf-8")
    sex, types = {"M": "m", "F": "w"}, {"inpatient": "stat", "outpatient": "amb"}
    _write(
        folder / "patienten.csv",
        (
            {
                "PATNR": p["patient"],
                "GESCHLECHT": sex[p["sex"]],
                "GEBURT": p["birth"],
                "NAME": "|".join(p["names"]) or "-",
                "ANSCHRIFT": "|".join(p["contacts"]) or "-",
                "STATION": "wird nicht gelesen",
            }
            for p in clinical.patient
        ),
    )
    half = len(clinical.case) // 2
    for number, cases in enumerate((clinical.case[:half], clinical.case[half:])):
        _write(
            folder / f"faelle_{number}.csv",
            (
                {
                    **_keys(c),
                    "VON": german(c["start"]),
                    "BIS": german(c["end"]),
                    "ART": types[c["type"]],
                }
                for c in cases
            ),
        )
    documents = [
        {
            **_keys(d),
            "DOKNR": d["document"],
            "ART": d["kind"],
            "DATUM": date.fromisoformat(d["date"]),
            "ANFORDERUNG": d["accession"],
            "INHALT": d["text"],
        }
        for d in clinical.document
    ]
    pq.write_table(pa.Table.from_pylist(documents), folder / "dokumente.parquet")
    _write_facts(clinical, folder)


def _write_facts(clinical: Clinical, folder: Path) -> None:
    for attribute, name in (("ICD10", "diagnosen"), ("OPS", "prozeduren")):
        rows = [f for f in clinical.fact if f["attribute"] == attribute]
        _write(folder / f"{name}.csv", ({**_place(f), "CODE": f["code"], "TEXT": f["text"]} for f in rows))
    values = [f for f in clinical.fact if f["attribute"] not in {"ICD10", "OPS", "RR_SYS", "RR_DIA"}]
    _write(folder / "werte.csv", (_value(f) for f in values))
    signs: dict[str, dict[str, Any]] = {}
    for fact in clinical.fact:
        if fact["attribute"] in {"RR_SYS", "RR_DIA"}:
            row = signs.setdefault(
                f"{fact['patient']}{fact['group']}",
                {**_place(fact), "ZEIT": fact.get("time"), "SYS": "", "DIA": ""},
            )
            row[fact["attribute"].removeprefix("RR_")] = comma(fact["number"])
    _write(folder / "vital.csv", signs.values())


def _value(fact: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a value; CRP has a unit that the mapping converts."""
    name, unit = fact["attribute"], "ug/ml" if fact["attribute"] == "CRP" else fact["unit"]
    return {
        **_place(fact),
        "WERT": name,
        "ZAHL": comma(fact["number"]),
        "EINHEIT": unit,
        "TEXT": fact["text"],
    }


def _keys(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"PATNR": record["patient"], "FALLNR": record["case"]}


def _place(fact: Mapping[str, Any]) -> dict[str, Any]:
    return {**_keys(fact), "DOKNR": fact["document"], "LFDNR": fact["group"], "DATUM": german(fact["date"])}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_rows(path, list(rows), ";", "cp1252")


def german(day: str | None) -> str:
    """Return an ISO date as DD.MM.YYYY."""
    return f"{date.fromisoformat(day):%d.%m.%Y}" if day else ""


def comma(number: float | None) -> str:
    """Return *number* with a decimal comma."""
    return "" if number is None else repr(number).replace(".", ",")
