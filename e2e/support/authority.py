"""A certificate authority of a test's own, and what applications show and ask for by TLS."""

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import grpc
import trustme

from tests.certificates import Pair


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates."""

    ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def pem(self) -> str:
        return self.ca.cert_pem.bytes().decode()

    def issue(self, name: str, ends: datetime | None = None) -> Pair:
        leaf = self.ca.issue_cert(name, not_after=ends)
        chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
        return Pair(chain.decode(), leaf.private_key_pem.bytes().decode())


class Showing(NamedTuple):
    """What an application shows, and whose certificates its clients must have."""

    pair: Pair
    clients: Authority | None = None

    @property
    def credentials(self) -> grpc.ServerCredentials:
        pair = (self.pair.key.encode(), self.pair.certificate.encode())
        clients = self.clients.pem.encode() if self.clients else None
        return grpc.ssl_server_credentials([pair], clients, require_client_auth=clients is not None)

    def context(self, directory: Path, alpn: str = "http/1.1") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols([alpn])
        load_certificate(context, self.pair, directory)
        if self.clients is not None:
            context.load_verify_locations(cadata=self.clients.pem)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def load_certificate(context: ssl.SSLContext, pair: Pair, directory: Path) -> None:
    """New connections are shown this; Python takes it from files only."""
    file = directory / "shown.pem"
    file.write_text(pair.certificate + pair.key)
    context.load_cert_chain(file)
