"""Clients for the command line: the warehouse by URL and secret, the gateway by the warehouse's settings."""

from pathlib import Path
from typing import Final

from p2d.flows.research.cohort_client import Cohorts
from p2d.flows.research.export_client import Exports
from p2d.flows.research.gateway_client import GatewayClient
from p2d.warehouse.http import HttpWarehouse, WarehouseClient
from p2d.warehouse.port import Warehouse

_SECONDS: Final = 120.0


def open_loader(url: str, secret: str) -> Warehouse:
    """Return the warehouse at *url* as the loader sees it."""
    return HttpWarehouse(url, secret, _SECONDS)


def open_cohorts(url: str, secret: str) -> Cohorts:
    """Return the cohort interface of the warehouse at *url*."""
    return Cohorts(WarehouseClient(url, secret, _SECONDS))


def open_exports(url: str, secret: str) -> Exports:
    """Return the exports of the warehouse at *url*, for the operator's *secret*."""
    return Exports(WarehouseClient(url, secret, _SECONDS))


def open_gateway_client(settings_path: Path) -> GatewayClient:
    """Return the client of the gateway that the warehouse settings at *settings_path* name.

    Raises:
        Misconfigured: there is no ``[gateway]``, or its secret or the private key is wrong.

    """
    from p2d.main.warehouse import open_gateway_client as connect  # noqa: PLC0415 - loads the engine

    return connect(settings_path)
