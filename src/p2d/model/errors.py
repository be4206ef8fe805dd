"""The one short tree of errors; the family says what to do next.

    P2DError
    ├── InvalidRequest      the caller corrects the named field          422, exit 2
    ├── Misconfigured       start-up stops; the operator edits the file  500, exit 3
    ├── Refused             outside policy or role                       403, exit 4
    ├── NotFound            unknown, or outside the session: alike       404, exit 4
    ├── Unavailable         peer silent or busy; the only retried one    503, exit 5
    ├── ProtocolViolation   a peer broke its standard; do not retry      502, exit 6
    └── Incomplete          the work ended but its numbers have a gap    500, exit 7

Messages hold pseudonyms, AE titles and status codes, never identifiers. Strange *data* is not an error
but a value: see ``p2d.model.released.Withheld``.
"""

from typing import ClassVar


class P2DError(Exception):
    """Base of all errors that P2D raises on purpose.

    ``field`` names what is wrong (a parameter, a setting, a peer), ``problem`` says what is wrong with it
    and ``remedy`` the way out.
    """

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = "P2D error"

    def __init__(self, field: str, problem: str, remedy: str = "") -> None:
        self.field = field
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{field}: {problem}" + (f" ({remedy})" if remedy else ""))

    def __reduce__(self) -> tuple[type["P2DError"], tuple[str, str, str]]:
        """Pass from one process to another as what it was made of."""
        return type(self), (self.field, self.problem, self.remedy)


class InvalidRequest(P2DError):
    """The caller's input is wrong; nothing was done."""

    status = 422
    exit_code = 2
    title = "Invalid request"


class Misconfigured(P2DError):
    """A setting, secret or file of the installation is wrong; the process does not start."""

    exit_code = 3
    title = "Misconfigured"


class Refused(P2DError):
    """Role, policy or approval does not allow it."""

    status = 403
    exit_code = 4
    title = "Refused"


class NotFound(P2DError):
    """Unknown here, or outside the session: the answer is the same for both."""

    status = 404
    exit_code = 4
    title = "Not found"


class Unavailable(P2DError):
    """A peer is silent, busy or unreachable; the only family worth another attempt."""

    status = 503
    exit_code = 5
    title = "Unavailable"


class ProtocolViolation(P2DError):
    """A peer answered against its standard; another attempt would not help."""

    status = 502
    exit_code = 6
    title = "Protocol violation"


class Incomplete(P2DError):
    """The work ended, yet its ledger has a gap."""

    exit_code = 7
    title = "Incomplete"


def family_of(error: BaseException) -> str:
    """Return the name of the family that *error* belongs to, of those in this module; else its own type's."""
    return next(
        (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == __name__), type(error).__name__
    )
