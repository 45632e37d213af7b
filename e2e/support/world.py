"""A whole small world: records, the server, upstreams, a real Envoy, and apps that live in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.support import records
from e2e.support.client import Client, Headers, Reply
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.load import RATE, Load, Shot
from e2e.support.processes import free_ports, wait_until
from e2e.support.records import Build, Folder, Json
from e2e.support.server import Mode, Server
from e2e.support.upstream import Protocol, Upstreams

GATEWAY = "edge"
LISTENER = "edge/http"
V1 = {"web": "a1", "cart": "b1", "reviews": "c1"}
V2 = V1 | {"web": "a2"}

ANSWERED = f"http.{LISTENER}.downstream_rq_2xx"
UPDATES = {
    "listeners": "listener_manager.lds.update_success",
    "clusters": "cluster_manager.cds.update_success",
}
ROUTES = {
    True: f"http.{LISTENER}.rds.vhds.{LISTENER}.update_success",
    False: f"http.{LISTENER}.rds.{LISTENER}.update_success",
}
FAULTS = (
    f"http.{LISTENER}.no_route",
    f"http.{LISTENER}.no_cluster",
    f"http.{LISTENER}.downstream_rq_5xx",
    f"http.{LISTENER}.downstream_rq_rx_reset",
    f"http.{LISTENER}.downstream_rq_tx_reset",
)
UPSTREAM_FAULTS = "^cluster[.].*(upstream_cx_none_healthy|upstream_rq_5xx|upstream_rq_rx_reset|upstream_rq_tx_reset)$"


@dataclass(slots=True)
class World:
    """One server and one Envoy, and what stands around them."""

    mode: Mode
    version: EnvoyVersion
    directory: Path
    folder: Folder
    upstreams: Upstreams
    server: Server
    envoy: Envoy
    port: int
    client: Client
    addresses: dict[str, str] = field(default_factory=dict)
    """Where each build's upstream listens."""

    def app(self, name: str) -> "App":
        return App(self, name)

    def load(self, shots: Sequence[Shot], rate: float = RATE) -> Load:
        return Load(self.port, shots, self.directory, rate)

    @property
    def on_demand(self) -> bool:
        """Its Envoy is told of hosts when it asks for them, unless its gateway says otherwise."""
        return self.mode is Mode.DELTA and self.version is not EnvoyVersion.FLOOR

    @property
    def routes_counter(self) -> str:
        """Of the pushes that a release is."""
        return ROUTES[self.on_demand]

    def updates(self) -> dict[str, int]:
        """How many pushes of each kind Envoy has taken."""
        counters = UPDATES | {"routes": self.routes_counter}
        return {kind: self.envoy.stat(name) for kind, name in counters.items()}

    def told_as_well(self, other: Envoy) -> bool:
        """Another Envoy has what this one has: all of it, or as much of it as it has asked for."""
        told, here = other.resources(), self.envoy.resources()
        return told.items() <= here.items() if self.on_demand else told == here

    def pushes(self) -> dict[str, int]:
        """How often Envoy has taken anything, counted for each subscription: each cluster's endpoints too."""
        return self.envoy.stats("update_success$")

    def faults(self) -> dict[str, int]:
        """What Envoy itself counts as lost. A counter that it does not have at all would prove nothing.

        Its connection to the server is not one of those that requests take.
        """
        said = self.envoy.stats(f"^http[.]{LISTENER}[.]|{UPSTREAM_FAULTS}")
        return {name: said[name] for name in FAULTS} | {
            name: value
            for name, value in said.items()
            if value and name.startswith("cluster.") and not name.startswith("cluster.xds-server.")
        }

    @contextmanager
    def another_envoy(self, node: str, gateway: str = GATEWAY, *options: str) -> Iterator[Envoy]:
        """One more Envoy, ready; beside another of its gateway, as the kernel lets Envoys share a port.

        `options` are those of its bootstrap.
        """
        with self.stranger(node, gateway, *options) as envoy:
            envoy.wait_ready()
            yield envoy

    @contextmanager
    def stranger(self, node: str, gateway: str, *options: str) -> Iterator[Envoy]:
        """One more Envoy, running; what it is told is yet to be seen."""
        (admin,) = free_ports(1)
        bootstrap = self.server.bootstrap(gateway, self.mode, admin, node, *options)
        with Envoy(self.version, bootstrap, self.directory) as envoy:
            envoy.wait_live()
            yield envoy

    @contextmanager
    def special(self, node: str, gateway: str, *arguments: str) -> Iterator[Envoy]:
        """One more Envoy, ready, started with these arguments."""
        (admin,) = free_ports(1)
        bootstrap = self.server.bootstrap(gateway, self.mode, admin, node)
        with Envoy(self.version, bootstrap, self.directory, arguments=arguments) as envoy:
            envoy.wait_ready()
            yield envoy

    def wait_connected(self) -> None:
        """Envoy's stream to the server is up."""
        wait_until(lambda: self.envoy.stat("control_plane.connected_state") == 1, "Envoy is connected", within=40)

    def wait_answered(self, more: int) -> None:
        """Envoy has answered as many requests more: so long does load go on."""
        self.envoy.wait_stat(ANSWERED, self.envoy.stat(ANSWERED) + more)

    def last_words(self) -> Iterator[tuple[str, str]]:
        for child in (self.server.child, self.envoy.child, self.upstreams.child):
            yield child.name, child.last_words()


