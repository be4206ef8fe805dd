"""TLS towards one archive, from its settings."""

from p2d.dimse.tls import Tls, TlsFiles
from p2d.settings.gateway import Archive


def tls_of(archive: Archive) -> Tls | None:
    """Return the TLS contexts for associations with *archive*, None where it speaks without TLS.

    Raises:
        Misconfigured: a file of ``[pacs.tls]`` is missing or does not fit.

    """
    tls = archive.tls
    if tls is None:
        return None
    names = tls.names or frozenset({archive.host})
    return Tls(TlsFiles(tls.certificate, tls.key, tls.authorities, names, tls.fingerprints))
