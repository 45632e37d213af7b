"""What the page about sidecars shows works: its programs are run, and what it says has the test that it names."""

import ast
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, ClassVar

import grpc
import httpx
import pytest
from fastapi import FastAPI
from grpc import aio
from typing_extensions import override

from xds_server.records.documents import read_documents
from xds_server.resources.refusal_counts import REFUSALS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "sidecars.md").read_text("utf-8")
ROW = re.compile(
    r"^\| [^|]+ \| (?P<answer>[^|]+) \| (?P<reason>[^|]*) \| `(?P<file>[^:|]+)::(?P<test>\w+)` \|$", re.MULTILINE
)
PROGRAMS = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
LINES = ("xds.deployment=v2,a=b", "c=d")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Those of the page, each a module, with everything that they define."""
    found: dict[str, Any] = {}
    for name, text in PROGRAMS.items():
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(text, f"docs/sidecars.md: {name}.py", "exec"), module.__dict__)
        found[name] = module
    return found


class Recorder(BaseHTTPRequestHandler):
    """A sidecar as a client sees it: a proxy. It keeps what it was asked for."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("baggage")))
        self.send_response(204)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def sidecar() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    Recorder.asked.clear()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_there_is_a_program_for_each_way_to_call() -> None:
    assert set(PROGRAMS) == {"baggage", "by_httpx", "by_requests", "by_grpc", "by_grpc_aio"}


async def test_a_fastapi_application_forwards_by_httpx(programs: dict[str, Any], sidecar: str) -> None:
    app = FastAPI()
    app.add_middleware(programs["baggage"].KeepBaggage)
    hooks = {"request": [programs["by_httpx"].forward]}

    @app.get("/")
    async def calls() -> int:
        async with httpx.AsyncClient(proxy=sidecar, event_hooks=hooks, trust_env=False) as client:
            return (await client.get("http://cart/items")).status_code

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://web") as caller:
        reply = await caller.get("/", headers=[("baggage", each) for each in LINES])
        await caller.get("/")

    assert reply.json() == 204
    assert Recorder.asked == [("http://cart/items", ",".join(LINES)), ("http://cart/items", None)]
    assert programs["baggage"].BAGGAGE.get() == ()


def test_requests_forwards(programs: dict[str, Any], sidecar: str) -> None:
    session = programs["by_requests"].session
    session.trust_env = False
    session.proxies = {"http": sidecar}
    programs["baggage"].BAGGAGE.set(LINES)
    session.get("http://cart/items")
    programs["baggage"].BAGGAGE.set(())
    session.get("http://cart/items")
    session.close()

    assert Recorder.asked == [("http://cart/items", ",".join(LINES)), ("http://cart/items", None)]


@contextmanager
def serving(answer: Any, *interceptors: Any) -> Iterator[str]:
    """A gRPC server that answers every method, unary, with `answer(context)`; ended with the block."""

    class Every(grpc.GenericRpcHandler):
        @override
        def service(self, handler_call_details: Any) -> Any:
            streams = handler_call_details.method.endswith("Stream")
            if streams:
                return grpc.unary_stream_rpc_method_handler(lambda _, context: iter([answer(context)]))
            return grpc.unary_unary_rpc_method_handler(lambda _, context: answer(context))

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Every()], interceptors=list(interceptors))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def test_grpc_keeps_and_forwards_calls_and_streams(programs: dict[str, Any]) -> None:
    by_grpc, told = programs["by_grpc"], list[tuple[str, ...]]()

    def record(context: Any) -> bytes:
        told.append(tuple(value for name, value in context.invocation_metadata() if name == "baggage"))
        return b""

    def forward(context: Any) -> bytes:
        del context
        with by_grpc.channel_to("cart", next_hop) as channel:
            channel.unary_unary("/cart/Get")(b"")
            [*_] = channel.unary_stream("/cart/Stream")(b"")
        return b""

    with (
        serving(record) as next_hop,
        serving(forward, by_grpc.KeepBaggage()) as place,
        grpc.insecure_channel(place) as caller,
    ):
        get: Any = caller.unary_unary("/web/Get")
        stream: Any = caller.unary_stream("/web/Stream")
        get(b"", metadata=tuple(("baggage", each) for each in LINES))
        get(b"")
        [*_] = stream(b"", metadata=(("baggage", LINES[0]),))

    assert told == [LINES, LINES, (), (), LINES[:1], LINES[:1]]


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What most HTTP libraries read; nobody listens there."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for each in ("grpc_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(each, raising=False)


