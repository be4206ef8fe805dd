"""Composition root of ``p2d probe``: the gateway's stages, and a probe for each archive but folders."""

from functools import partial
from pathlib import Path

from p2d.dimse.negotiation import Peer
from p2d.flows.gateway.probing import AnyProbe, Prober
from p2d.main.archives import connect_archive
from p2d.main.gateway import open_gateway, read
from p2d.pacs.lean.connector import store_scp
from p2d.pacs.probe.asking import Bill
from p2d.pacs.probe.known import Known
from p2d.pacs.probe.moving import Mover
from p2d.pacs.probe.probe import Probe
from p2d.pacs.probe.web import WebProbe
from p2d.pacs.tls import tls_of
from p2d.settings.gateway import Archive, FolderArchive, WebArchive


def open_prober(path: Path) -> Prober:
    """Return the prober of the gateway whose settings file is at *path*.

    Raises:
        Misconfigured: the settings, or a file that they name.

    """
    archives = [one for one in read(path).pacs if not isinstance(one, FolderArchive)]
    return Prober(open_gateway(path), {one.name: _probe(one) for one in archives})


def _probe(archive: Archive | WebArchive) -> AnyProbe:
    if isinstance(archive, WebArchive):
        unprobed = archive.model_copy(update={"profile": None, "headers": "metadata"})
        return WebProbe(archive.name, partial(connect_archive, unprobed))
    tls = tls_of(archive)
    peer = Peer(
        archive.host,
        archive.port,
        archive.called_ae_title,
        archive.calling_ae_title,
        archive.connect_seconds,
        archive.answer_seconds,
        archive.pdu_bytes,
        None if tls is None else tls.client(),
        request_seconds=archive.request_seconds,
    )
    open_store = partial(store_scp, archive, tls)

    def mover(known: Known, bill: Bill) -> Mover:
        del known  # C-MOVE names no SOP classes
        return Mover(peer, bill, open_store)

    return Probe(archive.name, peer, mover if archive.store_port is not None else None)
