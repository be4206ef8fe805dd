"""Composition root of ``p2d probe``: the gateway's stages, and a probe for each archive over DIMSE."""

from pathlib import Path

from p2d.dimse.negotiation import Peer
from p2d.flows.gateway.probing import Prober
from p2d.main.gateway import open_gateway, read
from p2d.pacs.probe.probe import Probe
from p2d.settings.gateway import Archive


def open_prober(path: Path) -> Prober:
    """Return the prober of the gateway whose settings file is at *path*."""
    settings = read(path)
    archives = [one for one in settings.pacs if isinstance(one, Archive)]
    return Prober(open_gateway(path), {one.name: Probe(one.name, _peer(one)) for one in archives})


def _peer(archive: Archive) -> Peer:
    return Peer(
        archive.host,
        archive.port,
        archive.called_ae_title,
        archive.calling_ae_title,
        archive.connect_seconds,
        archive.answer_seconds,
    )
