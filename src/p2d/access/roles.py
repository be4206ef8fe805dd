"""The three roles; what each may do is decided in ``p2d.access.check``."""

from enum import StrEnum


class Role(StrEnum):
    """OPERATOR runs bulk, RESEARCHER asks inside a session, OFFICER approves."""

    OPERATOR = "operator"
    RESEARCHER = "researcher"
    OFFICER = "officer"
