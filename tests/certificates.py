"""Certificates and keys as tests write them, from an authority of their own."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Pair(NamedTuple):
    """PEM: a certificate and its key."""

    certificate: str
    key: str


def pem_of(key: Key, passphrase: str = "") -> str:
    how: KeySerializationEncryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def self_signed(
    *hosts: str,
    begins: datetime | None = None,
    lasts: timedelta = timedelta(days=90),
    key: Key | None = None,
) -> Pair:
    """A certificate for these hosts that its own key has signed. `begins`: now, if not said."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    begins = begins or datetime.now(UTC) - timedelta(minutes=1)  # noqa: TID251 - Envoy and its clients read it too
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0] if hosts else "test")])
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts or ("localhost",)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lasts)
        .add_extension(names, critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), pem_of(key))
