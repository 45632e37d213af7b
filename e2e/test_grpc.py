"""gRPC through a gateway: every kind of call, byte for byte, with its deadline and its end."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from e2e.support import records
from e2e.support.applications import Applications, Service
from e2e.support.processes import wait_until
from e2e.support.world import App, World, explicit_host

pytestmark = pytest.mark.e2e

BIG = 2 * 1024 * 1024
BINARY = b"\x00\xff\x80"
METADATA = (("x-word", "a word"), ("x-twice", "b"), ("x-twice", "a"), ("x-bytes-bin", BINARY))
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

_serial = itertools.count()


@dataclass(slots=True)
class Calls:
    """A client of a service behind the gateway."""

    app: App
    service: Service
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        authority = ("grpc.default_authority", explicit_host(f"{self.app.name}-v1"))
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.app.world.port}", [authority, *UNLIMITED])

    def unary(self, said: bytes, *metadata: tuple[str, Any], timeout: float | None = 10) -> Any:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary("/echo.Echo/Unary")
        return call.future(said, timeout=timeout, metadata=metadata)

    def got(self) -> dict[str, Any]:
        """What the service has got last."""
        return self.service.got[-1]


def begin(app: App, applications: Applications, **policy: Any) -> Calls:
    service = Service("calls")
    app.write(records.Build(app.name, "web", "a1").record([applications.grpc(service)], "grpc"))
    web = {"build": "a1", "routes": [{"pathPrefix": "/echo.Echo"}], "policy": policy}
    app.write(records.deployment(app.name, "v1", {"web": web}))
    calls = Calls(app, service)
    wait_until(lambda: calls.unary(b"").code() is grpc.StatusCode.OK, "calls are answered")
    return calls


@pytest.fixture
def app(pair_world: World) -> App:
    return pair_world.app(f"grpc{next(_serial)}")


@pytest.fixture
def calls(app: App, applications: Applications) -> Iterator[Calls]:
    found = begin(app, applications)
    yield found
    found.channel.close()


def words(metadata: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in metadata if key in ("x-name", "x-bytes-bin")]


def test_every_kind_of_call_keeps_messages_metadata_and_trailers(calls: Calls) -> None:
    channel, pieces = calls.channel, [b"a", b"", BINARY, b"d"]
    client: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary("/echo.Echo/Client")
    server: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/echo.Echo/Server")
    both: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream("/echo.Echo/Both")
    unary = calls.unary(BINARY, *METADATA)
    made: dict[str, tuple[Any, Any]] = {
        "unary": (unary, unary.result),
        "client": (sending := client.future(iter(pieces), timeout=10, metadata=METADATA), sending.result),
        "server": (answered := server(b"abc", timeout=10, metadata=METADATA), lambda: list(answered)),
        "both": (talking := both(iter(pieces), timeout=10, metadata=METADATA), lambda: list(talking)),
    }
    expected = {
        "unary": BINARY,
        "client": b"".join(pieces),
        "server": [b"a", b"b", b"c"],
        "both": [b"calls " + each for each in pieces],
    }
    for kind, (call, result) in made.items():
        assert result() == expected[kind]
        assert call.code() is grpc.StatusCode.OK
        assert words(call.initial_metadata()) == [("x-name", "calls")]
        assert words(call.trailing_metadata()) == [("x-name", "calls"), ("x-bytes-bin", BINARY)]
    for got in calls.service.got[-4:]:
        assert {key: got[key] for key in ("x-word", "x-bytes-bin", "x-deployment")} == {
            "x-word": "a word",
            "x-bytes-bin": BINARY,
            "x-deployment": f"{calls.app.name}-v1",
        }


def test_a_big_message_passes(calls: Calls) -> None:
    said = os.urandom(BIG)

    assert calls.unary(said).result() == said


@pytest.mark.parametrize("kind", ["Unary", "Server"])
def test_a_status_arrives_as_it_was_given(calls: Calls, kind: str) -> None:
    details = "über 100% - no\nmore"
    metadata = (("x-test-status", "9"), ("x-test-details-bin", details.encode()))
    if kind == "Unary":
        call: Any = calls.unary(b"", *metadata)
    else:
        stream: grpc.UnaryStreamMultiCallable[bytes, bytes] = calls.channel.unary_stream("/echo.Echo/Server")
        call = stream(b"ab", timeout=10, metadata=metadata)
        assert [next(call), next(call)] == [b"a", b"b"]
        with pytest.raises(grpc.RpcError):
            next(call)

    assert call.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert call.details() == details
    assert words(call.trailing_metadata()) == [("x-name", "calls"), ("x-bytes-bin", BINARY)]


def test_a_deadline_reaches_the_service_and_ends_the_call(calls: Calls) -> None:
    call = calls.unary(b"", ("x-test-wait", "1"), timeout=2)

    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0 < calls.got()["remaining"] < 2.5
    assert calls.service.cancelled.acquire(timeout=10)


def test_a_call_that_is_given_up_ends_at_the_service(calls: Calls) -> None:
    call = calls.unary(b"", ("x-test-wait", "1"))
    wait_until(lambda: "x-test-wait" in calls.got(), "the service has it")
    assert not calls.service.cancelled.acquire(blocking=False)
    call.cancel()

    assert calls.service.cancelled.acquire(timeout=10)


@pytest.mark.parametrize("timeout", [None, 30.0], ids=["no-deadline", "a-longer-deadline"])
def test_a_timeout_that_is_written_ends_calls_that_ask_for_more(
    app: App, applications: Applications, timeout: float | None
) -> None:
    calls = begin(app, applications, timeout="500ms")
    call = calls.unary(b"", ("x-test-wait", "1"), timeout=timeout)

    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert calls.service.cancelled.acquire(timeout=10)
    calls.channel.close()
