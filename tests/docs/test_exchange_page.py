"""The exchange page lists every column of every form as the data dictionaries have it."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_tables_are_those_of_the_dictionaries() -> None:
    spec = importlib.util.spec_from_file_location(
        "write_exchange", ROOT / "tools/write_exchange_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    page = (ROOT / "docs/reference/exchange.md").read_text(encoding="utf-8")

    assert page == writer.filled(page), "run: make docs"
    assert page.count("<!-- form: ") == 5
