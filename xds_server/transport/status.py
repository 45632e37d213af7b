"""The client status discovery service (CSDS): what each connected proxy has accepted, for standard tools."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import re2
from google.protobuf.message import DecodeError

from xds_server.messages import google
from xds_server.messages.bridge import upb_class
from xds_server.messages.codec import encode
from xds_server.messages.envoy import Node as EnvoyNode
from xds_server.messages.envoy import UpdateFailureState
from xds_server.messages.status import (
    ClientConfig,
    ClientConfigGenericXdsConfig,
    ClientStatusRequest,
    ClientStatusResponse,
    ConfigStatus,
)
from xds_server.protocol.events import Node
from xds_server.protocol.state import ResourceState, ResourceStatus, TypeState
from xds_server.snapshot import TypeUrl
from xds_server.transport.connections import Connection, Connections

SERVICE = "envoy.service.status.v3.ClientStatusDiscoveryService"
REQUEST = upb_class(ClientStatusRequest)
STATUS = {
    ResourceStatus.SYNCED: ConfigStatus.SYNCED,
    ResourceStatus.STALE: ConfigStatus.STALE,
    ResourceStatus.NOT_SENT: ConfigStatus.NOT_SENT,
    ResourceStatus.ERROR: ConfigStatus.ERROR,
}

Context = grpc.aio.ServicerContext[bytes, bytes]


class CannotMatch(Exception):
    """A request asks for proxies in a way that is not understood, and in which."""


class ClientStatus:
    """Answers about the open streams of a server."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "FetchClientStatus": grpc.unary_unary_rpc_method_handler(self._fetch),
            "StreamClientStatus": grpc.stream_stream_rpc_method_handler(self._stream),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _fetch(self, encoded: bytes, context: Context) -> bytes:
        return await self._explained(encoded, context)

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async for encoded in requests:
            await context.write(await self._explained(encoded, context))

    async def answer(self, encoded: bytes) -> bytes:
        """A `ClientStatusResponse`. Raises `CannotMatch`.

        Contents are told of nodes that are asked for alone. Other work has its turn after each node.
        """
        try:
            request = REQUEST.FromString(encoded)
        except DecodeError:
            raise CannotMatch("the request could not be decoded") from None
        wanted = [_matcher(each) for each in request.node_matchers]
        bare = request.exclude_resource_contents or not wanted
        found = []
        for each in self._connections:
            if not wanted or any(match(each.node) for match in wanted):
                found.append(_config(each, bare=bare))
                await asyncio.sleep(0)
        return encode(ClientStatusResponse(config=found))

    async def _explained(self, encoded: bytes, context: Context) -> bytes:
        try:
            return await self.answer(encoded)
        except CannotMatch as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise


def _config(connection: Connection, *, bare: bool) -> ClientConfig:
    return ClientConfig(
        node=EnvoyNode(id=connection.node.id, cluster=connection.node.cluster),
        generic_xds_configs=list(_resources(connection, bare=bare)),
    )


def _resources(connection: Connection, *, bare: bool) -> Iterator[ClientConfigGenericXdsConfig]:
    """`bare`: without contents. Those of secrets are private."""
    for type_url, state in connection.states().items():
        for each in state.resources():
            hidden = bare or type_url == TypeUrl.SECRET
            yield ClientConfigGenericXdsConfig(
                type_url=type_url,
                name=each.name,
                version_info=_held_version(state, each),
                xds_config=None if hidden else _content(type_url, state, each.name),
                config_status=STATUS[each.status],
                error_state=_failure(connection, type_url, each),
            )


def _held_version(state: TypeState, each: ResourceState) -> str:
    """What the proxy has, or if it has nothing yet, what it is to have."""
    return state.held[each.name].version if each.name in state.held else each.version


def _content(type_url: str, state: TypeState, name: str) -> google.Any | None:
    held = state.held.get(name)
    return google.Any(type_url=type_url, value=held.body) if held is not None and held.body else None


def _failure(connection: Connection, type_url: str, each: ResourceState) -> UpdateFailureState | None:
    if each.status is not ResourceStatus.ERROR:
        return None
    refused = connection.refused.get((type_url, each.name))
    return UpdateFailureState(details=refused.reason if refused else "", version_info=each.version)


def _matcher(said: Any) -> Callable[[Node], bool]:
    """All that a `NodeMatcher` says must hold."""
    parts = [_metadata(each) for each in said.node_metadatas]
    if said.HasField("node_id"):
        by_id = _text(said.node_id)
        parts.append(lambda node: by_id(node.id))
    return lambda node: all(part(node) for part in parts)


def _metadata(said: Any) -> Callable[[Node], bool]:
    """Of a node's metadata its role and its build are known."""
    path = [each.key for each in said.path]
    if path not in (["role"], ["build"]) or said.value.WhichOneof("match_pattern") != "string_match":
        raise CannotMatch(f"node metadata {'.'.join(path)!r}: only string_match of role and of build is understood")
    match = _text(said.value.string_match)
    return lambda node: match(node.role if path == ["role"] else node.build)


def _text(said: Any) -> Callable[[str], bool]:
    """A `StringMatcher`."""
    kind = said.WhichOneof("match_pattern")
    if kind == "safe_regex":
        try:
            expression = re2.compile(said.safe_regex.regex)
        except re2.error as error:
            raise CannotMatch(f"regex {said.safe_regex.regex!r} is none: {error}") from None
        return lambda text: expression.fullmatch(text) is not None
    if kind not in ("exact", "prefix", "suffix", "contains"):
        raise CannotMatch("a string matcher must be exact, prefix, suffix, contains or safe_regex")
    value = re.escape(getattr(said, kind))
    pattern = {"exact": value, "prefix": f"{value}.*", "suffix": f".*{value}", "contains": f".*{value}.*"}[kind]
    plain = re.compile(pattern, re.DOTALL | (re.IGNORECASE if said.ignore_case else 0))
    return lambda text: plain.fullmatch(text) is not None
