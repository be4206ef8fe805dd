"""`[sync]` of the gateway: the nightly sync."""

from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from p2d.model.level import Choice, Scope
from p2d.model.modality import MODALITIES
from p2d.settings.file import Strict


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("is not a time zone such as Europe/Berlin") from None
    return text


def _modality(code: str) -> str:
    if code not in MODALITIES:
        raise ValueError("is not a modality code of PS3.3 C.7.3.1.1.1")
    return code


class NightlySync(Strict):
    """`[sync]`: every night at ``at`` (HH:MM in ``time_zone``) the gateway looks for what is new; else never.

    The studies of the last ``days_back`` days are compared. ``modalities``, ``scope`` and ``choice`` say what
    is extracted of them.
    """

    at: str | None = Field(None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None
    days_back: int = Field(7, ge=0, le=3660)
    modalities: frozenset[Annotated[str, AfterValidator(_modality)]] = frozenset()
    scope: Scope = Scope.BASIC
    choice: Choice = Choice.ALL

    @model_validator(mode="after")
    def _in_a_zone(self) -> Self:
        if self.at is not None and self.time_zone is None:
            raise ValueError("time_zone is missing: state the site's, such as Europe/Berlin")
        return self
