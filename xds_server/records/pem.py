"""Certificates and keys as PEM says them, checked before Envoy sees them.

Envoy refuses a secret that does not hold together, and a client refuses a certificate that has expired: both are said
here, of the file that is at fault, and what was good before stays in force.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

SMALLEST_RSA = 2048
"""Bits. Envoy refuses a shorter key."""
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""The curves that Envoy takes for a certificate of its own."""
CLOCKS = timedelta(minutes=5)
"""How far two clocks may differ: a certificate that is so new is taken."""


class PemFault(Exception):
    """What is wrong with a file, in words that follow its name, and what to do."""

    def __init__(self, what: str, fix: str, until: datetime | None = None) -> None:
        """`until`: when it ends by itself."""
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.until = until


class KeyFault(PemFault):
    """The fault is the private key's."""


def check_pair(certificate: str, private_key: str, now: datetime) -> datetime:
    """When the chain expires: the earliest end of its certificates. `PemFault` if it is of no use."""
    chain = _certificates(certificate)
    key = _private_key(private_key)
    leaf = chain[0]
    _check_kind(leaf)
    if _public(key.public_key()) != _public(leaf.public_key()):
        raise KeyFault(
            "does not belong to the certificate", "Put the key beside the certificate that was issued for it"
        )
    return _check_times(chain, now)


def check_authorities(text: str, now: datetime) -> datetime:
    """When the last of these authorities expires. `PemFault` if none is of use."""
    found = _certificates(text)
    last = max(found, key=lambda each: each.not_valid_after_utc)
    _check_times([last], now)
    return last.not_valid_after_utc


def _certificates(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        fix = "Write the chain as PEM, the server's own certificate first: -----BEGIN CERTIFICATE-----"
        raise PemFault("holds no certificate that can be read", fix) from None


def _private_key(text: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(text.encode(), None)
    except TypeError:
        raise KeyFault("is encrypted", "Store the key without a passphrase, readable by the server alone") from None
    except ValueError:
        raise KeyFault(
            "holds no private key that can be read", "Write the key as PEM: -----BEGIN PRIVATE KEY-----"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyFault("is neither an RSA nor an ECDSA key", "Use one of these: Envoy serves no other")
    return key


def _check_kind(leaf: x509.Certificate) -> None:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < SMALLEST_RSA:
        raise PemFault(
            f"has an RSA key of {key.key_size} bits", f"Use at least {SMALLEST_RSA}: Envoy serves no shorter"
        )
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, CURVES):
        raise PemFault(f"has a key on the curve {key.curve.name}", "Use P-256, P-384 or P-521: Envoy serves no other")


def _check_times(chain: Iterable[x509.Certificate], now: datetime) -> datetime:
    for each in chain:
        if each.not_valid_after_utc <= now:
            raise PemFault(f"has expired: {_who(each)} ended {_when(each.not_valid_after_utc)}", "Renew it")
        if each.not_valid_before_utc > now + CLOCKS:
            fix = "Wait until then, or correct this machine's clock"
            begins = each.not_valid_before_utc
            raise PemFault(f"is not valid yet: {_who(each)} begins {_when(begins)}", fix, begins - CLOCKS)
    return min(each.not_valid_after_utc for each in chain)


def _who(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "its certificate"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _public(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | object) -> bytes:
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise PemFault("has a key that is neither RSA nor ECDSA", "Use one of these: Envoy serves no other")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
