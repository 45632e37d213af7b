from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.certificates import Pair, pem_of, self_signed
from tests.records.folder import NOON
from xds_server.records.pem import PemFault, check_authorities, check_pair

PAIR = self_signed("shop.test", begins=NOON, lasts=timedelta(days=30))
OTHER = self_signed("shop.test", begins=NOON, lasts=timedelta(days=60))
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), KEY, ec.generate_private_key(ec.SECP384R1())])
def test_a_pair_that_belongs_together_is_good_until_it_expires(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
) -> None:
    pair = self_signed("shop.test", begins=NOON, lasts=timedelta(days=30), key=key)

    assert check_pair(pair.certificate, pair.key, NOON) == NOON + timedelta(days=30)


def test_a_chain_expires_with_the_first_of_its_certificates() -> None:
    assert check_pair(OTHER.certificate + PAIR.certificate, OTHER.key, NOON) == NOON + timedelta(days=30)


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        pytest.param(Pair("", PAIR.key), "holds no certificate that can be read", id="empty"),
        pytest.param(Pair(PAIR.key, PAIR.key), "holds no certificate that can be read", id="a-key"),
        pytest.param(Pair(PAIR.certificate[:200], PAIR.key), "holds no certificate that can be read", id="cut"),
        pytest.param(Pair(PAIR.certificate, PAIR.certificate), "holds no private key that can be read", id="no-key"),
        pytest.param(Pair(PAIR.certificate, OTHER.key), "does not belong to the certificate", id="another-key"),
        pytest.param(Pair(PAIR.certificate, pem_of(KEY, "secret")), "is encrypted", id="passphrase"),
        pytest.param(
            self_signed(key=ed25519.Ed25519PrivateKey.generate(), begins=NOON),
            "is neither an RSA nor an ECDSA key",
            id="ed25519",
        ),
        pytest.param(
            self_signed(key=rsa.generate_private_key(65537, 1024), begins=NOON),
            "has an RSA key of 1024 bits",
            id="short",
        ),
        pytest.param(
            self_signed(key=ec.generate_private_key(ec.SECP256K1()), begins=NOON),
            "has a key on the curve secp256k1",
            id="curve",
        ),
        pytest.param(
            self_signed("shop.test", begins=NOON - timedelta(days=9), lasts=timedelta(days=9)),
            "has expired: CN=shop.test ended 2026-11-23 12:00 UTC",
            id="expired",
        ),
        pytest.param(
            self_signed("shop.test", begins=NOON + timedelta(days=1)),
            "is not valid yet: CN=shop.test begins 2026-11-24 12:00 UTC",
            id="early",
        ),
    ],
)
def test_a_pair_of_no_use_says_why(pair: Pair, why: str) -> None:
    with pytest.raises(PemFault) as found:
        check_pair(pair.certificate, pair.key, NOON)

    assert found.value.what == why
    assert found.value.fix


def test_a_certificate_of_a_moment_ago_is_good_although_clocks_differ() -> None:
    pair = self_signed(begins=NOON + timedelta(minutes=4))

    assert check_pair(pair.certificate, pair.key, NOON) > NOON


def test_authorities_are_good_as_long_as_one_of_them_is() -> None:
    assert check_authorities(PAIR.certificate + OTHER.certificate, NOON + timedelta(days=40)) == NOON + timedelta(
        days=60
    )
    with pytest.raises(PemFault, match="has expired"):
        check_authorities(PAIR.certificate, NOON + timedelta(days=40))
