"""What commands need from the composition roots: factories, handed over by ``p2d.main``.

Commands name no connector and import nothing of a zone before they run; types are for the checker only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from p2d.flows.gateway.archive_orders import ArchiveOrders
    from p2d.flows.gateway.gateway import Gateway
    from p2d.flows.gateway.probing import Prober
    from p2d.flows.research.cohort_client import Cohorts
    from p2d.flows.research.export_client import Exports
    from p2d.flows.research.gateway_client import GatewayClient
    from p2d.identity.port import Identity
    from p2d.identity.table import IdentityTable
    from p2d.model.errors import P2DError
    from p2d.warehouse.port import Warehouse


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What ``p2d demo`` was asked for."""

    patients: int
    seed: int
    max_images: int
    folder: Path
    once: bool
    canary: bool = False


@dataclass(frozen=True, slots=True)
class Roots:
    """Factories of everything a command may open; each is called with a settings file's path.

    ``serve`` maps a process name (gateway, warehouse, identity) to what starts and blocks on it,
    ``check`` validates a settings file and asks its peers. ``open_loader``, ``open_cohorts``
    and ``open_exports`` take the warehouse's URL and a secret.
    """

    serve: Mapping[str, Callable[[Path], None]]
    check: Callable[[Path], Iterator[tuple[str, P2DError | None]]]
    open_gateway: Callable[[Path], Gateway]
    open_prober: Callable[[Path], Prober]
    open_identity: Callable[[Path], Identity]
    open_identity_table: Callable[[Path], IdentityTable]
    open_loader: Callable[[str, str], Warehouse]
    open_cohorts: Callable[[str, str], Cohorts]
    open_exports: Callable[[str, str], Exports]
    rebuild_warehouse: Callable[[Path, Path, bool], Mapping[str, int]]
    open_gateway_client: Callable[[Path], GatewayClient]
    open_archive_orders: Callable[[Path, str], AbstractContextManager[ArchiveOrders]]
    run_demo: Callable[[DemoOptions], int]
    work: Callable[[Path, int | None], None]
    migrate_jobs: Callable[[Path], str]
    migrate_warehouse: Callable[[Path], str]
    rebuild_indexes: Callable[[Path, bool], tuple[str, ...]]
