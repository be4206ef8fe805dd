"""The factories behind the command line; each imports its zone when it is called, not before.

So ``p2d serve warehouse`` loads nothing of the hospital zone (a test asserts it).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from p2d.cli.roots import Roots

if TYPE_CHECKING:
    from collections.abc import Callable


def _late(module: str, name: str) -> Callable[..., Any]:
    def call(*arguments: object) -> Any:
        return getattr(importlib.import_module(f"p2d.main.{module}"), name)(*arguments)

    return call


def roots() -> Roots:
    """Return the factories of the three composition roots and the demo."""
    return Roots(
        serve={process: _late(process, "serve") for process in ("gateway", "warehouse", "identity")},
        check=_late("check", "check"),
        open_gateway=_late("gateway", "open_gateway"),
        open_prober=_late("probing", "open_prober"),
        open_identity=_late("identity_client", "open_identity"),
        open_identity_table=_late("identity", "open_identity_table"),
        open_loader=_late("research_clients", "open_loader"),
        open_cohorts=_late("research_clients", "open_cohorts"),
        open_exports=_late("research_clients", "open_exports"),
        rebuild_warehouse=_late("warehouse_exports", "rebuild_warehouse"),
        open_gateway_client=_late("research_clients", "open_gateway_client"),
        open_archive_orders=_late("archives", "open_archive_orders"),
        run_demo=_late("demo.show", "run_demo"),
        work=_late("worker", "work"),
        migrate_jobs=_late("worker", "migrate"),
        migrate_warehouse=_late("warehouse_engine", "migrate"),
        rebuild_indexes=_late("warehouse_engine", "rebuild_indexes"),
    )
