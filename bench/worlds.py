"""Worlds to measure with: apps of three deployments with three components each, one of them with a gateway's routes."""

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.records.gateways import GatewaySpec
from xds_server.records.models import API_VERSION, KINDS, AppDeployment, Build, Gateway, Record, Release
from xds_server.records.world import AppWorld, World

EDGE = Ref("default", "edge")
VERSIONS = (1, 2, 3)
COMPONENTS = ("web", "cart", "reviews")
ADDRESSES = ("127.0.0.1:9001", "127.0.0.1:9002")


def document(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def record(kind: str, name: str, spec: dict[str, object]) -> Record:
    return KINDS[kind].model_validate(document(kind, name, spec))


def gateway(port: int = 10000, *, full: bool = False) -> dict[str, object]:
    """`full`: proxies that could load virtual hosts on demand are told of all of them nevertheless."""
    explicit = {"host": "{deployment}.preview.example.com", "header": "x-explicit-deployment"}
    listeners = [{"name": "http", "address": "127.0.0.1", "port": port}]
    delivery = {"delivery": "full"} if full and "delivery" in GatewaySpec.model_fields else {}
    return {"listeners": listeners, "explicit": explicit, **delivery}


def build_hash(component: str, version: int) -> str:
    """Each version changes `web`; `cart` and `reviews` are shared by all three."""
    return f"{component}{version if component == 'web' else 1}"


def build(app: str, component: str, version: int, address: str = ADDRESSES[0]) -> dict[str, object]:
    return {
        "app": app,
        "component": component,
        "build": build_hash(component, version),
        "endpoints": {"addresses": [address, ADDRESSES[1]]},
    }


def deployment(app: str, version: int) -> dict[str, object]:
    components: dict[str, dict[str, object]] = {
        component: {"build": build_hash(component, version)} for component in COMPONENTS
    }
    components["web"]["routes"] = [{"pathPrefix": "/"}]
    return {"app": app, "version": f"v{version}", "components": components}


def release(app: str, canary: int) -> dict[str, object]:
    """`canary`: percent of the default that v2 gets."""
    default = [{"deployment": f"{app}-v1", "weight": 100 - canary}, {"deployment": f"{app}-v2", "weight": canary}]
    audience = {
        "name": "early-adopters",
        "match": {"headers": [{"name": "x-early-adopter", "exact": "true"}]},
        "deployment": f"{app}-v3",
    }
    return {
        "app": app,
        "gateways": ["edge"],
        "hosts": [f"{app}.example.com"],
        "default": default,
        "sticky": {"cookie": "user"},
        "audiences": [audience],
    }


def app_world(app: str, canary: int = 5) -> AppWorld:
    builds, deployments = {}, {}
    for version in VERSIONS:
        for component in COMPONENTS:
            name = f"{app}-{build_hash(component, version)}"
            found = record("Build", name, build(app, component, version))
            assert isinstance(found, Build)
            builds[found.ref] = found
        deployed = record("AppDeployment", f"{app}-v{version}", deployment(app, version))
        assert isinstance(deployed, AppDeployment)
        deployments[deployed.ref] = deployed
    return AppWorld(Ref("default", app), Map(builds), Map(deployments), released(app, canary))


def released(app: str, canary: int) -> Map[Ref, Release]:
    found = record("Release", app, release(app, canary))
    assert isinstance(found, Release)
    return Map({found.ref: found})


def world(apps: int) -> World:
    edge = record("Gateway", "edge", gateway())
    assert isinstance(edge, Gateway)
    return World(Map({Ref("default", f"app{n}"): app_world(f"app{n}") for n in range(apps)}), Map({EDGE: edge}))
