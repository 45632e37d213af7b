"""A name server on loopback: says what a test tells it, or nothing at all."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Self

TYPES = {1: 4, 28: 6}
"""A and AAAA, and the version of IP that they are about."""
NO_SUCH_NAME = 3


@dataclass(slots=True)
class NameServer:
    """`names`: addresses by name. A name that is not there does not exist; one in `silent` is never answered."""

    names: dict[str, list[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    ttl: int = 1
    _socket: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def asked_by(self, bootstrap: dict[str, Any]) -> None:
        """Envoy asks here, and nobody else."""
        host, port = self._socket.getsockname()
        resolvers = [{"socket_address": {"address": host, "port_value": port}}]
        bootstrap["typed_dns_resolver_config"]["typed_config"]["resolvers"] = resolvers

    def __enter__(self) -> Self:
        self._socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                asked, client = self._socket.recvfrom(4096)
                if not asked:
                    return
                answer = self._answer(asked)
                if answer:
                    self._socket.sendto(answer, client)

    def _answer(self, asked: bytes) -> bytes:
        labels, at = [], 12
        while size := asked[at]:
            labels.append(asked[at + 1 : at + 1 + size].decode())
            at += 1 + size
        (kind,) = struct.unpack_from("!H", asked, at + 1)
        name = ".".join(labels)
        if name in self.silent:
            return b""
        found = [ip_address(each) for each in self.names.get(name, ())]
        fitting = [each for each in found if each.version == TYPES.get(kind)]
        code = 0 if name in self.names else NO_SUCH_NAME
        head = struct.pack("!2sHHHHH", asked[:2], 0x8180 | code, 1, len(fitting), 0, 0)
        records = (struct.pack("!HHHIH", 0xC00C, kind, 1, self.ttl, len(each.packed)) + each.packed for each in fitting)
        return head + asked[12 : at + 5] + b"".join(records)
