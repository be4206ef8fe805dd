"""Who leaves before the question has begun ends it as well, once it has."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from p2d.flows.research.cohort import Asker
from p2d.web.research.leaving import ASKER, CancelWhenLeft

ADA = Asker("ada", "researcher", "q1")


def served(path: str, turns: int) -> list[Asker]:
    """Serve a request whose asker leaves at once; its question begins after *turns* tries to cancel it."""
    tried: list[Asker] = []
    is_cancelled = asyncio.Event()

    def cancel(asker: Asker) -> bool:
        tried.append(asker)
        if len(tried) > turns:
            is_cancelled.set()
        return len(tried) > turns

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        del send
        await receive()
        scope.setdefault("state", {})[ASKER] = ADA
        if path.startswith("/cohorts/"):
            await asyncio.wait_for(is_cancelled.wait(), 30)

    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise AssertionError("nobody is there to hear")

    scope: Scope = {"type": "http", "path": path}
    asyncio.run(CancelWhenLeft(application, cancel)(scope, receive, send))
    return tried


def test_a_question_that_waits_for_its_turn_is_tried_again() -> None:
    assert served("/cohorts/count", 3) == [ADA] * 4


def test_only_questions_are_watched() -> None:
    assert served("/load", 0) == []
