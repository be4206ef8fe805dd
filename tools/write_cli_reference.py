"""Write docs/reference/cli.md from the commands' own ``--help``; the documentation test compares the two."""

from collections.abc import Iterator
from pathlib import Path

import click

from p2d.cli.app import cli

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"
WIDTH = 100
HEAD = """# Command line

Written by `make docs` from the commands' own `--help`; do not edit. Exit codes: [errors](errors.md).
"""


def commands(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    """Yield (command line, help text) of *command* and everything below it."""
    settings = {"terminal_width": WIDTH, "max_content_width": WIDTH, **command.context_settings}
    context = click.Context(command, parent=parent, info_name=name, **settings)
    with context:
        yield context.command_path, command.get_help(context)
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                found = command.get_command(context, sub)
                if found is not None and not found.hidden:
                    yield from commands(found, context, sub)


def page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD]
    for path, text in commands(cli, None, "p2d"):
        lines = "\n".join(line.rstrip() for line in text.splitlines())
        parts.append(f"## {path}\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
