"""Where connectors say that they are about to ask an archive, so that whoever governs them can hold them up.

One thing that a flow asks may be many queries to the archive; only the connector knows how many.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Hook = Callable[[int], None]


class _Thread(threading.local):
    hook: Hook | None = None


_THREAD = _Thread()


def about_to_ask(queries: int = 1) -> None:
    """Say that *queries* follow now, in this thread; returns when they may be sent.

    Raises:
        Unavailable: they may not be sent at all.

    """
    if _THREAD.hook is not None:
        _THREAD.hook(queries)


@contextmanager
def held_up_by(hook: Hook) -> Iterator[None]:
    """Let *hook* hold up what connectors ask in this thread during the block."""
    before, _THREAD.hook = _THREAD.hook, hook
    try:
        yield
    finally:
        _THREAD.hook = before
