"""The page of faults names all of them, and tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "faults.md"
_ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str, str]]:
    return _ROW.findall(PAGE.read_text(encoding="utf-8").split("<!-- faults -->")[1])


def names_in(path: Path) -> set[str]:
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_its_row() -> None:
    assert [int(number) for number, *_ in rows()] == list(range(1, 43))


def test_every_test_that_a_row_names_exists() -> None:
    absent = [
        f"{number}: {file}::{name}"
        for number, _, _, named in rows()
        for file, name in re.findall(r"`([\w/.]+)::(\w+)`", named)
        if name not in names_in(ROOT / "tests" / file)
    ]

    assert absent == []


def test_a_row_names_a_test_or_says_that_there_is_none() -> None:
    silent = [number for number, _, does, named in rows() if not named.strip() and "not tested" not in does]

    assert silent == []
    assert [number for number, *_, named in rows() if int(number) <= 31 and "::" not in named] == []


def test_the_script_that_the_testing_page_shows_runs() -> None:
    page = (ROOT / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "FaultyArchive(" in one]

    exec(compile(block, "testing.md", "exec"), {})  # noqa: S102 - the page's own example
