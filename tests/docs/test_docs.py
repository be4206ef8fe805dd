import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest

from p2d.cli.app import cli
from p2d.jobs.register import Inconsistency
from p2d.model.errors import P2DError
from p2d.model.released import Reason
from p2d.settings.file import Strict
from p2d.settings.gateway import FolderArchive, GatewaySettings, WebArchive
from p2d.settings.identity import IdentitySettings
from p2d.settings.warehouse import WarehouseSettings
from p2d.warehouse.query.nodes import Operator
from p2d.warehouse.query.parse import parse

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
SETTINGS: dict[str, type[Strict]] = {
    "gateway": GatewaySettings,
    "identity": IdentitySettings,
    "warehouse": WarehouseSettings,
}

PAGE_OF = {WebArchive: "dicomweb", FolderArchive: "folder"}
"""Connectors whose settings are on the page of archives."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings of *page* make, as code hosts compute them."""
    headings = re.findall(r"^#+ +(.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def tables_of(annotation: Any) -> Iterator[type[Strict]]:
    """Yield the settings tables inside a field's annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from tables_of(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType, tuple}:
        for part in get_args(annotation):
            yield from tables_of(part)


def documented_keys(process: str, table: str, kind: type[Strict]) -> dict[str, str]:
    """Return key → default of one table of the settings page; archives have a page of their own."""
    name = PAGE_OF.get(kind)
    if name is None:
        page = text(DOCS / "reference" / "settings.md").split(f"\n## {process}.toml\n")[1].split("\n## ")[0]
    else:
        page = text(DOCS / "reference" / "archives.md")
    for section in page.split("\n### ")[1:]:
        heading, _, body = section.partition("\n")
        if re.search(rf"`\[+{table}\]+`", heading) and (name is None or f'"{name}"' in heading):
            return dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", body, re.MULTILINE))
    return {}


def reference_writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "write_cli_reference", ROOT / "tools/write_cli_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_page_can_be_reached_from_the_table_of_contents() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", text(DOCS / "index.md")))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}

    assert sorted(pages - linked) == []


@pytest.mark.parametrize("process", SETTINGS)
def test_every_setting_is_documented_with_its_default(process: str) -> None:
    wrong: list[str] = []
    for table, field in SETTINGS[process].model_fields.items():
        for kind in set(tables_of(field.annotation)):
            wrong += undocumented(process, table, kind)

    assert wrong == []


def undocumented(process: str, table: str, kind: type[Strict]) -> Iterator[str]:
    """Yield what the pages say wrongly, or not at all, of one kind of table."""
    documented = documented_keys(process, table, kind)
    for key in documented.keys() - kind.model_fields.keys():
        yield f"{table}.{key}: not a setting"
    for key, setting in kind.model_fields.items():
        if key not in documented:
            yield f"{table}.{key}: undocumented in {kind.__name__}"
        elif setting.is_required() != (documented[key] == "*required*"):
            yield f"{table}.{key}: required or not"
        elif not setting.is_required() and documented[key] != default_of(setting.default):
            yield f"{table}.{key}: default is {default_of(setting.default)}"


def default_of(value: object) -> str:
    """Return a default as the page writes it: TOML in code marks."""
    if value is None:
        return "none"
    if isinstance(value, Strict):
        return "its table"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, frozenset | tuple):
        return "`[" + ", ".join(f'"{item}"' for item in sorted(value)) + "]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def test_the_command_reference_is_what_help_prints() -> None:
    writer = reference_writer()
    # in an interpreter of its own: click remembers a command's help option from its first use
    fresh = f"import runpy; print(runpy.run_path({str(writer.__file__)!r})['page'](), end='')"
    printed = subprocess.run([sys.executable, "-c", fresh], capture_output=True, text=True, check=True).stdout

    assert text(writer.PAGE) == printed, "run `make docs`"


def test_commands_that_pages_show_exist() -> None:
    known = set(cli.list_commands(cli.make_context("p2d", [], resilient_parsing=True)))
    shown = {
        (command, page.name)
        for page in PAGES
        for block in re.findall(r"```console\n.*?```|`[^`\n]+`", text(page), re.DOTALL)
        for command in re.findall(r"(?:^|[\s`/])p2d ([a-z]+)", block)
    }

    assert {(command, page) for command, page in shown if command not in known} == set()


def test_the_error_page_states_codes_and_reasons_of_the_program() -> None:
    page = text(DOCS / "reference" / "errors.md")
    rows = {
        row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    }

    families = {kind.__name__: (str(kind.exit_code), str(kind.status)) for kind in P2DError.__subclasses__()}
    assert rows == families
    assert [reason.value for reason in Reason if f"| {reason.value} |" not in page] == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name == "adr"], ids=lambda page: page.stem
)
def test_a_decision_names_context_choice_and_price(page: Path) -> None:
    assert re.findall(r"^\*\*(\w+)\.\*\*", text(page), re.MULTILINE) == ["Context", "Choice", "Price"]
    assert len(text(page).splitlines()) <= 60


def test_queries_that_the_language_page_shows_are_queries() -> None:
    page = text(DOCS / "reference" / "cohort-language.md")

    queries = [parse(json.loads(block)) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]

    assert queries
    operators = {f"`{operator}`" for operator in Operator}
    assert {operator for operator in operators if operator not in page} == set()


def test_the_page_of_inconsistencies_explains_each_kind_in_the_programs_words() -> None:
    page = (DOCS / "reference" / "inconsistencies.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(str(kind), kind.explanation) for kind in Inconsistency]