@contextmanager
def world(
    mode: Mode,
    version: EnvoyVersion,
    directory: Path,
    *options: str,
    edit: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[World]:
    """`options`: more of `xds-server serve`. `edit` changes the bootstrap."""
    with ExitStack() as stack:
        port, admin = free_ports(2)
        folder = Folder(directory / "records")
        folder.root.mkdir()
        folder.write("gateway-edge.yaml", records.gateway(GATEWAY, port))
        upstreams = stack.enter_context(Upstreams(directory))
        server = stack.enter_context(Server(folder.root, directory, *options))
        bootstrap = server.bootstrap(GATEWAY, mode, admin, node=f"{GATEWAY}-1")
        if edit is not None:
            edit(bootstrap)
        envoy = stack.enter_context(Envoy(version, bootstrap, directory))
        envoy.wait_ready()
        client = stack.enter_context(Client(port))
        yield World(mode, version, directory, folder, upstreams, server, envoy, port, client)


@dataclass(slots=True)
class App:
    """One app of a world, with hosts and deployments of its own: scenarios share a world and do not meet."""

    world: World
    name: str

    @property
    def host(self) -> str:
        return f"{self.name}.example.com"

    def instance(self, component: str, build: str) -> str:
        """What the upstream of this build calls itself, and what Envoy calls its endpoints."""
        return Build(self.name, component, build).identity

    def place(self, component: str, build: str, protocol: Protocol = Protocol.HTTP1) -> None:
        """Run a build: an upstream, and the record that says where it is."""
        this = Build(self.name, component, build)
        if this.identity not in self.world.addresses:
            address = self.world.upstreams.start(this.identity, protocol)
            self.world.addresses[this.identity] = address
            self.write(this.record([address], protocol))

    def deploy(self, version: str, builds: Mapping[str, str], *, probe: str = "/", **components: Json) -> str:
        """Deploy a version and wait until its explicit host serves `probe`. By default `web` has every path that
        no other component has, and another component has the paths under its name; `components` says otherwise.
        """
        for component, build in builds.items():
            self.place(component, build)
        usual = {
            name: {"build": build, "routes": [{"pathPrefix": "/" if name == "web" else f"/{name}"}]}
            for name, build in builds.items()
        }
        spec = {name: {**each, **components.get(name, {})} for name, each in usual.items()}
        self.write(records.deployment(self.name, version, spec))
        deployment = f"{self.name}-{version}"
        wait_until(lambda: self.explicit(deployment, probe).status == 200, f"{deployment} serves {probe}", within=30)
        return deployment

    def release(self, *default: str, **spec: Any) -> float:
        """Write the release: equal shares unless `spec` has its own `default`. The instant is that of the rename."""
        weights = dict.fromkeys(default, 100 / len(default)) if default else {}
        return self.write(records.release(self.name, spec.pop("weights", weights), **spec))

    def wait_served(self, deployment: str, host: str | None = None, headers: Headers = ()) -> None:
        """Envoy's only worker answers with `deployment`: so it will every request that starts after this."""
        wait_until(
            lambda: self.get(host=host, headers=headers).served == deployment,
            f"{host or self.host} gets {deployment}",
            within=30,
        )

    def released(self, deployment: str, **spec: Any) -> None:
        self.release(deployment, **spec)
        self.wait_served(deployment)

    def get(self, path: str = "/", host: str | None = None, headers: Headers = ()) -> Reply:
        return self.world.client.get(host or self.host, path, headers)

    def explicit(self, deployment: str, path: str = "/", headers: Headers = ()) -> Reply:
        return self.get(path, explicit_host(deployment), headers)

    def write(self, document: records.Document) -> float:
        return self.world.folder.write(records.file_of(document), document)


def explicit_host(deployment: str) -> str:
    return f"{deployment}.preview.example.com"
