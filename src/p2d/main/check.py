"""``p2d check``: validate one settings file and ask each peer it names, cheapest first."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from p2d.model.errors import Misconfigured, P2DError, Unavailable
from p2d.settings.file import read_settings
from p2d.settings.identity import IdentitySettings
from p2d.settings.warehouse import WarehouseSettings

Finding = tuple[str, P2DError | None]


def check(path: Path) -> Iterator[Finding]:
    """Yield one finding a step: the file itself, then its peers.

    The kind of file is told by its tables: ``[pacs]`` the gateway's, ``[[clients]]`` identity's, otherwise
    the warehouse's.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        yield f"settings {path}", Misconfigured(str(path), "is not readable as TOML", "correct the file")
        return
    if "pacs" in tables:
        yield from _gateway(path)
    elif "clients" in tables:
        yield from _identity(path)
    else:
        yield from _warehouse(path)


def _gateway(path: Path) -> Iterator[Finding]:
    from p2d.main import gateway  # noqa: PLC0415 - only this kind of file needs the hospital zone
    from p2d.main.archives import described  # noqa: PLC0415 - as above

    try:
        settings = gateway.read(path)
        gateway.guard(settings)
        connected = gateway.connect(settings)
    except P2DError as error:
        yield f"settings {path}", error
        return
    yield f"settings {path}", None
    for one, archive in zip(settings.pacs, connected.archives or (), strict=True):
        yield described(one), _outcome(archive.echo)
    yield f"identity at {settings.identity.url}", _outcome(connected.identity.ping)
    yield f"warehouse at {settings.warehouse.url}", _outcome(lambda: connected.warehouse.receipt("check"))
    connected.close()


def _identity(path: Path) -> Iterator[Finding]:
    from p2d.main import identity  # noqa: PLC0415 - only this kind of file needs the trusted third party

    try:
        settings = read_settings(path, IdentitySettings)
        identity.build(settings)
    except P2DError as error:
        yield f"settings {path}", error
        return
    yield f"settings {path}", None
    yield (
        f"process at {settings.identity.host}:{settings.identity.port}",
        _outcome(lambda: _health("identity", settings.identity.host, settings.identity.port)),
    )


def _warehouse(path: Path) -> Iterator[Finding]:
    from p2d.main import warehouse  # noqa: PLC0415 - loads the engine

    try:
        settings = read_settings(path, WarehouseSettings)
        warehouse.check_secrets(settings)
    except P2DError as error:
        yield f"settings {path}", error
        return
    yield f"settings {path}", None
    store = settings.warehouse
    yield (
        f"process at {store.host}:{store.port}",
        _outcome(lambda: _health("warehouse", store.host, store.port)),
    )
    if settings.gateway:
        host, port = settings.gateway.url.host, settings.gateway.url.port
        yield (
            f"gateway at {settings.gateway.url}",
            _outcome(lambda: _health("gateway", str(host), int(port or 80))),
        )


def _outcome(step: Callable[[], object]) -> P2DError | None:
    try:
        step()
    except P2DError as error:
        return error
    return None


def _health(name: str, host: str, port: int) -> None:
    try:
        httpx.get(f"http://{host}:{port}/health", timeout=5, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(
            name, f"does not answer ({type(error).__name__})", f"start it: p2d serve {name}"
        ) from None
