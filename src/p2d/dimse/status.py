"""Status codes of query and retrieve (PS3.4 C.4): what is an answer, an end, and an error."""

from typing import Final

from p2d.model.errors import Misconfigured, ProtocolViolation, Unavailable

SUCCESS: Final = 0x0000
NOT_AUTHORISED: Final = 0x0124  # PS3.7 C.5.7
MISMATCH: Final = 0xA900  # PS3.4 B.2.3: data set does not match SOP class
CANCELLED: Final = 0xFE00
PENDING: Final = frozenset({0xFF00, 0xFF01})
"""0xFF01: some optional keys were not matched."""

DESTINATION_UNKNOWN: Final = 0xA801
_ENDED: Final = frozenset({SUCCESS, 0xB000, 0xA702, MISMATCH, CANCELLED})
_NOT_SUPPORTED: Final = frozenset({0x0112, 0x0122, 0x0124, 0x0210, 0x0211, 0x0212})


class OutOfResources(Unavailable):
    """The peer ended an operation for lack of resources, or was unable to process it."""


class CutShort(ProtocolViolation):
    """The peer ended the answers to a C-FIND although nobody had cancelled it: there are more."""


class NotSupported(ProtocolViolation):
    """The peer does not do an operation that it agreed to (PS3.7 C.5)."""


def overdue(seconds: float) -> Unavailable:
    """Return the error of a request that had no final response in its time."""
    return Unavailable(
        "pacs",
        f"a request had no final response after {seconds:g} s",
        "raise request_seconds, or ask for less at a time (list_length)",
    )


def refusal(status: int, operation: str) -> Unavailable | ProtocolViolation:
    """Return the error for a final *status* that is no success; 0xA7xx and 0xCxxx are worth another try."""
    problem = f"{operation} ended with status 0x{status:04X}"
    if status >> 8 == 0xA7 or status >> 12 == 0xC:  # noqa: PLR2004 - PS3.4 C.4.1.1.4 and C.4.2.1.5
        return OutOfResources("pacs", problem, "try again later")
    if status == CANCELLED:
        return CutShort("pacs", problem, "raise the archive's limit of results")
    kind = NotSupported if status in _NOT_SUPPORTED else ProtocolViolation
    return kind("pacs", problem, "see the archive's conformance statement")


def is_final(status: int, operation: str) -> bool:
    """Whether *status* ends a retrieve whose gaps the caller finds by comparing UIDs.

    Raises:
        Misconfigured: destination unknown.
        Unavailable: out of resources.
        ProtocolViolation: undefined (PS3.4 C.4.2.1.5, C.4.3.1.4).

    """
    if status in PENDING:
        return False
    if status in _ENDED or status >> 12 == 0xC:  # noqa: PLR2004 - unable to process
        return True
    if status == DESTINATION_UNKNOWN:
        raise Misconfigured(
            "pacs",
            "the archive does not know our AE title as a destination of C-MOVE",
            "register calling_ae_title, store_host and store_port with the archive",
        )
    raise refusal(status, operation)
