"""Look beside a probe whether it has to stop, and end what it has under way."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from p2d.model.errors import P2DError, Unavailable

_SECONDS: Final = 0.5

Stopped = Callable[[], P2DError | None]
"""Returns why nothing may be asked any more, or None; raises Unavailable where nobody knows."""


def never() -> None:
    """Let a probe go on."""


@contextmanager
def watched(stopped: Stopped, end: Callable[[P2DError], None]) -> Iterator[None]:
    """Call *end*, in another thread, with what *stopped* says, if it says anything while the block runs."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_SECONDS):
            with suppress(Unavailable):  # what is asked next is refused by its permit
                if (why := stopped()) is not None:
                    end(why)
                    return

    thread = threading.Thread(target=look, name="probe-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
