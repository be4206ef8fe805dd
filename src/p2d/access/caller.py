"""Who asks."""

from dataclasses import dataclass

from p2d.access.roles import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """A user in a role, and the service that vouches for both."""

    user: str
    role: Role
    service: str
