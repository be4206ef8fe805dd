"""C-FIND (PS3.4 C.4.1): questions asked over one association, each to its final status."""

from collections.abc import Sequence
from typing import Final

from p2d.dimse.association import MOST_ROW_BYTES
from p2d.dimse.identifiers import answer, encoded
from p2d.dimse.services import FIND
from p2d.dimse.status import PENDING, SUCCESS, refusal
from p2d.model.errors import ProtocolViolation
from p2d.pacs.capped import Whole
from p2d.pacs.counted import Row
from p2d.pacs.hierarchy import WORDS, Ask, Question
from p2d.pacs.pynetdicom.association import Association
from p2d.pacs.pynetdicom.messages import FIND_RESPONSE
from p2d.pacs.pynetdicom.requests import COMMAND, FIND_REQUEST, MEDIUM, PRIORITY
from p2d.pacs.turnstile import about_to_ask

MOST_ROWS: Final = 1_000_000
"""Answers to one C-FIND at most; they are held in memory, and an archive could send them without end."""


def asking(association: Association) -> Ask:
    """Return what asks over *association*, one question after the other, in pieces where it has to."""

    def ask(questions: Sequence[Question]) -> list[list[Row]]:
        return [_answered(association, one) for one in questions]

    return Whole(ask)


def _answered(association: Association, question: Question) -> list[Row]:
    """Return all answers to *question*.

    Raises:
        Unavailable: no final status 0x0000 was received.
        ProtocolViolation: another final status, an answer that is none, or too many or too long ones.

    """
    context = association.context(*(reversed(FIND) if question.patient_root else FIND))
    identifier = encoded(WORDS[question.level], question.identifier)
    about_to_ask()
    message_id = association.send({COMMAND: FIND_REQUEST, PRIORITY: MEDIUM}, context, identifier)
    rows: list[Row] = []
    octets = 0
    while True:
        response = association.response(FIND_RESPONSE, message_id, association.receive())
        status = response.status
        if status in PENDING and response.content:
            if len(rows) == MOST_ROWS:
                raise ProtocolViolation("pacs", f"C-FIND brought more than {MOST_ROWS:,} rows")
            octets += len(response.content)
            if octets > MOST_ROW_BYTES:
                raise ProtocolViolation("pacs", f"C-FIND brought more than {MOST_ROW_BYTES >> 20} MiB")
            rows.append(_row(response.content))
        elif status == SUCCESS:
            return rows
        else:
            raise refusal(status, "C-FIND")


def _row(content: bytes) -> Row:
    try:
        return answer(content)
    except ValueError as error:
        raise ProtocolViolation("pacs", f"an answer is not readable: {type(error).__name__}") from None
