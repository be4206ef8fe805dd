import ast
import configparser
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "p2d"
MODULES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 400
NAMELESS = {
    "util",
    "utils",
    "common",
    "helper",
    "helpers",
    "manager",
    "managers",
    "core",
    "misc",
    "tools",
    "lib",
}
RELEASED_TYPES = {"ReleasedHeader", "ReleasedInstance"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def ruff_table(name: str) -> list[tuple[str, str]]:
    """Return (rule, reason) of each line of a list or table of ignores in pyproject.toml."""
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(name))
    found = []
    for line in lines[start + 1 :]:
        if line.startswith("[") or line == "]":
            break
        if line.strip().startswith('"') and not line.rstrip().endswith("["):
            rule, _, reason = line.partition("#")
            found.append((rule.strip(), reason.strip()))
    return found


def test_modules_stay_small() -> None:
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}

    assert {name: size for name, size in sizes.items() if size > MOST_LINES} == {}


def test_every_module_has_a_noun_for_a_name() -> None:
    assert [name_of(path) for path in MODULES if {path.stem, path.parent.name} & NAMELESS] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [p for p in MODULES if not ast.get_docstring(tree_of(p))]

    assert [name_of(path) for path in silent] == []


def test_every_folder_of_the_source_is_a_package() -> None:
    folders = {path.parent for path in MODULES}

    assert [name_of(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_the_architecture_page_states_the_layers_that_are_enforced() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    layers = contracts["importlinter:contract:flow"]["layers"].split("\n")
    enforced = [re.split(r"\s*\|\s*", layer.strip()) for layer in layers if layer.strip()]

    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = page.split("<!-- layers -->")[1].split("```")[1].removeprefix("text")
    stated = [line.split("  ")[0].strip().split(" | ") for line in block.strip().splitlines()]

    assert stated == enforced


@pytest.mark.parametrize("table", ["ignore = [", "[tool.ruff.lint.per-file-ignores]"])
def test_every_ignored_rule_has_a_reason(table: str) -> None:
    ignores = ruff_table(table)

    assert ignores
    assert [rule for rule, reason in ignores if not reason] == []


def test_every_exception_in_the_source_has_a_reason() -> None:
    bare = re.compile(r"#\s*(noqa(:\s*[A-Z0-9, ]+)?|type:\s*ignore(\[[a-z, -]+\])?)\s*$")
    found = [
        f"{name_of(path)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line) and "noqa" not in line.split("#")[0]
    ]

    assert found == []


def test_released_data_are_built_by_de_identification_alone() -> None:
    allowed = (SOURCE / "deid", SOURCE / "testing")
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if not path.is_relative_to(allowed[0]) and not path.is_relative_to(allowed[1])
        if "Released" in path.read_text(encoding="utf-8")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and called(node) in RELEASED_TYPES
    ]

    assert found == []


def called(call: ast.Call) -> str:
    """Return the last name of what is called: ``ReleasedHeader`` of ``released.ReleasedHeader(…)``."""
    name = call.func
    return name.id if isinstance(name, ast.Name) else name.attr if isinstance(name, ast.Attribute) else ""


def test_commands_that_pages_show_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    shown: dict[str, str] = {}
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(
            r"^make ([a-z][a-z-]*)", _code(page.read_text(encoding="utf-8")), re.MULTILINE
        ):
            shown[target] = name_of(page)

    folder = ROOT / "benchmarks"
    mains = [*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__main__.py"))]
    benchmarks = {f"bench-{path.stem}" for path in mains}
    assert {target: page for target, page in shown.items() if target not in targets | benchmarks} == {}


def _code(page: str) -> str:
    blocks = re.findall(r"```.*?```", page, re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", page)])


def test_the_version_is_the_one_of_the_change_log() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert f"## [{project['version']}]" in log
