"""Composition root of what researchers see: the noise's secret and memory, beside the warehouse's state."""

import os
import secrets
from pathlib import Path
from typing import Final

from p2d.flows.research.disclosure import Disclosure, Shield
from p2d.model.errors import Misconfigured
from p2d.settings.file import read_secret
from p2d.settings.warehouse import WarehouseSettings
from p2d.web.research.access import Role

_MADE: Final = "noise.secret"
_MEMORY: Final = "answered-sets.tsv"
_FIELD: Final = "disclosure.noise_secret"
_BYTES: Final = 32


def open_disclosure(settings: WarehouseSettings) -> Disclosure | None:
    """Return what shields numbers from researchers, or None where they may see everything.

    Raises:
        Misconfigured: the secret cannot be made or read, or is weak; the memory cannot be read.

    """
    wanted, folder = settings.disclosure, settings.warehouse.state_dir
    if wanted.researcher == "patients":
        return None
    path = wanted.noise_secret or _made(folder / _MADE)
    secret = read_secret(path, _FIELD).get_secret_value().encode()
    shield = Shield(secret, wanted.least, folder / _MEMORY)
    return Disclosure(shield, frozenset({str(Role.RESEARCHER)}), wanted.questions_per_day)


def _made(path: Path) -> Path:
    """Return *path*, with a random secret in it if it was not there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    except FileExistsError:
        return path
    except OSError:
        raise Misconfigured(_FIELD, f"{path} cannot be made", "name a writable state_dir") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(_BYTES) + "\n")
    return path
