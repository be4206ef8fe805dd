"""Composition root of the warehouse process (research zone): settings, engine, REST interface, pages.

It loads nothing of archives, identity or de-identification (a test asserts it).
"""

import os
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI

from p2d.audit.log import AuditLog
from p2d.flows.research.cohort import CohortDesk
from p2d.flows.research.gateway_client import GatewayClient
from p2d.flows.research.saved_cohorts import SavedCohorts
from p2d.main.process import forbid_core_dumps, serve_app
from p2d.main.warehouse_disclosure import open_disclosure
from p2d.main.warehouse_engine import open_engine
from p2d.main.warehouse_exports import add_exports, check_exports, states_of
from p2d.main.warehouse_pages import add_pages
from p2d.model.errors import Misconfigured
from p2d.settings.file import read_secret, read_settings
from p2d.settings.warehouse import Gateway, Store, WarehouseSettings
from p2d.warehouse.catalogue.labels import read_labels
from p2d.warehouse.port import ResearchWarehouse
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import Role
from p2d.web.research.app import create_app
from p2d.web.research.upkeep import upkeep_router

AUDIT_FILE: Final = "audit.jsonl"
_PRIVATE: Final = 0o077


def build(settings: WarehouseSettings) -> FastAPI:
    """Return the warehouse's application for *settings*.

    Raises:
        Misconfigured: a secret is weak or shared, a key is absent, or the database cannot be opened.

    """
    store = settings.warehouse
    secrets = _secrets(store)
    archive = _gateway(settings.gateway, store) if settings.gateway else None
    os.umask(_PRIVATE)  # DuckDB makes its files with the process's mask
    desk_audit = AuditLog(store.state_dir / AUDIT_FILE)
    warehouse = open_engine(settings)
    desk = CohortDesk(
        warehouse,
        desk_audit,
        store.rows_per_preview,
        disclosure=open_disclosure(settings),
        saved=SavedCohorts(warehouse.saved, desk_audit),
    )
    app = create_app(warehouse, desk, secrets, _care(warehouse, store))
    add_pages(app, archive)
    add_exports(app, states_of(warehouse, settings), desk_audit, settings)
    return app


def _care(warehouse: ResearchWarehouse, store: Store) -> tuple[APIRouter, ...]:
    """Return the endpoints of catalogue and upkeep."""
    return (upkeep_router(Upkeep(warehouse, store.patient_form), read_labels(store.labels)),)


def serve(settings_path: Path) -> None:
    """Serve the warehouse as the settings file at *settings_path* describes, until stopped.

    Raises:
        Misconfigured: settings, secrets or database are wrong, or the port is taken.

    """
    forbid_core_dumps()
    settings = read_settings(settings_path, WarehouseSettings)
    serve_app(build(settings), settings.warehouse.host, settings.warehouse.port, "warehouse.port")


def open_gateway_client(settings_path: Path) -> GatewayClient:
    """Return the client of the gateway that the warehouse settings at *settings_path* name.

    Raises:
        Misconfigured: there is no ``[gateway]``, or its secret or the private key is wrong.

    """
    settings = read_settings(settings_path, WarehouseSettings)
    if settings.gateway is None:
        raise Misconfigured(
            f"{settings_path.name}: gateway", "is missing", "add [gateway] with url and secret"
        )
    return _gateway(settings.gateway, settings.warehouse)


def check_secrets(settings: WarehouseSettings) -> None:
    """Return if every secret, key and file that *settings* name is there and fit; nothing is opened.

    Raises:
        Misconfigured: a secret is weak or shared, or a key is absent.

    """
    _secrets(settings.warehouse)
    check_exports(settings)
    if settings.gateway:
        _gateway(settings.gateway, settings.warehouse).close()


def _secrets(store: Store) -> dict[Role, str]:
    paths = {
        Role.LOADER: store.loader_secret,
        Role.OPERATOR: store.operator_secret,
        Role.RESEARCHER: store.researcher_secret,
    }
    if store.approved_secret is not None:
        paths[Role.APPROVED] = store.approved_secret
    secrets = {
        role: read_secret(path, f"warehouse.{role}_secret").get_secret_value() for role, path in paths.items()
    }
    if len(set(secrets.values())) != len(secrets):
        raise Misconfigured("warehouse", "two roles share one secret", "give each role its own")
    return secrets


def _gateway(gateway: Gateway, store: Store) -> GatewayClient:
    field, path = "warehouse.assertion_private_key", store.assertion_private_key
    try:
        mode, private_key = path.stat().st_mode, path.read_bytes()
    except OSError:
        raise Misconfigured(field, f"{path} is not readable", "name the Ed25519 key (PEM)") from None
    if mode & _PRIVATE:
        raise Misconfigured(field, f"{path} is open to others", f"chmod 0400 {path}")
    secret = read_secret(gateway.service_secret, "gateway.service_secret").get_secret_value()
    return GatewayClient.connect(str(gateway.url), secret, private_key, gateway.timeout_seconds)
