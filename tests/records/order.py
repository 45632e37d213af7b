"""The order app as tests of calls write it: v2 changes api, v3 changes ui and adds review, and worker is in all."""

from collections.abc import Mapping
from typing import Any

from tests.records.folder import Content, Server, build, gateway, record
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.records.world import AppWorld

ORDER = Ref("default", "order")
V1 = {"worker": "w1", "api": "a1", "ui": "u1"}
V2 = {**V1, "api": "a2"}
V3 = {**V2, "ui": "u2", "review": "r1"}


def version(name: str, components: Mapping[str, str], **calls: list[str]) -> str:
    """`calls`: what a component declares; those that are not named declare nothing."""
    said: dict[str, dict[str, Any]] = {
        component: {"build": hash_, **({"calls": calls[component]} if component in calls else {})}
        for component, hash_ in components.items()
    }
    said["ui"]["routes"] = [{"pathPrefix": "/"}]
    return record("AppDeployment", name, {"app": "order", "version": name, "components": said})


def order_release(name: str = "order", **weights: float) -> str:
    default = [{"deployment": each, "weight": weight} for each, weight in weights.items()]
    said = {"app": "order", "gateways": ["edge"], "hosts": [f"{name}.test"], "default": default}
    return record("Release", name, said)


def settings(without_context: Any) -> str:
    return record("App", "order", {"withoutContext": without_context})


def placed(component: str, hash_: str, *addresses: str, **spec: Any) -> str:
    return build(f"{component}-{hash_}", hash_, *addresses, **{"app": "order", "component": component, **spec})


FILES: dict[str, Content] = {
    "edge.yaml": gateway(),
    **{
        f"{component}-{hash_}.yaml": placed(component, hash_, f"10.0.0.{number}:8080")
        for number, (component, hash_) in enumerate(sorted({*V1.items(), *V2.items(), *V3.items()}), 1)
    },
    "v1.yaml": version("v1", V1),
    "v2.yaml": version("v2", V2),
    "v3.yaml": version("v3", V3),
    "release.yaml": order_release(v1=100),
}


def server(**edits: Content) -> Server:
    """With these files in place of those; None: gone. All of it holds together."""
    found = Server(
        {f"{name}.yaml": text for name, text in edits.items() if text is not None}
        | {name: text for name, text in FILES.items() if name.removesuffix(".yaml") not in edits}
    )
    assert found.errors == []
    return found


def order(**edits: Content) -> AppWorld:
    return server(**edits).admission.world.app(ORDER)


def build_of(word: str) -> BuildId:
    """`worker@w1`."""
    component, _, hash_ = word.partition("@")
    return BuildId(ORDER, component, hash_)
