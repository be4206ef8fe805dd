"""Write the tables of docs/reference/exchange.md from the data dictionaries; a test compares."""

import re
from pathlib import Path

from p2d.warehouse.exchange.dictionary import layouts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "exchange.md"
_PART = re.compile(r"(<!-- form: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """Return *page* with the tables of every form between its marks."""
    return _PART.sub(lambda part: f"{part[1]}{_tables(part[2])}{part[3]}", page)


def _tables(form: str) -> str:
    parts = []
    for layout in layouts(form).values():
        lines = [f"**{layout.name}**\n", "| column | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{c.name}` | {c.type} | {c.meaning.replace('|', chr(92) + '|')} |" for c in layout.columns
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n" + "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
