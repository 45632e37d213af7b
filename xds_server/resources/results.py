"""What an extension gave back: encoded anew, so that equal contents have equal bytes, or what is wrong with it."""

from collections.abc import Mapping
from typing import Any

from betterproto2 import Message
from google.protobuf.message import DecodeError

from xds_server.messages.codec import decode, encode
from xds_server.messages.envoy import Cluster, ClusterLoadAssignment, Listener, VirtualHost
from xds_server.resources.extensions import VIRTUAL_HOST, Call, Failure, Outcome
from xds_server.snapshot import TypeUrl, kind_of

MESSAGES: Mapping[str, type[Message]] = {
    TypeUrl.LISTENER.value: Listener,
    TypeUrl.CLUSTER.value: Cluster,
    TypeUrl.ENDPOINTS.value: ClusterLoadAssignment,
    VIRTUAL_HOST: VirtualHost,
}


def result(call: Call, body: bytes) -> Outcome:
    """A virtual host loses its name again: it differs by listener and is put in front of the body when it is sent."""
    try:
        message = decode(MESSAGES[call.slot.type_url], body)
    except DecodeError as error:
        return Failure(call.extensions[-1], f"gave what is no {kind_of(call.slot.type_url)}: {error}")
    why = _another(call, message)
    if why:
        return Failure(call.extensions[-1], why)
    if call.slot.type_url == VIRTUAL_HOST:
        message.ClearField("name")
    return encode(message)


def _another(call: Call, message: Any) -> str:
    """An extension may change what a resource says, not which one it is."""
    name = message.cluster_name if call.slot.type_url == TypeUrl.ENDPOINTS else message.name
    if name != call.slot.name:
        return f"changed the name of the {kind_of(call.slot.type_url)} to {name!r}"
    if call.slot.type_url == VIRTUAL_HOST and list(message.domains) != [call.slot.name]:
        return f"changed the domains of the virtual host to {', '.join(message.domains) or 'none'}"
    return ""
