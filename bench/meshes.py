"""An app of a mesh to measure with: deployments that share all builds but one, and a sidecar beside a shared build.

web       w1 in every deployment: the caller
cart      a build of its own in every deployment
reviews   r1 in every deployment: who is called
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench import worlds
from bench.folders import Document, put, text_of
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import free_ports
from xds_server.domain.addresses import Address
from xds_server.domain.sidecars import Ports
from xds_server.resources.bootstrap import ProxyNode, bootstrap

APP, CALLER, CALLED = "shop", "web", "reviews"
SHARED = {CALLER: "w1", CALLED: "r1"}
NOWHERE = 9
"""A port of loopback on which nobody listens."""


def deployment(number: int) -> str:
    return f"{APP}-v{number}"


def write_app(records: Path, deployments: int, called: int = NOWHERE) -> None:
    """Beside what is there. `called`: the port of the inbound listener of who is called."""
    builds = [_build(CALLER, NOWHERE), _build(CALLED, called)]
    put(records / f"{APP}.yaml", text_of(*builds))
    for number in range(1, deployments + 1):
        deploy(records, number)
    release(records, 5 if deployments > 1 else 0)


def deploy(records: Path, number: int) -> float:
    """One more version, and the build of it that no other has."""
    own = f"c{number}"
    components: dict[str, Document] = {name: {"build": build} for name, build in SHARED.items()}
    components[CALLER]["routes"] = [{"pathPrefix": "/"}]
    spec: Document = {"app": APP, "version": f"v{number}", "components": components | {"cart": {"build": own}}}
    deployed = worlds.document("AppDeployment", deployment(number), spec)
    return put(records / f"{deployment(number)}.yaml", text_of(_build("cart", NOWHERE, own), deployed))


def release(records: Path, canary: int) -> float:
    """`canary`: percent of the default that the second deployment gets."""
    shares = {deployment(1): 100 - canary} | ({deployment(2): canary} if canary else {})
    default = [{"deployment": name, "weight": weight} for name, weight in shares.items()]
    spec: Document = {"app": APP, "gateways": ["edge"], "hosts": ["shop.example.com"], "default": default}
    return put(records / f"{APP}-release.yaml", text_of(worlds.document("Release", APP, spec)))


def _build(component: str, port: int, build: str | None = None) -> Document:
    name = build or SHARED[component]
    spec: Document = {
        "app": APP,
        "component": component,
        "build": name,
        "endpoints": {"addresses": [f"127.0.0.1:{port}"]},
    }
    return worlds.document("Build", f"{APP}-{name}", spec)


class Place(NamedTuple):
    """Where one sidecar listens, and its application."""

    component: str
    ports: Ports
    admin: int

    @classmethod
    def of(cls, component: str, application: int = NOWHERE) -> "Place":
        outbound, inbound, admin = free_ports(3)
        return cls(component, Ports(outbound, inbound, application), admin)

    def start(self, xds: int, home: Path, mode: str = "delta") -> Envoy:
        """Its Envoy. It ends with the `with` block that it is given to."""
        there = Address("127.0.0.1", xds)
        node = ProxyNode.of_sidecar(f"{APP}/{self.component}", SHARED[self.component], there, self.ports)
        named = replace(node, id=self.component, admin_port=self.admin, mode=mode)
        return Envoy(EnvoyVersion.CURRENT, bootstrap(named), home)
