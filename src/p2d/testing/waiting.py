"""Wait for what other threads bring about, without guessing how long they take."""

import time
from collections.abc import Callable


def until(claim: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait until *claim* holds.

    Raises:
        TimeoutError: it does not within *seconds*.

    """
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about")
        time.sleep(0.01)
