"""TLS on both sides: only the configured archive's certificate is taken, and every refusal has its name."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from p2d.dimse.acceptor import Rules
from p2d.dimse.admission import Caps
from p2d.dimse.association import Association
from p2d.dimse.listener import Door, StoreScp
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.services import IMPLICIT, VERIFICATION
from p2d.dimse.tls import SUITES, Tls, TlsFiles
from p2d.model.errors import Misconfigured, P2DError
from p2d.testing.certificates import Authority, CertificateFiles
from p2d.testing.sender import ARCHIVE, GATEWAY, RawSender
from p2d.testing.waiting import until

ECHO = Proposal(((VERIFICATION, (IMPLICIT,)),))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def gateway(authority: Authority) -> CertificateFiles:
    return authority.issue("gateway", "gateway.example")


@pytest.fixture(scope="module")
def archive(authority: Authority) -> CertificateFiles:
    return authority.issue("archive", "archive.example")


def trusting(own: CertificateFiles, authority: Authority, *names: str, fingerprint: str = "") -> TlsFiles:
    pinned = frozenset({fingerprint} if fingerprint else ())
    return TlsFiles(own.certificate, own.key, authority.certificate, frozenset(names), pinned)


@contextmanager
def scp(files: TlsFiles, *, caps: Caps | None = None) -> Iterator[StoreScp]:
    one = StoreScp(
        Door("127.0.0.1", 0, caps=caps or Caps()), Rules(GATEWAY, frozenset({ARCHIVE})), Tls(files)
    )
    one.start()
    try:
        yield one
    finally:
        one.stop()


def echo(one: StoreScp, context: ssl.SSLContext | None, *, seconds: float = 5.0) -> None:
    peer = Peer("127.0.0.1", one.port, GATEWAY, ARCHIVE, connect_seconds=seconds, tls=context)
    association = Association(peer, ECHO)
    association.echo(association.context(VERIFICATION))
    association.release()


def client(own: CertificateFiles, authority: Authority) -> ssl.SSLContext:
    return Tls(trusting(own, authority, "gateway.example")).client()


def test_both_sides_know_each_other_by_name(
    authority: Authority, gateway: CertificateFiles, archive: CertificateFiles
) -> None:
    with scp(trusting(gateway, authority, "Archive.example")) as one:
        echo(one, client(archive, authority))

        assert not one.refusals


def test_a_fingerprint_stands_for_a_name(
    authority: Authority, gateway: CertificateFiles, archive: CertificateFiles
) -> None:
    pinned = ":".join(archive.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    with scp(trusting(gateway, authority, fingerprint=pinned)) as one:
        echo(one, client(archive, authority))


def refused(one: StoreScp, context: ssl.SSLContext | None) -> str:
    """Return the name of the cause for which an association of *context* is refused."""
    with pytest.raises(P2DError):
        echo(one, context)
    until(lambda: one.refusals)
    (why,) = one.refusals
    return why


@pytest.mark.parametrize(
    ("days", "why"),
    [
        ({"first_day": -9, "last_day": -1}, "its certificate has expired"),
        ({"first_day": 5}, "its certificate is not valid yet"),
    ],
)
def test_a_certificate_outside_its_time_is_refused(
    authority: Authority, gateway: CertificateFiles, days: dict[str, int], why: str
) -> None:
    own = authority.issue("timed", "archive.example", **days)
    with scp(trusting(gateway, authority, "archive.example")) as one:
        assert refused(one, client(own, authority)) == why


def test_a_certificate_of_another_authority_is_refused(
    authority: Authority, gateway: CertificateFiles, tmp_path: Path
) -> None:
    own = Authority(tmp_path, "Somebody").issue("archive", "archive.example")
    with scp(trusting(gateway, authority, "archive.example")) as one:
        assert refused(one, client(own, authority)) == "its certificate is of an unknown authority"


def test_a_good_certificate_of_another_system_is_refused(
    authority: Authority, gateway: CertificateFiles
) -> None:
    own = authority.issue("modality", "modality.example")
    for files in (
        trusting(gateway, authority, "archive.example"),
        trusting(gateway, authority, "modality.example", fingerprint="00" * 32),
    ):
        with scp(files) as one:
            assert (
                refused(one, client(own, authority))
                == "its certificate is not that of the configured archive"
            )


def test_a_common_name_does_not_count_beside_other_names(
    authority: Authority, gateway: CertificateFiles
) -> None:
    own = authority.issue("archive.example", "modality.example")
    with scp(trusting(gateway, authority, "archive.example")) as one:
        assert "not that of the configured archive" in refused(one, client(own, authority))


def test_a_common_name_counts_where_there_is_no_other(
    authority: Authority, gateway: CertificateFiles
) -> None:
    own = authority.issue("old-archive")
    with scp(trusting(gateway, authority, "old-archive")) as one:
        echo(one, client(own, authority))


def test_a_peer_without_certificate_is_refused(authority: Authority, gateway: CertificateFiles) -> None:
    anonymous = ssl.create_default_context(cafile=authority.certificate)
    anonymous.check_hostname = False
    with scp(trusting(gateway, authority, "archive.example")) as one:
        assert refused(one, anonymous) == "it shows no certificate"


def test_a_plaintext_peer_is_refused(authority: Authority, gateway: CertificateFiles) -> None:
    with scp(trusting(gateway, authority, "archive.example")) as one:
        assert refused(one, None) == "it speaks no TLS"


def test_a_peer_of_older_suites_is_refused(
    authority: Authority, gateway: CertificateFiles, archive: CertificateFiles
) -> None:
    older = client(archive, authority)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    older.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with scp(trusting(gateway, authority, "archive.example")) as one:
        assert refused(one, older) == "it offers no cipher suite of BCP 195"


def test_versions_before_1_2_are_not_offered(authority: Authority, gateway: CertificateFiles) -> None:
    tls = Tls(trusting(gateway, authority, "archive.example"))

    for context in (tls.server(), tls.client()):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        older = {one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"}
        assert older == set(SUITES)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_bcp_195_are_spoken(
    authority: Authority, gateway: CertificateFiles, archive: CertificateFiles, version: ssl.TLSVersion
) -> None:
    context = client(archive, authority)
    context.minimum_version = context.maximum_version = version
    with scp(trusting(gateway, authority, "archive.example")) as one:
        echo(one, context)


def test_silent_peers_keep_nobody_out(
    authority: Authority, gateway: CertificateFiles, archive: CertificateFiles
) -> None:
    files = trusting(gateway, authority, "archive.example")
    with scp(files, caps=Caps(handshake_seconds=30)) as one, ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(RawSender(one.port))
        until(lambda: one.connections == 10)

        echo(one, client(archive, authority), seconds=1.0)


def test_a_silent_handshake_ends_at_its_deadline(authority: Authority, gateway: CertificateFiles) -> None:
    files = trusting(gateway, authority, "archive.example")
    with scp(files, caps=Caps(handshake_seconds=0.2)) as one, RawSender(one.port) as silent:
        silent.socket.sendall(b"\x16\x03\x01")
        assert silent.pdu() == b""
        until(lambda: one.refusals)

        assert set(one.refusals) <= {"it was silent during the handshake", "no association in time"}


def test_rotated_files_are_used_without_a_restart(
    authority: Authority, archive: CertificateFiles, tmp_path: Path
) -> None:
    first, second = authority.issue("first", "gateway.example"), authority.issue("second", "gateway.example")
    own = CertificateFiles(tmp_path / "own.pem", tmp_path / "own.key", "")
    shutil.copy(first.certificate, own.certificate)
    shutil.copy(first.key, own.key)
    files = trusting(own, authority, "archive.example")

    def taken(one: StoreScp) -> bytes | None:
        context = client(archive, authority)
        plain = socket.create_connection(("127.0.0.1", one.port), 5)
        with context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)

    with scp(files) as one:
        before = taken(one)
        shutil.copy(second.certificate, own.certificate)
        half_done = taken(one)  # its key does not fit yet
        shutil.copy(second.key, own.key)
        after = taken(one)

    assert before == half_done
    assert before != after


@pytest.mark.parametrize("name", ["certificate", "key", "authorities"])
def test_a_missing_file_is_named(authority: Authority, gateway: CertificateFiles, name: str) -> None:
    files = trusting(gateway, authority, "archive.example")

    with pytest.raises(Misconfigured, match=r"pacs\.tls\."):
        Tls(replace(files, **{name: Path("/nowhere")}))  # type: ignore[arg-type] # one of its paths


def test_a_key_that_others_may_read_is_refused(authority: Authority, tmp_path: Path) -> None:
    own = Authority(tmp_path).issue("gateway")
    own.key.chmod(0o640)

    with pytest.raises(Misconfigured, match="readable by others"):
        Tls(trusting(own, authority, "archive.example"))


def test_a_key_of_another_certificate_is_refused(
    authority: Authority, gateway: CertificateFiles, archive: CertificateFiles
) -> None:
    with pytest.raises(Misconfigured, match=r"does not fit pacs\.tls\.key"):
        Tls(replace(trusting(gateway, authority, "archive.example"), key=archive.key))


def test_our_client_refuses_another_system_by_name(
    authority: Authority, gateway: CertificateFiles, archive: CertificateFiles
) -> None:
    with scp(trusting(gateway, authority, "archive.example")) as one:
        other = Tls(trusting(archive, authority, "another.example")).client()

        with pytest.raises(Misconfigured, match="not that of the configured archive"):
            echo(one, other)