@pytest.mark.usefixtures("proxied")
def test_a_channel_of_grpc_makes_no_tunnel_where_http_proxy_is_set(programs: dict[str, Any]) -> None:
    with serving(lambda _: b"cart") as place, programs["by_grpc"].channel_to("cart", place) as channel:
        assert channel.unary_unary("/cart/Get")(b"") == b"cart"


@pytest.mark.usefixtures("proxied")
async def test_a_channel_of_grpc_aio_makes_no_tunnel_where_http_proxy_is_set(programs: dict[str, Any]) -> None:
    with serving(lambda _: b"cart") as place:
        async with programs["by_grpc_aio"].channel_to("cart", place) as channel:
            assert await channel.unary_unary("/cart/Get")(b"") == b"cart"


@asynccontextmanager
async def serving_aio(answer: Callable[[Any], Awaitable[bytes]], *interceptors: Any) -> AsyncIterator[str]:
    """The same by `grpc.aio`, with a method of each kind."""

    async def unary(_: Any, context: Any) -> bytes:
        return await answer(context)

    async def stream(_: Any, context: Any) -> AsyncIterator[bytes]:
        yield await answer(context)

    kinds: dict[str, Any] = {
        "Get": grpc.unary_unary_rpc_method_handler(unary),
        "GetStream": grpc.unary_stream_rpc_method_handler(stream),
        "Stream": grpc.stream_unary_rpc_method_handler(unary),
        "StreamStream": grpc.stream_stream_rpc_method_handler(stream),
    }

    class Every(grpc.GenericRpcHandler):
        @override
        def service(self, handler_call_details: Any) -> Any:
            return kinds[handler_call_details.method.rpartition("/")[2]]

    server = aio.server(interceptors=list(interceptors))
    server.add_generic_rpc_handlers([Every()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_grpc_aio_keeps_and_forwards_calls_and_streams_of_either_side(programs: dict[str, Any]) -> None:
    by_grpc, told = programs["by_grpc_aio"], list[tuple[str, ...]]()

    async def record(context: Any) -> bytes:
        told.append(tuple(value for name, value in context.invocation_metadata() if name == "baggage"))
        return b""

    async def forward(context: Any) -> bytes:
        del context
        async with by_grpc.channel_to("cart", next_hop) as channel:
            await channel.unary_unary("/cart/Get")(b"")
            [_] = [each async for each in channel.unary_stream("/cart/GetStream")(b"")]
            await channel.stream_unary("/cart/Stream")(iter([b""]))
            [_] = [each async for each in channel.stream_stream("/cart/StreamStream")(iter([b""]))]
        return b""

    async with (
        serving_aio(record) as next_hop,
        serving_aio(forward, by_grpc.KeepBaggage()) as place,
        aio.insecure_channel(place) as caller,
    ):
        get: Any = caller.unary_unary("/web/Get")
        await get(b"", metadata=tuple(("baggage", each) for each in LINES))
        await get(b"")
        stream: Any = caller.unary_stream("/web/GetStream")
        [_] = [each async for each in stream(b"", metadata=(("baggage", LINES[0]),))]

    assert told == [*[LINES] * 4, *[()] * 4, *[LINES[:1]] * 4]


# --- what the page says


def test_every_row_has_its_test_and_every_reason_of_a_sidecar_its_row() -> None:
    rows = [row.groupdict() for row in ROW.finditer(PAGE)]
    missing = [row for row in rows if row["test"] not in found_in(ROOT / row["file"])]

    assert missing == []
    assert reasons_of_the_page() == {each.reason for each in REFUSALS}


def reasons_of_the_page() -> set[str]:
    return {row["reason"].strip("` ") for row in ROW.finditer(PAGE)} - {"", "as there"}


def found_in(file: Path) -> set[str]:
    return {each.name for each in ast.parse(file.read_text("utf-8")).body if isinstance(each, ast.FunctionDef)}


def test_its_records_are_some() -> None:
    found = [each for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) for each in read_documents("", text)]

    assert [each.record is not None and each.record.kind for each in found] == ["Build", "App"]
    assert [each.problems for each in found] == [(), ()]
