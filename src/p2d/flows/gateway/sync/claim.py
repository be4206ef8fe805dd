"""One sync at a time, on whichever machine: a claim in the ledger's store that a thread keeps alive."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.claims import Claims
from p2d.jobs.workers import this_worker
from p2d.model.errors import InvalidRequest, Unavailable

_LOG: Final = logging.getLogger(__name__)
_NAME: Final = "sync"
_TURNS: Final = 4
"""How often a claim is renewed before it would end."""


class Busy(InvalidRequest):
    """Another sync is under way, here or on another machine."""

    def __init__(self) -> None:
        super().__init__("sync", "is under way already", "wait until it has ended: p2d runs")


def claims_of(gateway: Gateway) -> Claims:
    """Return the claim that every sync of this gateway's ledger takes."""
    return gateway.ledger.claims(_NAME)


@contextmanager
def only_one(gateway: Gateway) -> Iterator[threading.Event]:
    """Hold the claim while the block runs; the event that is yielded is set when it was lost.

    Raises:
        Busy: another has it.
        Unavailable: the ledger cannot be written.

    """
    claims, worker, seconds = claims_of(gateway), this_worker(), gateway.lease_seconds
    if not claims.take(worker, seconds):
        raise Busy
    lost, ended = threading.Event(), threading.Event()

    def keep() -> None:
        while not ended.wait(seconds / _TURNS):
            with suppress(Unavailable):  # the ledger is away: it ends by itself, unless it comes back before
                if not claims.renew(worker, seconds):
                    _LOG.error("the claim on the sync was lost to another")
                    lost.set()
                    return

    keeper = threading.Thread(target=keep, name="sync claim", daemon=True)
    keeper.start()
    try:
        yield lost
    finally:
        ended.set()
        keeper.join()
        with suppress(Unavailable):  # it ends by itself
            claims.give_back(worker)
