"""Connections that switch to another protocol: WebSocket, and whatever else a policy allows."""

import itertools
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from e2e.support import records
from e2e.support.applications import Applications
from e2e.support.processes import wait_until
from e2e.support.streams import WebSocket
from e2e.support.wire import HEAD_END, Reader, connected
from e2e.support.world import App, World, explicit_host

pytestmark = pytest.mark.e2e

_serial = itertools.count()


@pytest.fixture
def app(pair_world: World) -> App:
    return pair_world.app(f"upgrades{next(_serial)}")


def released(app: App, address: str, protocol: str = "http1", **policy: Any) -> str:
    app.write(records.Build(app.name, "web", "a1").record([address], protocol))
    web = {"build": "a1", "routes": [{"pathPrefix": "/"}], "policy": policy}
    app.write(records.deployment(app.name, "v1", {"web": web}))
    v1 = f"{app.name}-v1"
    wait_until(lambda: app.explicit(v1).status != 404, f"{v1} is known")
    app.release(v1)
    wait_until(lambda: app.get().status != 404, f"{v1} is released")
    return v1


@pytest.fixture(params=["http1", "http2"])
def served(request: pytest.FixtureRequest, app: App, applications: Applications) -> str:
    """A deployment with WebSockets, by each protocol of HTTP.

    HTTP/2 has extended CONNECT for it (RFC 8441); the application answers the client's `sec-websocket-key` too.
    """
    starts = applications.http1 if request.param == "http1" else applications.http2
    return released(app, starts("web"), request.param)


@pytest.mark.parametrize("named_by", ["nobody", "host", "header"])
def test_a_web_socket_reaches_the_deployment_that_is_asked_for(app: App, served: str, named_by: str) -> None:
    host = explicit_host(served) if named_by == "host" else app.host
    headers = [("x-explicit-deployment", served)] if named_by == "header" else []
    socket = WebSocket(app.world.port, host, headers=headers)

    assert [socket.exchange() for _ in range(3)] == ["web"] * 3
    socket.close()


def test_without_upgrades_a_web_socket_is_refused(app: App, applications: Applications) -> None:
    released(app, applications.http1("web"), upgrades=[])
    with pytest.raises(InvalidStatus) as refused:
        WebSocket(app.world.port, app.host)

    assert refused.value.response.status_code == 403
    assert app.get().status == 200


def switched(app: App, protocol: str) -> tuple[bytes, bytes]:
    """The head of the answer, and what comes back for a word in the other protocol."""
    with connected(app.world.port) as connection:
        asked = f"GET / HTTP/1.1\r\nHost: {app.host}\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        connection.sendall(asked.encode())
        stream = Reader(connection)
        head = stream.until(HEAD_END)
        if not head.startswith(b"HTTP/1.1 101"):
            return head, b""
        connection.sendall(b"\x00\xff word\n")
        return head, stream.until(b"\n")


def test_any_protocol_that_a_policy_names_is_let_through_and_no_other(app: App, applications: Applications) -> None:
    app.write(records.Build(app.name, "web", "a1").record([applications.switching("web")]))
    web = {"build": "a1", "routes": [{"pathPrefix": "/"}], "policy": {"upgrades": ["foo"]}}
    app.write(records.deployment(app.name, "v1", {"web": web}))
    app.release(f"{app.name}-v1")
    wait_until(lambda: switched(app, "foo")[0].startswith(b"HTTP/1.1 101"), "it is released")

    head, said = switched(app, "foo")
    assert b"upgrade: foo" in head.lower()
    assert said == b"web \x00\xff word\n"
    assert switched(app, "bar")[0].startswith(b"HTTP/1.1 403")
    assert switched(app, "websocket")[0].startswith(b"HTTP/1.1 403")
