"""A mesh whose applications speak HTTP/2 and gRPC, and say what they were told."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.support import records
from e2e.support.applications import Applications, Service
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.mesh import APP, HOST, Place, bootstrap
from e2e.support.processes import free_ports
from e2e.support.records import Folder
from e2e.support.server import Mode, Server
from e2e.support.upstream import Protocol, Upstreams

PROTOCOLS = {"ui": Protocol.GRPC, "api": Protocol.GRPC, "web": Protocol.HTTP2, "cart": Protocol.HTTP2}
V1 = {"ui": "u1", "api": "a1", "web": "w1", "cart": "c1"}
V2 = V1 | {"api": "a2", "cart": "c2"}
V3 = {"ui": "u1", "web": "w1"}
ROUTES = {"ui": "/echo.Echo", "web": "/"}


@dataclass(frozen=True, slots=True)
class Talking:
    """v1 is released; v2 has another api and another cart, v3 has neither. `services`: the builds that speak gRPC."""

    port: int
    places: Mapping[str, Place]
    services: Mapping[str, Service]

    def outbound(self, build: str) -> int:
        """Where the application of this build calls."""
        return self.places[build].outbound


@contextmanager
def talking(mode: Mode, version: EnvoyVersion, directory: Path, applications: Applications) -> Iterator[Talking]:
    """`applications` holds those that speak gRPC."""
    folder = Folder(directory / "records")
    folder.root.mkdir()
    builds = sorted({f"{component}@{build}" for of in (V1, V2, V3) for component, build in of.items()})
    services = {build: Service(build) for build in builds if _protocol(build) is Protocol.GRPC}
    with ExitStack() as stack:
        upstreams = stack.enter_context(Upstreams(directory))
        ports = iter(free_ports(3 * len(builds) + 2))
        port, admin = next(ports), next(ports)
        places = {}
        for build in builds:
            at = applications.grpc(services[build]) if build in services else upstreams.start(build, Protocol.HTTP2)
            places[build] = Place(build, int(at.rpartition(":")[2]), *(next(ports) for _ in range(3)))
        write(folder, port, places)
        server = stack.enter_context(Server(folder.root, directory))
        gateway = stack.enter_context(Envoy(version, server.bootstrap("edge", mode, admin, "edge-1"), directory))
        sidecars = [
            stack.enter_context(Envoy(version, bootstrap(server, mode, place), directory)) for place in places.values()
        ]
        for envoy in (gateway, *sidecars):
            envoy.wait_ready()
        yield Talking(port, places, services)


def write(folder: Folder, port: int, places: Mapping[str, Place]) -> None:
    folder.write("gateway.yaml", records.gateway("edge", port))
    for place in places.values():
        build = records.Build(APP, place.component, place.hash)
        folder.write(f"{place.build}.yaml", build.record([f"127.0.0.1:{place.inbound}"], _protocol(place.build)))
    for version, components in {"v1": V1, "v2": V2, "v3": V3}.items():
        spec = {
            each: {"build": build} | ({"routes": [{"pathPrefix": ROUTES[each]}]} if each in ROUTES else {})
            for each, build in components.items()
        }
        folder.write(f"{version}.yaml", records.deployment(APP, version, spec))
    folder.write("release.yaml", records.release(APP, {f"{APP}-v1": 100}, hosts=[HOST]))


def _protocol(build: str) -> Protocol:
    return PROTOCOLS[build.partition("@")[0]]
