"""Composition root of the nightly sync."""

from datetime import time
from zoneinfo import ZoneInfo

from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.sync.nightly import Nightly
from p2d.flows.gateway.sync.schedule import Schedule
from p2d.flows.gateway.sync.sync import Sync
from p2d.pacs.governor.port import WorkClass
from p2d.settings.gateway import GatewaySettings


def nightly_sync(settings: GatewaySettings, gateway: Gateway) -> Nightly | None:
    """Return the nightly sync that *settings* ask for, or None."""
    wanted = settings.sync
    if wanted.at is None or wanted.time_zone is None:
        return None
    schedule = Schedule(
        time.fromisoformat(wanted.at),
        ZoneInfo(wanted.time_zone),
        wanted.days_back,
        wanted.modalities,
        wanted.scope,
        wanted.choice,
    )
    return Nightly(Sync(gateway.for_work(WorkClass.BULK)), schedule)
