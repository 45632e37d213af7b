import socket

import pytest

from xds_server.domain.addresses import Address
from xds_server.runtime.http import CannotListen, listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_free_is_listened_on(host: str) -> None:
    with listen(Address(host, 0), "--admin") as bound, socket.create_connection(bound.getsockname()[:2]) as peer:
        assert peer.getpeername()[1] == bound.getsockname()[1]


def test_a_port_in_use_is_said_with_the_option_that_asked_for_it() -> None:
    with listen(Address("127.0.0.1", 0), "--admin") as bound:
        address = Address("127.0.0.1", bound.getsockname()[1])
        with pytest.raises(CannotListen, match=f"cannot listen on --admin {address}: .*Choose another --admin"):
            listen(address, "--admin")


def test_a_host_that_is_none() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on --admin nowhere\.invalid:1"):
        listen(Address("nowhere.invalid", 1), "--admin")
