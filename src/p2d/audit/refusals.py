"""What was refused is recorded too: who asked, which kind of error, which field; never the value sent."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from p2d.audit.log import AuditLog
from p2d.model.errors import P2DError, family_of

_RECORDED: Final = "recorded in the audit"
_INDEX: Final = re.compile(r"\[\d+\]")
_FIELDS: Final = frozenset(
    {
        "Authorization",
        "assertion",
        "attributes",
        "body",
        "calendar",
        "choice",
        "decision",
        "end",
        "hold",
        "hours",
        "identifiers",
        "images",
        "kind",
        "level",
        "modalities",
        "output",
        "patient",
        "patients",
        "pseudonym",
        "reason",
        "role",
        "scope",
        "series",
        "session",
        "session_id",
        "start",
        "study",
        "type",
    }
)


def record_refusal(
    audit: AuditLog, error: P2DError, *, action: str, user: str = "", session: str = ""
) -> None:
    """Record *error* once; a second call with the same error does nothing.

    The field is recorded where it is one of the interface's own names: a caller's invention could hold
    anything.

    Raises:
        Unavailable: the audit cannot be written.

    """
    if is_recorded(error):
        return
    parts = [part for part in _INDEX.sub("", error.field).split(".") if part in _FIELDS]
    audit.record(
        "refused",
        user=user,
        session=session,
        subject={"action": action, "family": family_of(error), "field": ".".join(parts) or "other"},
    )
    error.add_note(_RECORDED)


def is_recorded(error: BaseException) -> bool:
    """Whether *error* is in the audit already."""
    return _RECORDED in getattr(error, "__notes__", ())


@contextmanager
def refusals_recorded(audit: AuditLog, *, action: str, user: str, session: str = "") -> Iterator[None]:
    """Record what the block refuses before its query has a record of its own."""
    try:
        yield
    except P2DError as error:
        record_refusal(audit, error, action=action, user=user, session=session)
        raise


@contextmanager
def marked() -> Iterator[None]:
    """Mark errors of an audited block: its outcome is their record."""
    try:
        yield
    except P2DError as error:
        error.add_note(_RECORDED)
        raise
