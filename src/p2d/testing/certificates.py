"""Certificates for TLS tests: an authority, what it signs, and the files that settings name."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate, its private key and its SHA-256 fingerprint in hexadecimal."""

    certificate: Path
    key: Path
    fingerprint: str


class Authority:
    """Signs certificates; its own is in ``certificate``, below *folder*."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(self._name, self._key.public_key(), -1, 30)
        usage = x509.BasicConstraints(ca=True, path_length=0)
        signed = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *names: str, first_day: int = -1, last_day: int = 30) -> CertificateFiles:
        """Return a certificate with common name *name* and alternative *names*.

        It is valid from *first_day* to *last_day*, counted from today.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), first_day, last_day)
        if names:
            others = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
            builder = builder.add_extension(others, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        certificate, private = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return CertificateFiles(certificate, private, signed.fingerprint(hashes.SHA256()).hex())

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, first_day: int, last_day: int
    ) -> x509.CertificateBuilder:
        today = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today + first_day * _DAY)
            .not_valid_after(today + last_day * _DAY)
        )
