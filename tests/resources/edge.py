"""Gateways as their tests write them, and what becomes of them in Envoy's words."""

from typing import Any

from xds_server.messages.codec import to_json
from xds_server.messages.envoy import TypedExtensionConfig
from xds_server.records.models import API_VERSION, Gateway
from xds_server.resources.listeners import listener_resources, open_listeners
from xds_server.snapshot import TypeUrl

EXPLICIT = {"host": "{deployment}.p.test", "header": "x-explicit-deployment", "query": "explicit-deployment"}
PLAIN = {"name": "http", "port": 8080}
SECURE = {"name": "https", "port": 8443, "tls": {"secret": "cert"}}
SECRETS = {name: {"certificate": f"{name}.pem", "privateKey": f"{name}.key"} for name in ("cert", "other")}
IN_FORCE = {f"edge/{name}" for name in SECRETS}


def gateway(**spec: Any) -> Gateway:
    said = {"listeners": [PLAIN], "explicit": EXPLICIT, "secrets": SECRETS, **spec}
    return Gateway.model_validate(
        {"apiVersion": API_VERSION, "kind": "Gateway", "metadata": {"name": "edge"}, "spec": said}
    )


def listeners(record: Gateway) -> dict[str, dict[str, Any]]:
    """What Envoy is told about every listener, by its name within the gateway."""
    return {
        each.name.removeprefix("edge/"): to_json(TypeUrl.LISTENER, each.body)
        for listener in open_listeners(record, IN_FORCE)
        for each in listener_resources(record, listener)
    }


def manager(listener: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def unpacked(extension: TypedExtensionConfig) -> dict[str, Any]:
    packed = extension.typed_config
    assert packed is not None
    return to_json(packed.type_url, packed.value)
