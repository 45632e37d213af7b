"""Where something listens."""

import ipaddress
from typing import NamedTuple

from typing_extensions import override


class Address(NamedTuple):
    """A host, without brackets if it is an IPv6 address, and a port; 0 lets the system choose one."""

    host: str
    port: int

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Nobody but this machine is there."""
    return ipaddress.ip_address(host).is_loopback if is_ip(host) else host == "localhost"


def read_address(text: str) -> Address | None:
    """`HOST:PORT` or `[IPv6]:PORT`; None if it is neither."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        return None
    return Address(host.removeprefix("[").removesuffix("]"), int(port))
