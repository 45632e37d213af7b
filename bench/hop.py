"""One call from application to application: straight, by two Envoys with static routes, and by two sidecars.

All take turns in one run, block by block, with the same requests. Who calls and who is called are on the same cores.
"""

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from sys import executable
from time import perf_counter
from typing import Any

from bench import meshes
from bench.folders import write_world
from bench.load import Connections, connections
from bench.meshes import CALLED, CALLER, Place
from bench.processes import processor
from bench.report import Figure, percentiles
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import Child, free_ports
from e2e.support.server import Server

MANY = 32
"""Connections, which ask for more than two cores can answer."""
WARM = 2
"""Requests on each connection before those that are measured: what other ways have left in caches is not theirs."""
FILTERS = "type.googleapis.com/envoy.extensions.filters"
BESIDE = "session.id=4f9c2d7e0b5e99d177aa01bc,user.tier=gold,tenant=acme%20corp"
"""Members of baggage that are somebody else's."""


@dataclass(frozen=True, slots=True)
class Way:
    """How requests get to the application. `one` and `many` are connections to where they enter."""

    one: Connections
    many: Connections
    request: bytes
    envoys: tuple[int, ...] = ()
    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def block(self, few: int, many: int) -> None:
        """`few` requests one after the other, then `many` as fast as they are answered."""
        self.one.ask(self.request, WARM)
        self.seconds.extend(self.one.ask(self.request, few))
        self.many.ask(self.request, WARM * MANY)
        used, began = self._used(), perf_counter()
        self.many.ask(self.request, many)
        self.rates.append(many / (perf_counter() - began))
        self.processor.append((self._used() - used) / many)

    def _used(self) -> float:
        return sum(map(processor, self.envoys))


def hops(deployments: int, blocks: int, few: int, many: int) -> list[Figure]:
    """Of a call from a build that so many deployments share, to another one."""
    with tempfile.TemporaryDirectory() as place, _ways(deployments, Path(place)) as ways:
        turns = [*ways.values()]
        for _ in range(blocks):
            for way in turns:
                way.block(few, many)
            turns.reverse()
        return _figures(f"{deployments} deployments", ways)


def _figures(where: str, ways: Mapping[str, Way]) -> list[Figure]:
    figures = []
    for name, way in ways.items():
        figures += percentiles(f"{where}, {name}", way.seconds)
        figures.append(Figure(f"{where}, {name}: requests a second", statistics.median(way.rates), "requests/s"))
        if way.envoys:
            spent = statistics.median(way.processor)
            figures.append(Figure(f"{where}, {name}: CPU of both Envoys a request", spent * 1e6, "µs"))
    for context in ("header", "baggage"):
        static, ours = (ways[f"{kind}, context in {context}"] for kind in ("static", "sidecars"))
        longer = statistics.median(ours.seconds) - statistics.median(static.seconds)
        more = statistics.median(b - a for a, b in zip(static.processor, ours.processor, strict=True))
        rate = statistics.median(b / a for a, b in zip(static.rates, ours.rates, strict=True))
        figures += [
            Figure(f"{where}, context in {context}: two sidecars add, p50", longer * 1e6, "µs"),
            Figure(f"{where}, context in {context}: two sidecars add, CPU a request", more * 1e6, "µs"),
            Figure(f"{where}, context in {context}: ratio of requests a second to static", rate, "x"),
        ]
    return figures


@contextmanager
def _ways(deployments: int, home: Path) -> Iterator[dict[str, Way]]:
    [application, *ports] = free_ports(5)
    caller, called = Place.of(CALLER), Place.of(CALLED, application)
    write_world(home / "records", 0)
    meshes.write_app(home / "records", deployments, called.ports.inbound)
    with ExitStack() as stack:
        serve = [executable, "-m", "bench.upstream", str(application)]
        stack.enter_context(Child("application", serve, home, talks=True)).hear()
        server = stack.enter_context(Server(home / "records", home))
        ours = [stack.enter_context(each.start(server.xds, home)) for each in (called, caller)]
        (inner, inner_admin), (outer, outer_admin) = ports[:2], ports[2:]
        static = [
            stack.enter_context(Envoy(EnvoyVersion.CURRENT, _static(*each), home))
            for each in ((inner, application, inner_admin), (outer, inner, outer_admin))
        ]
        for envoy in (*ours, *static):
            envoy.wait_ready()
        pids = {"sidecars": _pids(ours), "static": _pids(static)}
        enters = {"sidecars": caller.ports.outbound, "static": outer, "straight": application}

        def way(kind: str, request: bytes) -> Way:
            one, many = (stack.enter_context(connections(enters[kind], count)) for count in (1, MANY))
            return Way(one, many, request, pids.get(kind, ()))

        asks = _requests(meshes.deployment(deployments // 2 + 1))
        ways = {
            f"{kind}, context in {context}": way(kind, request)
            for context, request in asks.items()
            for kind in ("static", "sidecars")
        }
        yield {"straight": way("straight", asks["header"]), **ways}


def _requests(context: str) -> dict[str, bytes]:
    said = {"header": f"x-deployment: {context}", "baggage": f"baggage: {BESIDE},xds.deployment={context}"}
    return {name: f"GET /items HTTP/1.1\r\nHost: {CALLED}\r\n{line}\r\n\r\n".encode() for name, line in said.items()}


def _pids(envoys: list[Envoy]) -> tuple[int, ...]:
    return tuple(each.child.pid for each in envoys)


def _static(listener: int, upstream: int, admin: int) -> dict[str, Any]:
    """An Envoy that sends everything to one port."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": "next"}}
    manager = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "static",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router"}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster = {
        "name": "next",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "next", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listening = {"name": "static", "address": _address(listener), "filter_chains": [{"filters": filters}]}
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {"listeners": [listening], "clusters": [cluster]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
