"""Composition root of the gateway (hospital zone): settings in, connected stages out."""

import contextlib
import re
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from p2d.access.assertion import Assertions
from p2d.access.policy import ModalityPolicy
from p2d.access.service import Gatekeeper, ServiceSecret, Throttle
from p2d.access.sessions import SessionStore
from p2d.audit.log import AuditLog
from p2d.deid.pixels.gate import PixelScreen
from p2d.deid.profile.profile import Profile
from p2d.deid.profile.project import read_profile
from p2d.export.hold import HoldStore
from p2d.flows.gateway.gateway import Gateway
from p2d.identity.http import HttpIdentity
from p2d.jobs.summary import signing_key
from p2d.main.archives import connect_archives
from p2d.main.jobs import open_ledger
from p2d.main.nightly import nightly_sync
from p2d.main.process import forbid_core_dumps, quiet_logs, serve_app
from p2d.model.errors import Misconfigured, Unavailable
from p2d.pacs.governor.port import WorkClass
from p2d.pixels.sandbox import Sandbox
from p2d.pixels.screening import ScreeningSandbox
from p2d.settings.file import read_secret, read_settings
from p2d.settings.gateway import Archive, GatewaySettings
from p2d.warehouse.http import HttpWarehouse
from p2d.web.gateway.app import create_app
from p2d.web.gateway.guard import Guard

_SWEEP_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 5.0
"""For a ledger that is away, while somebody waits for an answer."""
_RUN_PATIENCE_SECONDS: Final = 60.0
"""As above, while a run goes on."""


def read(path: Path) -> GatewaySettings:
    """Return the gateway's settings file.

    Raises:
        Misconfigured: as ``read_settings``; also C-MOVE without a port for our Storage SCP.

    """
    settings = read_settings(path, GatewaySettings)
    if any(
        isinstance(one, Archive) and one.retrieve == "move" and not one.store_port for one in settings.pacs
    ):
        raise Misconfigured(
            f"{path.name}: pacs.store_port",
            "is missing, but retrieve is 'move'",
            "state the port that the archive knows for our AE title",
        )
    return settings


def connect(
    settings: GatewaySettings,
    *,
    patience_seconds: float = _PATIENCE_SECONDS,
    outage_seconds: float | None = None,
) -> Gateway:
    """Return the stages that *settings* name, connected; no peer is asked yet.

    A ledger that is away is waited for up to *patience_seconds*, a peer by bulk runs up to *outage_seconds*
    (else as the settings say).

    Raises:
        Misconfigured: a secret is absent or weak, a profile is not to be used, or the state folder cannot be
            written.
        Unavailable: the ledger's database cannot be reached.

    """
    state = settings.gateway.state_dir
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            "gateway.state_dir", f"cannot be made ({error.strerror})", "name a writable folder"
        ) from None
    identity, warehouse = settings.identity, settings.warehouse
    profile = read_profile(settings.deid.profile)
    _check_review(settings, profile)
    audit = AuditLog(state / "audit.jsonl")
    archives = connect_archives(settings.pacs, state)
    return Gateway(
        pacs=archives.for_class(WorkClass.INTERACTIVE),
        archives=archives,
        identity=HttpIdentity(
            str(identity.url),
            read_secret(identity.secret, "identity.secret").get_secret_value(),
            identity.timeout_seconds,
        ),
        warehouse=HttpWarehouse(
            str(warehouse.url),
            read_secret(warehouse.secret, "warehouse.secret").get_secret_value(),
            warehouse.timeout_seconds,
        ),
        ledger=open_ledger(settings.jobs, state, patience_seconds=patience_seconds),
        audit=audit,
        sessions=SessionStore(state / "sessions.sqlite"),
        policy=ModalityPolicy(settings.images.allow, settings.images.deny),
        renderer=Sandbox(),
        calendar=settings.gateway.calendar,
        allow_true_frames=settings.gateway.allow_true_frames,
        patients_per_batch=settings.bulk.patients_per_batch,
        patients_at_once=settings.bulk.patients_at_once,
        attempts=settings.bulk.attempts,
        outage_seconds=settings.jobs.outage_seconds if outage_seconds is None else outage_seconds,
        lease_seconds=settings.jobs.lease_seconds,
        has_workers=settings.jobs.engine == "postgresql",
        patient_form=re.compile(form) if (form := settings.gateway.patient_form) else None,
        profile=profile,
        screen=PixelScreen(sandbox=ScreeningSandbox(children=settings.deid.screening_processes)),
        signing_key=signing_key(key) if (key := settings.ledger.signing_key) else None,
        holds=HoldStore(
            state / "holds",
            settings.review.hours,
            on_expiry=lambda hold: audit.record("hold expired", subject={"hold": hold}),
        ),
    )


