"""What strangers may hold at a gateway, and for how long: everybody else is served meanwhile.

`docs/hardening.md` has a row for each of these.
"""

import json
import resource
import select
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice, repeat

import hpack
import pytest

from e2e.support import http2
from e2e.support.client import answers
from e2e.support.edge import HOST, Edge, request, running_edge
from e2e.support.envoy import EnvoyVersion
from e2e.support.gateways import add_gateway
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.wire import connected, read_answer, status_of

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

NAME = HOST.decode()
IDLE = 10_000
SPARE = 1_000
ACTIVE = "http.edge/http.downstream_cx_active"
KIB = 1024
KEPT_OPEN = request().replace(b"Connection: close\r\n", b"")


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Envoy inherits how many files it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, IDLE + SPARE)), hard))
    with running_edge(Mode.DELTA, EnvoyVersion.CURRENT, tmp_path_factory.mktemp("edge")) as ready:
        yield ready
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- slow clients

LIMIT = 4.5
"""Seconds that a client has for all of its headers."""
EARLY, LATE = 0.5, 2.0
SLOW: dict[str, tuple[bytes, bytes]] = {
    "half-a-request-line": (b"GET / HT", b""),
    "a-header-that-never-ends": (b"GET / HTTP/1.1\r\nHost: " + HOST + b"\r\nx-a: b", b""),
    "headers-that-never-end": (b"GET / HTTP/1.1\r\nHost: " + HOST + b"\r\nx-a: b\r\n", b""),
    "a-byte-every-half-second": (b"GET / HTTP/1.1\r\nHost: " + HOST + b"\r\nx-a: ", b"a"),
    "an-empty-line": (b"\r\n", b""),
}
"""What is said at once, and then again and again."""


def slowly(port: int, said: bytes, then: bytes) -> tuple[int, float]:
    """The status of the answer, and after how many seconds it came."""
    begun = time.monotonic()
    with connected(port) as connection:
        connection.sendall(said)
        while then and not select.select([connection], [], [], 0.5)[0]:
            connection.sendall(then)
        return status_of(read_answer(connection)), time.monotonic() - begun


SLOW_HTTP2 = {
    "half-a-frame-of-headers": http2.headers(1, NAME)[:20],
    "headers-whose-continuation-never-comes": http2.headers(1, NAME, flags=0),
}


def slowly_by_http2(port: int, said: bytes) -> tuple[bytes, float]:
    """What the answer says, and after how many seconds it came: the connection stays for other requests."""
    begun = time.monotonic()
    with http2.opened(port) as connection:
        connection.sendall(said)
        answer = next(each for each in http2.frames(connection) if each.kind == http2.DATA)
        return answer.body, time.monotonic() - begun


def test_a_client_has_a_few_seconds_for_its_headers_however_slow_it_is(edge: Edge) -> None:
    edge.application.taken()
    port = edge.world.port
    with ThreadPoolExecutor(len(SLOW) + len(SLOW_HTTP2)) as pool:
        asked = {name: pool.submit(slowly, port, *said) for name, said in SLOW.items()}
        streams = {name: pool.submit(slowly_by_http2, port, said) for name, said in SLOW_HTTP2.items()}
        found = {name: each.result() for name, each in asked.items()}
        answered = {name: each.result() for name, each in streams.items()}

    assert {name: status for name, (status, _) in found.items()} == dict.fromkeys(SLOW, 408)
    assert {name: json.loads(said)["reason"] for name, (said, _) in answered.items()} == dict.fromkeys(
        SLOW_HTTP2, "Timeout"
    )
    waited = [seconds for _, seconds in (*found.values(), *answered.values())]
    assert all(LIMIT - EARLY < seconds < LIMIT + LATE for seconds in waited), (found, answered)
    assert edge.application.taken() == []


IMPATIENT = 1.0
"""Seconds of a gateway's `idleTimeout`."""


def test_who_sends_no_request_is_let_go_when_the_idle_timeout_is_over(edge: Edge) -> None:
    port = add_gateway(edge.world, "impatient", http={"idleTimeout": f"{IMPATIENT:g}s"})
    with edge.world.another_envoy("impatient-1", "impatient"), connected(port) as connection:
        begun = time.monotonic()
        assert connection.recv(1) == b""
        assert IMPATIENT - EARLY < time.monotonic() - begun < IMPATIENT + LATE


# --- HTTP/2

CANCEL, REFUSED_STREAM = struct.pack(">I", 8), struct.pack(">I", 7)


def reset_at_once() -> Iterator[bytes]:
    return (
        http2.headers(each, NAME) + http2.frame(http2.RESET, 0, each, CANCEL)
        for each in islice(http2.stream_ids(), 5000)
    )


def first(begin: bytes, then: bytes, count: int = 50_000) -> Iterator[bytes]:
    return chain([begin], repeat(then, count))


def bomb() -> bytes:
    """16 KiB that mean 48 MB: one long header, and ten thousand times the byte that stands for it."""
    block = hpack.Encoder().encode([(":method", "GET"), (":scheme", "http"), (":path", "/bomb"), (":authority", NAME)])
    entry = b"\x40\x03x-a" + b"\x7f" + b"\xa1\x1e" + b"a" * 4000
    return http2.frame(http2.HEADERS, http2.END_STREAM | http2.END_HEADERS, 1, block + entry + b"\xbe" * 12_000)


