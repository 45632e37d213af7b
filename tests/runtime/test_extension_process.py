"""Real processes, of one module of real extensions."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from xds_server.extension import Context
from xds_server.messages.codec import decode, encode
from xds_server.messages.envoy import Cluster, VirtualHost
from xds_server.resources.extensions import Failure
from xds_server.runtime.extension_process import ExtensionProcess, ExtensionUnusable

EXTENSIONS = "e2e.support.extensions"
HOST = encode(VirtualHost(name="shop.test", domains=["shop.test"]))
CLUSTER = encode(Cluster(name="shop-v1/web"))


def context(**annotations: str) -> Context:
    return Context("Release", "default", "shop", annotations, "edge")


@asynccontextmanager
async def running(*functions: str, limit: float = 10.0) -> AsyncIterator[ExtensionProcess]:
    process = ExtensionProcess(EXTENSIONS, functions, limit)
    try:
        await process.start()
        yield process
    finally:
        await process.end()


def pid_of(process: ExtensionProcess) -> int:
    found: Any = process._process
    return int(found.pid)


async def test_a_resource_goes_there_and_comes_back_changed() -> None:
    async with running("greeting", "tuned") as process:
        assert process.takes == {
            "greeting": "type.googleapis.com/envoy.config.route.v3.VirtualHost",
            "tuned": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        }
        host = await process.change("greeting", HOST, context(greeting="hello"))
        assert isinstance(host, bytes)
        [option] = decode(VirtualHost, host).response_headers_to_add
        assert option.header.value == "hello from shop"

        refused = await process.change("greeting", HOST, context())
        assert isinstance(refused, Failure)
        assert (refused.extension, refused.why) == (f"{EXTENSIONS}:greeting", "KeyError: 'greeting'")

        tuned = await process.change("tuned", CLUSTER, context(seconds="3"))
        assert isinstance(tuned, bytes)
        assert decode(Cluster, tuned).connect_timeout.seconds == 3


async def test_one_that_takes_too_long_is_ended_and_rests() -> None:
    async with running("endless", limit=0.5) as process:
        first = pid_of(process)
        hung = await process.change("endless", HOST, context(endless="yes"))
        assert hung == Failure(f"{EXTENSIONS}:endless", "took more than 0.5 s")
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)

        resting = await process.change("endless", HOST, context())
        assert isinstance(resting, Failure)
        assert resting.rest > 0
        assert "was not called" in resting.why


async def test_a_process_that_ends_by_itself_is_started_again() -> None:
    async with running("greeting") as process:
        os.kill(pid_of(process), signal.SIGKILL)
        outcomes = [await process.change("greeting", HOST, context(greeting="hello")) for _ in range(2)]

        assert isinstance(outcomes[-1], bytes)


@pytest.mark.parametrize(
    ("module", "function", "why"),
    [
        ("no_such_module", "it", "cannot load --extension no_such_module:it: ModuleNotFoundError: No module named"),
        (EXTENSIONS, "missing", "has no function 'missing'"),
    ],
)
async def test_what_cannot_be_loaded_is_said(module: str, function: str, why: str) -> None:
    with pytest.raises(ExtensionUnusable, match=why):
        await ExtensionProcess(module, [function], 1.0).start()
