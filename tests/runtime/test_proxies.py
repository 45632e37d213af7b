"""Who is connected, as the server says it."""

from pathlib import Path

import grpc.aio
import pytest

from tests.protocol.worlds import RDS
from tests.records.folder import shop_in
from tests.runtime.test_serve import LOOPBACK
from tests.runtime.test_waiting import House, house
from tests.transport.test_server import REQUESTS, Client


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


async def said_of_a_sidecar(here: House, build: str) -> str:
    """Why it is told everything, by `/proxies`."""
    async with grpc.aio.insecure_channel(f"{LOOPBACK}:{here.xds}") as channel:
        client = Client(channel, "sotw", "web-1")
        request = REQUESTS["sotw"](type_url=RDS, resource_names=[f"shop/web@{build}/outbound"])
        request.node.id, request.node.cluster = "web-1", "shop/web"
        for key, value in (("role", "sidecar"), ("build", build)):
            request.node.metadata.fields[key].string_value = value
        await client.write(request.SerializeToString())
        await here.until(lambda: bool(here.control.connections.of("web-1")))
        [found] = (await here.get("/proxies"))["proxies"]
        return str(found["because"])


@pytest.mark.parametrize(
    ("build", "because"),
    [
        pytest.param("b1", "a sidecar", id="a build of a deployment"),
        pytest.param("typo", "no deployment contains its build", id="a build of none"),
    ],
)
async def test_a_sidecar_beside_a_build_of_no_deployment_is_said_to_be_one(
    records: Path, build: str, because: str
) -> None:
    async with house(records) as here:
        assert await said_of_a_sidecar(here, build) == because