OPEN = http2.headers(1, NAME, flags=http2.END_HEADERS)
UNENDED = http2.headers(1, NAME, flags=http2.END_STREAM)
FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "streams-that-are-reset-at-once": reset_at_once,
    "empty-data-frames": lambda: first(OPEN, http2.frame(http2.DATA, 0, 1)),
    "empty-continuations": lambda: first(UNENDED, http2.frame(http2.CONTINUATION, 0, 1)),
    "headers-without-end": lambda: first(UNENDED, http2.frame(http2.CONTINUATION, 0, 1, b"\x10\x01a\x01b" * 200)),
    "priorities": lambda: repeat(http2.frame(http2.PRIORITY, 0, 1, b"\0\0\0\0\1"), 50_000),
    "window-updates": lambda: repeat(http2.frame(http2.WINDOW, 0, 0, b"\0\0\0\1"), 50_000),
    # More answers than the kernel takes for somebody who does not read.
    "settings-whose-answers-nobody-reads": lambda: repeat(http2.frame(http2.SETTINGS) * 100, 10_000),
    "a-frame-that-is-too-large": lambda: iter([http2.frame(http2.HEADERS, 5, 1, bytes(20_000))]),
}
SERVED_AT_MOST = 300


@pytest.mark.parametrize("flood", FLOODS)
def test_an_http2_client_that_floods_is_disconnected(edge: Edge, flood: str) -> None:
    edge.application.taken()
    with http2.opened(edge.world.port, room=4096) as connection:
        http2.told(connection, FLOODS[flood]())
        came = list(http2.frames(connection))

    assert not [each for each in came if each.kind == http2.DATA]
    assert len(edge.application.taken()) < SERVED_AT_MOST
    edge.lives()


def test_resets_are_counted_over_a_connection(edge: Edge) -> None:
    closed, resets = "http.edge/http.downstream_rq_too_many_premature_resets", "http2.rx_reset"
    envoy = edge.world.envoy
    before, begun = envoy.stat(resets), envoy.stat(closed)
    with http2.opened(edge.world.port) as connection:
        http2.told(connection, reset_at_once())
        envoy.wait_stat(closed, begun + 1)

    assert 0 < envoy.stat(resets) - before <= 500


def test_a_header_that_is_named_ten_thousand_times_is_refused(edge: Edge) -> None:
    with http2.opened(edge.world.port) as connection:
        connection.sendall(bomb())
        kinds = [each.kind for each in islice(http2.frames(connection), 4)]

    assert http2.RESET in kinds
    assert [each for each in edge.application.taken() if "/bomb" in each.line] == []
    edge.lives()


def test_a_connection_has_at_most_100_streams(edge: Edge) -> None:
    """The rest is refused one by one; nobody who keeps to the settings is disconnected for what was under way."""
    with http2.opened(edge.world.port) as connection:
        streams = islice(http2.stream_ids(), 150)
        http2.told(connection, (http2.headers(each, NAME, flags=http2.END_HEADERS) for each in streams))
        refused = list(islice((each for each in http2.frames(connection) if each.kind == http2.RESET), 50))

    assert [each.stream for each in refused] == list(range(201, 300, 2))
    assert {each.body for each in refused} == {REFUSED_STREAM}
    edge.lives()


# --- many connections


def memory(edge: Edge) -> int:
    """Bytes on Envoy's heap."""
    said = answers(edge.world.envoy.admin_port, "/memory")
    assert said is not None
    return int(said.json["allocated"])


def silent(port: int) -> socket.socket:
    return connected(port)


def kept(port: int) -> socket.socket:
    connection = connected(port)
    connection.sendall(KEPT_OPEN)
    assert status_of(read_answer(connection)) == 200
    return connection


def kept_http2(port: int) -> socket.socket:
    connection = http2.opened(port)
    connection.sendall(http2.headers(1, NAME))
    next(each for each in http2.frames(connection) if each.kind == http2.DATA)
    return connection


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        pytest.param(silent, 32, id="that-never-said-a-word"),
        pytest.param(kept, 32, id="kept-after-a-request"),
        pytest.param(kept_http2, 64, id="of-http2"),
    ],
)
def test_10000_idle_connections_cost_little_and_starve_nobody(
    edge: Edge, kind: Callable[[int], socket.socket], most: int, record_property: Callable[[str, object], None]
) -> None:
    """`most`: KiB of Envoy's heap that one may take."""
    empty = memory(edge)
    with ExitStack() as stack:
        begun = time.monotonic()
        for _ in range(IDLE):
            stack.enter_context(kind(edge.world.port))
        edge.world.envoy.wait_stat(ACTIVE, IDLE)
        opened = time.monotonic() - begun
        each = (memory(edge) - empty) / IDLE / KIB
        waited = statistics.quantiles([timed(edge.lives) for _ in range(200)], n=100)

    figures = {"KiB": each, "opened in s": opened, "p50 in ms": waited[49] * 1000, "p99 in ms": waited[98] * 1000}
    record_property("figures", figures)
    print(figures)
    assert each < most
    assert waited[98] < 1
    wait_until(lambda: edge.world.envoy.stat(ACTIVE) < SPARE, "Envoy has let them go")


def timed(action: Callable[[], None]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun
