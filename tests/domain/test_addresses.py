import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain.addresses import Address, read_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:18000", Address("127.0.0.1", 18000)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:80", Address("::1", 80)),
        ("a:65535", Address("a", 65535)),
        ("a:65536", None),
        ("a:", None),
        (":80", None),
        ("80", None),
        ("a:-1", None),
        ("a:8 0", None),
        ("a:\u0663", None),
        ("", None),
        ("a:" + "1" * 5000, None),
    ],
)
def test_read_address(text: str, expected: Address | None) -> None:
    assert read_address(text) == expected


@given(st.sampled_from(["::1", "10.0.0.1", "web.internal"]), st.integers(0, 65535))
def test_an_address_is_read_as_it_is_written(host: str, port: int) -> None:
    address = Address(host, port)

    assert read_address(str(address)) == address
