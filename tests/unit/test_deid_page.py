from pathlib import Path

from p2d.deid.profile.page import section

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "deidentification.md"


def test_the_page_lists_the_actions_that_are_applied() -> None:
    made = PAGE.read_text(encoding="utf-8").split("<!-- made by python -m p2d.deid.profile.page -->\n\n")[1]

    assert made == section()
