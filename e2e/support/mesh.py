"""A mesh: the server, a gateway, and beside every build an application with its sidecar."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from e2e.support import records
from e2e.support.client import Client, Reply
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import Child, free_ports, wait_until
from e2e.support.records import Folder
from e2e.support.server import Mode, Server
from xds_server.cli.server import app

APP = "order"
V1 = {"worker": "w1", "api": "a1", "ui": "u1"}
V2 = V1 | {"api": "a2"}
V3 = V2 | {"ui": "u2", "review": "r1"}
ENTRIES = {"ui": "/", "worker": "/worker"}
HOST = "order.example.com"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instance is: its application, and its sidecar's two listeners and admin interface."""

    build: str
    application: int
    inbound: int
    outbound: int
    admin: int

    @property
    def component(self) -> str:
        return self.build.partition("@")[0]

    @property
    def hash(self) -> str:
        return self.build.partition("@")[2]


@dataclass(slots=True)
class Mesh:
    """The order app: v1, v2 with another api, v3 with another ui and a review. Every build runs; what is deployed is up
    to the test.
    """

    mode: Mode
    folder: Folder
    server: Server
    gateway: Envoy
    sidecars: Mapping[str, Envoy]
    places: Mapping[str, Place]
    port: int
    client: Client
    timeout: str = "15s"

    def deploy(self, name: str, components: Mapping[str, str], calls: Mapping[str, list[str]] | None = None) -> None:
        spec = {
            "app": APP,
            "version": name.rpartition("-")[2],
            "components": {
                each: {"build": build, "policy": {"timeout": self.timeout}}
                | ({"routes": [{"pathPrefix": ENTRIES[each]}]} if each in ENTRIES else {})
                | ({"calls": calls[each]} if calls and each in calls else {})
                for each, build in components.items()
            },
        }
        self.folder.write(f"deployment-{name}.yaml", records.record("AppDeployment", name, spec))

    def release(self, **weights: int) -> None:
        default = [{"deployment": name.replace("_", "-"), "weight": weight} for name, weight in weights.items()]
        usual = {"app": APP, "gateways": ["edge"], "hosts": [HOST], "default": default}
        # Its tests delete deployments that had traffic.
        spec = usual | {"policy": {"history": 0}}
        self.folder.write("release.yaml", records.record("Release", APP, spec))

    def get(self, path: str, deployment: str | None = None, *headers: tuple[str, str]) -> Reply:
        named = [("x-explicit-deployment", deployment)] if deployment else []
        return self.client.get(HOST, path, [*named, *headers])

    def call(self, build: str, path: str, *headers: tuple[str, str], host: str | None = None) -> Reply:
        """As the application of this build, by its sidecar; with no context unless `headers` have one."""
        component, _, rest = path.strip("/").partition("/")
        with Client(self.places[build].outbound) as client:
            return client.get(host or component, f"/{rest}", headers)

    def serves(self, deployment: str) -> None:
        """Wait until the deployment can be asked for at the gateway."""
        wait_until(lambda: self.get("/", deployment).status == 200, f"{deployment} is served")


def hops(said: Any) -> list[tuple[str, str]]:
    """The builds of a chain, each with the context that it was told, in the header."""
    found = []
    while said is not None:
        found.append((said["build"], ",".join(said["told"]["x-deployment"])))
        said = said.get("then")
    return found


@contextmanager
def mesh(mode: Mode, version: EnvoyVersion, directory: Path) -> Iterator[Mesh]:
    builds = sorted({f"{component}@{build}" for of in (V1, V2, V3) for component, build in of.items()})
    with ExitStack() as stack:
        ports = iter(free_ports(4 * len(builds) + 2))
        port, admin = next(ports), next(ports)
        places = {build: Place(build, *(next(ports) for _ in range(4))) for build in builds}
        folder = Folder(directory / "records")
        folder.root.mkdir()
        folder.write("gateway.yaml", records.gateway("edge", port))
        for place in places.values():
            spec = {
                "app": APP,
                "component": place.component,
                "build": place.hash,
                "endpoints": {"addresses": [f"127.0.0.1:{place.inbound}"]},
                "probes": ["/healthz"],
            }
            folder.write(
                f"build-{place.component}-{place.hash}.yaml",
                records.record("Build", f"{place.component}-{place.hash}", spec),
            )
        server = stack.enter_context(Server(folder.root, directory))
        running = stack.enter_context(
            Child("mesh", [sys.executable, "-m", "e2e.support.mesh_process"], directory, talks=True)
        )
        running.say(json.dumps([[each.build, each.application, each.outbound] for each in places.values()]))
        assert running.hear().strip() == "ready"
        gateway = stack.enter_context(Envoy(version, server.bootstrap("edge", mode, admin, "edge-1"), directory))
        sidecars = {
            build: stack.enter_context(Envoy(version, bootstrap(server, mode, place), directory))
            for build, place in places.items()
        }
        for envoy in (gateway, *sidecars.values()):
            envoy.wait_ready()
        yield Mesh(mode, folder, server, gateway, sidecars, places, port, stack.enter_context(Client(port)))


def bootstrap(server: Server, mode: Mode, place: Place) -> dict[str, Any]:
    """What a sidecar is started with, as the product's command prints it; in this process, as `Server.bootstrap`."""
    command = ["bootstrap", "sidecar", "--app", APP, "--component", place.component, "--build", place.hash]
    options = ["--xds", f"127.0.0.1:{server.xds}", "--mode", mode, "--id", place.build]
    ports = {
        "--inbound": place.inbound,
        "--outbound": place.outbound,
        "--application": place.application,
        "--admin-port": place.admin,
    }
    words = [word for option, port in ports.items() for word in (option, str(port))]
    printed = CliRunner().invoke(app, [*command, *options, *words], catch_exceptions=False)
    assert printed.exit_code == 0, printed.output
    found: dict[str, Any] = yaml.safe_load(printed.stdout)
    return found
