"""Reading list files and naming the user, for the commands that take them."""

import getpass
from pathlib import Path

from p2d.model.errors import InvalidRequest
from p2d.model.list_file import parse_list
from p2d.model.request import Target


def read_list(path: Path) -> tuple[Target, ...]:
    """Return the targets of the list file at *path*.

    Raises:
        InvalidRequest: absent, not UTF-8, or malformed by line and column.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise InvalidRequest("LIST", "is not readable as UTF-8 text", "save it as CSV in UTF-8") from None
    return parse_list(text)


def local_user() -> str:
    """Return the operating-system user, recorded in the audit as who asked."""
    return getpass.getuser()
