"""The governor's page is true of its settings, and its examples are settings."""

import re
import tomllib
from pathlib import Path

import pytest

from p2d.pacs.governor.metrics import rendered
from p2d.settings.file import Strict
from p2d.settings.governor import Governing, Limits, Windows

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "reference" / "governor.md").read_text(encoding="utf-8")
HOWTO = (DOCS / "howto" / "protect-the-pacs.md").read_text(encoding="utf-8")
TABLES: dict[str, type[Strict]] = {
    "pacs.governor": Governing,
    "pacs.governor.limits": Limits,
    "pacs.governor.windows": Windows,
}


def written(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Strict):
        return "its table"
    if isinstance(value, tuple | frozenset):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_is_on_the_page_with_its_default(table: str) -> None:
    section = PAGE.split(f"### `[{table}]`")[1].split("\n### ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", section, re.MULTILINE))

    assert documented == {key: written(getattr(TABLES[table](), key)) for key in TABLES[table].model_fields}


def test_the_example_settings_are_settings() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", HOWTO, re.DOTALL)
    found = [tomllib.loads(block).get("pacs", {}).get("governor") for block in blocks]

    governing = [Governing.model_validate(one) for one in found if one]

    assert len(governing) == 2


def test_metrics_named_for_alarms_exist() -> None:
    named = set(re.findall(r"`(p2d_[a-z_]+)", HOWTO + PAGE)) - {"p2d_governor", "p2d_governor_lease"}

    assert named
    source = (Path(rendered.__code__.co_filename)).read_text(encoding="utf-8")
    assert [one for one in named if f'"{one}"' not in source] == []