def _check_review(settings: GatewaySettings, profile: Profile) -> None:
    if profile.review and settings.review.officer_secret is None:
        raise Misconfigured(
            "review.officer_secret",
            "is missing, but the profile asks for a release review",
            "name a file with a secret that only officers know",
        )


def guard(settings: GatewaySettings) -> Guard:
    """Return the checks of secrets and assertions that *settings* name.

    Raises:
        Misconfigured: a secret or the public key is absent or weak.

    """
    listener, officers = settings.gateway, settings.review.officer_secret
    try:
        public_key = listener.assertion_public_key.read_bytes()
    except OSError:
        raise Misconfigured(
            "gateway.assertion_public_key", "is not readable", "copy the warehouse's public key (PEM) there"
        ) from None
    return Guard(
        service_secret=_gatekeeper(listener.service_secret, "gateway.service_secret"),
        operator_secret=_gatekeeper(listener.operator_secret, "gateway.operator_secret"),
        assertions=Assertions(public_key),
        session_hours=listener.session_hours,
        session_idle_minutes=listener.session_idle_minutes,
        officer_secret=_gatekeeper(officers, "review.officer_secret") if officers else None,
        metrics_token=_gatekeeper(token, "metrics.token") if (token := settings.metrics.token) else None,
    )


def _gatekeeper(path: Path, field: str) -> Gatekeeper:
    return Gatekeeper(ServiceSecret([read_secret(path, field).get_secret_value()]), Throttle())


def build(settings: GatewaySettings) -> FastAPI:
    """Return the gateway's application."""
    checks = guard(settings)  # first: what is wrong there stops the start before a file is made
    return create_app(connect(settings), checks)


def serve(path: Path) -> None:
    """Serve the gateway that the settings file at *path* describes, until stopped."""
    forbid_core_dumps()
    settings = read(path)
    checks = guard(settings)
    gateway = connect(settings)
    if gateway.archives:
        gateway.archives.watch(partial(_stop_noticed, gateway.audit))
    nightly = nightly_sync(settings, gateway)
    if nightly is not None:
        threading.Thread(target=nightly.work, args=(threading.Event(),), name="nightly", daemon=True).start()
    threading.Thread(target=_wipe_expired, args=(gateway,), name="holds", daemon=True).start()
    serve_app(create_app(gateway, checks), settings.gateway.host, settings.gateway.port, "gateway.port")


def _stop_noticed(audit: AuditLog, archive: str, cause: str) -> None:
    """Record that the kill switch was set or released, also by a file."""
    action = "archive stop noticed" if cause else "archive resume noticed"
    audit.record(action, subject={"archive": archive, "by": cause})


def _wipe_expired(gateway: Gateway) -> None:
    """Wipe holds as they expire, whether or not anybody asks."""
    while gateway.holds is not None:
        time.sleep(_SWEEP_SECONDS)
        with contextlib.suppress(Unavailable):  # a full disk: the next turn tries again
            gateway.holds.sweep()


def open_gateway(path: Path) -> Gateway:
    """Return the connected stages for a command of an operator."""
    forbid_core_dumps()
    quiet_logs()
    return connect(read(path), patience_seconds=_RUN_PATIENCE_SECONDS)
