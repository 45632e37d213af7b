"""TLS on the xDS port: who may connect, and what it shows once its files are renewed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
import trustme

from tests.certificates import self_signed
from tests.transport.test_server import Gateways, Heard
from xds_server.transport.credentials import CredentialsUnusable, TlsFiles, server_credentials
from xds_server.transport.server import XdsServer

HOST = "localhost"


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - gRPC reads the clock too


class Files:
    """The server's files in a folder, issued by one authority; proxies by another."""

    def __init__(self, folder: Path) -> None:
        self.servers, self.proxies = trustme.CA(), trustme.CA()
        self.tls = TlsFiles(folder / "xds.pem", folder / "xds.key", folder / "proxies.pem")
        self.proxies.cert_pem.write_to_path(folder / "proxies.pem")
        self.issue()

    def issue(self) -> None:
        issued = self.servers.issue_cert(HOST)
        self.tls.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(self.tls.private_key)

    def client(self, ca: trustme.CA | None) -> grpc.ChannelCredentials:
        issued = ca.issue_cert("edge-1.proxies.test") if ca else None
        return grpc.ssl_channel_credentials(
            self.servers.cert_pem.bytes(),
            issued.private_key_pem.bytes() if issued else None,
            issued.cert_chain_pems[0].bytes() if issued else None,
        )


@asynccontextmanager
async def listening(tls: TlsFiles) -> AsyncIterator[int]:
    server = XdsServer(Gateways(), Heard())
    yield await server.start("127.0.0.1:0", server_credentials(tls, now))
    await server.stop(0)


async def connects(port: int, credentials: grpc.ChannelCredentials) -> bool:
    options = [("grpc.ssl_target_name_override", HOST), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        state = channel.get_state(try_to_connect=True)
        while state not in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
            await channel.wait_for_state_change(state)
            state = channel.get_state()
        return state is grpc.ChannelConnectivity.READY


async def test_only_proxies_with_a_certificate_of_their_authority_may_connect(tmp_path: Path) -> None:
    files = Files(tmp_path)
    async with listening(files.tls) as port:
        assert await connects(port, files.client(files.proxies))
        assert not await connects(port, files.client(None))
        assert not await connects(port, files.client(trustme.CA()))


async def test_without_an_authority_for_proxies_anybody_may_connect(tmp_path: Path) -> None:
    files = Files(tmp_path)
    async with listening(TlsFiles(files.tls.certificate, files.tls.private_key)) as port:
        assert await connects(port, files.client(None))


async def test_a_new_connection_is_shown_the_renewed_certificate_and_never_a_bad_one(tmp_path: Path) -> None:
    files = Files(tmp_path)
    async with listening(files.tls) as port:
        before = files.client(files.proxies)
        assert await connects(port, before)

        files.tls.private_key.write_text("nonsense")
        assert await connects(port, before)

        files.servers = trustme.CA()
        files.issue()
        assert await connects(port, files.client(files.proxies))
        assert not await connects(port, before)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("xds.key", None, "xds.key cannot be read: No such file or directory"),
        ("xds.key", "nonsense", "xds.key holds no private key that can be read"),
        ("xds.key", self_signed().key, "xds.key does not belong to the certificate"),
        ("xds.pem", "nonsense", "xds.pem holds no certificate that can be read"),
        ("proxies.pem", "nonsense", "proxies.pem holds no certificate that can be read"),
        (
            "proxies.pem",
            self_signed("old.test", begins=now() - timedelta(days=2), lasts=timedelta(days=1)).certificate,
            "proxies.pem has expired",
        ),
    ],
)
def test_files_of_no_use_say_why(tmp_path: Path, name: str, text: str | None, why: str) -> None:
    files = Files(tmp_path)
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text)

    with pytest.raises(CredentialsUnusable, match=why.replace(".", "[.]")):
        server_credentials(files.tls, now)
