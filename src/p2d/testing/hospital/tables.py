"""The hospital's raw material: word lists and tables of ``data/``, read once, all made up."""

import csv
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import cast

Row = Mapping[str, str]


@cache
def rows(name: str) -> tuple[Row, ...]:
    """Return the rows of ``data/<name>.tsv`` by column name."""
    return tuple(csv.DictReader(_text(f"{name}.tsv").splitlines(), delimiter="\t"))


@cache
def column(name: str, key: str) -> tuple[str, ...]:
    """Return one column of ``data/<name>.tsv``."""
    return tuple(row[key] for row in rows(name))


@cache
def phrases(key: str) -> tuple[str, ...]:
    """Return the sentences under *key* of ``data/phrases.json``; ``$words`` are filled in by the writer."""
    return tuple(cast("dict[str, list[str]]", json.loads(_text("phrases.json")))[key])


@cache
def modality(code: str) -> Mapping[str, object]:
    """Return what ``data/modalities.json`` says of a modality: SOP class, largest series, fixed elements."""
    return cast("dict[str, dict[str, object]]", json.loads(_text("modalities.json")))[code]


def _text(name: str) -> str:
    return (resources.files("p2d.testing.hospital") / "data" / name).read_text(encoding="utf-8")
