"""Bytes of a request to an event of the protocol."""

from typing import Any

from google.protobuf.message import DecodeError

from xds_server.domain.errors import PeerMisbehaved
from xds_server.messages.bridge import upb_class
from xds_server.messages.envoy import DeltaDiscoveryRequest, DiscoveryRequest
from xds_server.protocol.events import DeltaRequest, Node, SotwRequest

SOTW_REQUEST = upb_class(DiscoveryRequest)
DELTA_REQUEST = upb_class(DeltaDiscoveryRequest)


def sotw_request(encoded: bytes) -> SotwRequest:
    """A `DiscoveryRequest`. Raises `PeerMisbehaved` if it is none."""
    request = _decode(SOTW_REQUEST, encoded)
    return SotwRequest(
        type_url=request.type_url,
        names=tuple(request.resource_names),
        version=request.version_info,
        nonce=request.response_nonce,
        error=_error(request),
        node=_node(request),
    )


def delta_request(encoded: bytes) -> DeltaRequest:
    """A `DeltaDiscoveryRequest`. Raises `PeerMisbehaved` if it is none."""
    request = _decode(DELTA_REQUEST, encoded)
    return DeltaRequest(
        type_url=request.type_url,
        subscribe=tuple(request.resource_names_subscribe),
        unsubscribe=tuple(request.resource_names_unsubscribe),
        initial_versions=dict(request.initial_resource_versions),
        nonce=request.response_nonce,
        error=_error(request),
        node=_node(request),
    )


def _decode(message: Any, encoded: bytes) -> Any:
    try:
        return message.FromString(encoded)
    except DecodeError as error:
        raise PeerMisbehaved("a request could not be decoded") from error


def _error(request: Any) -> str | None:
    """What was wrong, if the client refuses. That it refuses is said by the field being there (R9)."""
    return str(request.error_detail.message) if request.HasField("error_detail") else None


def _node(request: Any) -> Node | None:
    """Who asks. A node without an id is nobody."""
    if not request.HasField("node"):
        return None
    node = request.node
    if not node.id:
        return None
    metadata = node.metadata.fields
    return Node(
        id=node.id,
        cluster=node.cluster,
        role=metadata["role"].string_value if "role" in metadata else "",
        build=metadata["build"].string_value if "build" in metadata else "",
        version=_envoy_version(node),
        ports=(_port(metadata, "outbound"), _port(metadata, "inbound"), _port(metadata, "application")),
    )


def _port(metadata: Any, name: str) -> int:
    """Written as a string, or as a number; 0 if it is no port."""
    if name not in metadata:
        return 0
    said = metadata[name].string_value
    number = float(said) if said.isascii() and said.isdigit() else metadata[name].number_value
    return int(number) if 0 <= number < 1 << 16 else 0


def _envoy_version(node: Any) -> str:
    if node.user_agent_name != "envoy":
        return ""
    version = node.user_agent_build_version.version
    return f"{version.major_number}.{version.minor_number}.{version.patch}"
