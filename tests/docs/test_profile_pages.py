"""The pages on profiles are what `p2d explain` prints, and the project file that is shown is one."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from p2d.cli.app import cli
from p2d.deid.profile.options import Option
from p2d.deid.profile.profile import PRESETS
from p2d.deid.profile.project import read_profile

DOCS = Path(__file__).resolve().parents[2] / "docs"
HOWTO = (DOCS / "howto/write-a-project-profile.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_of_a_profile_is_what_explain_prints(name: str) -> None:
    printed = CliRunner().invoke(cli, ["explain", "--profile", name]).output

    assert (DOCS / f"reference/profiles/{name}.md").read_text(encoding="utf-8") == printed, "run `make docs`"


def test_the_project_file_of_the_page_is_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", HOWTO, re.DOTALL)
    file = tmp_path / "liver.yaml"
    file.write_text(block, encoding="utf-8")

    assert read_profile(file).name == "liver"


@pytest.mark.parametrize("option", Option)
def test_every_option_is_on_the_page(option: Option) -> None:
    assert f"`{option}`" in HOWTO
