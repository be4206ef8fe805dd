"""The published JSON Schema of the language (draft 2020-12): what editors and other programs check against.

``parse`` is stricter: it also refuses what a schema cannot say, such as an event inside a series.
"""

import json
from functools import cache
from importlib import resources
from typing import Any

from p2d.warehouse.query.nodes import VERSION


@cache
def schema_text() -> str:
    """Return the JSON Schema of the newest version as it is packaged."""
    return resources.files(__package__).joinpath(f"schema_v{VERSION}.json").read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the newest version."""
    found: dict[str, Any] = json.loads(schema_text())
    return found
