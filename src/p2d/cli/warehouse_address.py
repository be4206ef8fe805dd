"""Where the warehouse is and the secret to show it: options shared by the commands that ask it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from p2d.model.errors import InvalidRequest
from p2d.settings.file import read_secret, read_settings
from p2d.settings.warehouse import WarehouseSettings

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


def warehouse_options(command: _F) -> _F:
    """Add ``--settings``, ``--url`` and ``--secret`` to *command*."""
    for option in (
        click.option("--secret", type=_FILE, help="File with the secret; only with --url."),
        click.option("--url", help="Address of the warehouse, such as http://127.0.0.1:8130."),
        click.option("--settings", type=_FILE, help="warehouse.toml, where it can be read."),
    ):
        command = option(command)
    return command


def address(settings: Path | None, url: str | None, secret: Path | None, role: str) -> tuple[str, str]:
    """Return URL and secret of *role* (loader, operator, researcher), from the settings or from both options.

    In the settings the secret of approved researchers goes before that of researchers.

    Raises:
        InvalidRequest: neither --settings nor --url with --secret is given.
        Misconfigured: the settings or the secret's file are wrong.

    """
    if settings is not None and url is None and secret is None:
        store = read_settings(settings, WarehouseSettings).warehouse
        paths = {
            "loader": store.loader_secret,
            "operator": store.operator_secret,
            "researcher": store.approved_secret or store.researcher_secret,
        }
        return f"http://{store.host}:{store.port}", read_secret(
            paths[role], f"warehouse.{role}_secret"
        ).get_secret_value()
    if settings is None and url is not None and secret is not None:
        return url, read_secret(secret, "--secret").get_secret_value()
    raise InvalidRequest("--settings", "is missing", "give --settings, or --url together with --secret")
