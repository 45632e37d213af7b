"""Client status discovery, asked by a real gRPC client."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.protocol.worlds import CDS, SDS, world
from tests.transport.test_server import MODES, REQUESTS, House, serving
from xds_server.messages.bridge import upb_class
from xds_server.messages.codec import decode, encode
from xds_server.messages.envoy import (
    NodeMatcher,
    RegexMatcher,
    StringMatcher,
    StructMatcher,
    StructMatcherPathSegment,
    ValueMatcher,
)
from xds_server.messages.status import ClientStatusRequest, ClientStatusResponse, ConfigStatus
from xds_server.transport.status import SERVICE


async def fetch(house: House, *matchers: NodeMatcher, bare: bool = False) -> Any:
    call: Any = house.channel.unary_unary(f"/{SERVICE}/FetchClientStatus")
    request = ClientStatusRequest(node_matchers=list(matchers), exclude_resource_contents=bare)
    return decode(ClientStatusResponse, await call(encode(request)))


ONE = NodeMatcher(node_id=StringMatcher(exact="envoy-1"))


def resources(config: Any) -> dict[str, Any]:
    return {each.name: each for each in config.generic_xds_configs}


def by_id(**said: Any) -> NodeMatcher:
    return NodeMatcher(node_id=StringMatcher(**said))


@pytest.mark.parametrize("mode", MODES)
async def test_what_a_client_has_accepted_refused_and_not_answered(mode: str) -> None:
    async with serving() as house:
        house.gateways.publish("edge", first := world(clusters=["web"], secrets=["cert"]))
        client = house.client(mode)
        await client.ask(CDS)
        response = await client.read()
        [sent] = (await fetch(house)).config
        assert (sent.node.id, sent.node.cluster) == ("envoy-1", "edge")
        assert resources(sent)["web"].config_status == ConfigStatus.STALE
        await client.ask(CDS, response_nonce=response.nonce)
        await house.heard.until("acked", "envoy-1", CDS, "web")
        found = resources((await fetch(house, ONE)).config[0])["web"]
        assert (found.type_url, found.version_info, found.config_status) == (CDS, "1", ConfigStatus.SYNCED)
        assert found.xds_config.value == b"web="

        house.gateways.publish("edge", world(clusters=["web=2"], secrets=["cert"], after=first))
        response = await client.read()
        await client.ask(CDS, response_nonce=response.nonce, error_detail={"message": "web: bad port"})
        await house.heard.until("nacked", "envoy-1", CDS, "web: bad port")
        found = resources((await fetch(house)).config[0])["web"]
        assert (found.config_status, found.version_info) == (ConfigStatus.ERROR, "1")
        assert (found.error_state.details, found.error_state.version_info) == ("web: bad port", "2")


async def test_contents_are_left_out_when_asked_and_secrets_always() -> None:
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"], secrets=["cert"]))
        client = house.client("delta")
        for kind, name in ((CDS, "web"), (SDS, "cert")):
            await client.ask(kind, name)
            await client.ask(kind, response_nonce=(await client.read()).nonce)
            await house.heard.until("acked", "envoy-1", kind, name)

        whole, bare = [resources((await fetch(house, ONE, bare=each)).config[0]) for each in (False, True)]
        of_all = resources((await fetch(house)).config[0])
        assert not any(each.HasField("xds_config") for each in of_all.values()), (
            "of a whole fleet they would be too much"
        )
        assert {name: each.HasField("xds_config") for name, each in whole.items()} == {"web": True, "cert": False}
        assert {name: each.HasField("xds_config") for name, each in bare.items()} == {"web": False, "cert": False}


@pytest.mark.parametrize(
    ("matchers", "found"),
    [
        pytest.param([], ["edge-1", "edge-2"], id="all"),
        pytest.param([by_id(exact="edge-2")], ["edge-2"], id="exact"),
        pytest.param([by_id(prefix="EDGE", ignore_case=True)], ["edge-1", "edge-2"], id="prefix"),
        pytest.param([by_id(suffix="-1")], ["edge-1"], id="suffix"),
        pytest.param([by_id(contains="ge-2")], ["edge-2"], id="contains"),
        pytest.param([by_id(safe_regex=RegexMatcher(regex="edge-[13]"))], ["edge-1"], id="regex"),
        pytest.param([by_id(exact="edge-1"), by_id(exact="edge-2")], ["edge-1", "edge-2"], id="either"),
        pytest.param([by_id(exact="other")], [], id="nobody"),
    ],
)
async def test_proxies_are_chosen_by_their_id(matchers: list[NodeMatcher], found: list[str]) -> None:
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"]))
        clients = [house.client("delta", name) for name in ("edge-1", "edge-2")]
        for client in clients:
            await client.ask(CDS)
            await client.read()

        assert sorted(each.node.id for each in (await fetch(house, *matchers)).config) == found


def metadata(path: str, **said: Any) -> NodeMatcher:
    value = ValueMatcher(**said)
    return NodeMatcher(node_metadatas=[StructMatcher(path=[StructMatcherPathSegment(key=path)], value=value)])


async def test_proxies_are_chosen_by_their_role() -> None:
    async with serving() as house:
        house.gateways.publish("edge", world(clusters=["web"]))
        clients = {name: house.client("delta", name) for name in ("gateway", "sidecar")}
        for name, client in clients.items():
            node = {"id": name, "cluster": "edge", "metadata": {"role": name}}
            await client.write(REQUESTS["delta"](type_url=CDS, node=node).SerializeToString())
            await client.read()

        chosen = (await fetch(house, metadata("role", string_match=StringMatcher(exact="sidecar")))).config
        assert [each.node.id for each in chosen] == ["sidecar"]


@pytest.mark.parametrize(
    ("matcher", "why"),
    [
        (metadata("zone", string_match=StringMatcher(exact="b")), "node metadata 'zone': only string_match of role"),
        (metadata("role", present_match=True), "node metadata 'role': only string_match"),
        (by_id(safe_regex=RegexMatcher(regex="(")), "regex '(' is none"),
        (NodeMatcher(node_id=StringMatcher()), "a string matcher must be"),
    ],
)
async def test_what_is_not_understood_is_refused(matcher: NodeMatcher, why: str) -> None:
    async with serving() as house:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await fetch(house, matcher)

        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert why in (refused.value.details() or "")


async def test_a_stream_is_answered_each_time() -> None:
    async with serving() as house:
        call: Any = house.channel.stream_stream(f"/{SERVICE}/StreamClientStatus")()
        counts = []
        for number in range(2):
            await call.write(upb_class(ClientStatusRequest)().SerializeToString())
            answer = decode(ClientStatusResponse, await asyncio.wait_for(call.read(), 30))
            counts.append(len(answer.config))
            if number == 0:
                house.gateways.publish("edge", world(clusters=["web"]))
                client = house.client("delta")
                await client.ask(CDS)
                await client.read()
        await call.done_writing()

        assert counts == [0, 1]
        assert await call.code() == grpc.StatusCode.OK


async def test_a_request_that_cannot_be_decoded_is_refused() -> None:
    async with serving() as house:
        call: Any = house.channel.unary_unary(f"/{SERVICE}/FetchClientStatus")
        with pytest.raises(grpc.aio.AioRpcError, match="could not be decoded"):
            await call(b"\xff\xff")
