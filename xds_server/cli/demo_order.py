"""The order app of `xds-server demo --mesh`: its applications, its records, and how a way is drawn."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rich.text import Text

from xds_server.cli.demo_shop import GATEWAY, Scope
from xds_server.records.models import API_VERSION

LOOPBACK = "127.0.0.1"
VERSIONS = {
    "v1": {"worker": "w1", "api": "a1", "ui": "u1"},
    "v2": {"worker": "w1", "api": "a2", "ui": "u1"},
    "v3": {"worker": "w1", "api": "a2", "ui": "u2", "review": "r1"},
}
"""Each is a map of component to build: v2 changes api; v3 changes ui and adds review."""
ENTRIES = {"worker": "/worker", "ui": "/"}
COLOURS = {"order-v1": "cyan", "order-v2": "yellow", "order-v3": "magenta"}
REMEMBERED = 1000


def builds() -> list[str]:
    """Each as `api@a2`."""
    return sorted({f"{component}@{build}" for of in VERSIONS.values() for component, build in of.items()})


class Ways:
    """What applications have answered to the latest requests, by the id that a request has at its first one."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def note(self, request: str, said: Mapping[str, Any]) -> None:
        self._said[request] = said
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)

    def take(self, request: str) -> Mapping[str, Any] | None:
        return self._said.pop(request, None)


class Component:
    """An ASGI application: `/api/review` is a call of `/review` at `api`, by its own sidecar.

    It knows nothing of versions and forwards `baggage`. Its status is that of what it calls.
    """

    def __init__(self, build: str, outbound: int, ways: Ways) -> None:
        self._build, self._outbound, self._ways = build, outbound, ways

    async def __call__(self, scope: Scope, _receive: Any, send: Any) -> None:
        headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]]
        told = dict(headers)
        words = [each for each in scope["path"].split("/") if each]
        if words[:1] == [self._build.partition("@")[0]]:
            del words[0]
        said: dict[str, Any] = {"build": self._build, "deployment": told.get("x-deployment", "")}
        status = 200
        if words:
            baggage = [value for key, value in headers if key == "baggage"]
            status, answer = await _asked(self._outbound, words[0], "/".join(words[1:]), baggage)
            said |= {"called": words[0], "answer": answer}
        self._ways.note(told.get("x-request-id", ""), said)
        body = json.dumps(said).encode() + b"\n"
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


async def _asked(outbound: int, component: str, path: str, baggage: Iterable[str]) -> tuple[int, Any]:
    """Status and JSON of a call by the sidecar."""
    reader, writer = await asyncio.open_connection(LOOPBACK, outbound)
    try:
        lines = [f"GET /{path} HTTP/1.1", f"host: {component}", *(f"baggage: {each}" for each in baggage)]
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(size))
    finally:
        writer.close()


def way_line(entry: Mapping[str, Any], said: Mapping[str, Any] | None) -> Text:
    """`entry`: what the gateway's access log has of a request; `said`: what the first application has answered, if the
    request came so far.
    """
    deployment, status = entry.get("deployment") or "-", int(entry["status"])
    line = Text.assemble((f"{deployment:<9}", COLOURS.get(deployment, "")), " gateway")
    for hop in _hops(said):
        line.append(" -> ")
        line.append(hop, COLOURS.get(deployment, "") if "@" in hop else "red")
    line.append(f"  {status}", "green" if status < 400 else "red")
    return line.append(f"  {entry['duration_ms']} ms  {entry['path']}", "dim")


def _hops(said: Mapping[str, Any] | None) -> Iterator[str]:
    """The builds in their order; at the end the component that was refused, and the reason."""
    called = ""
    while said is not None:
        if "build" not in said:
            yield f"{called} ({said.get('reason', 'no answer')})"
            return
        yield said["build"]
        called, said = said.get("called", ""), said.get("answer")


class Place(NamedTuple):
    """Where one build is: its application, and its sidecar's two listeners and admin interface."""

    application: int
    inbound: int
    outbound: int
    admin: int


def order_records(gateway_port: int, places: Mapping[str, Place]) -> dict[str, str]:
    """The demo's files by name."""
    files = {"gateway.yaml": GATEWAY.format(api=API_VERSION, port=gateway_port)}
    placed = [
        BUILD.format(api=API_VERSION, component=component, build=build, port=places[name].inbound)
        for name in builds()
        for component, _, build in [name.partition("@")]
    ]
    files["builds.yaml"] = "---\n".join(placed)
    for version, components in VERSIONS.items():
        lines = "".join(_component(*each) for each in components.items())
        files[f"order-{version}.yaml"] = DEPLOYMENT.format(api=API_VERSION, version=version) + lines
    return files | {"release.yaml": RELEASE.format(api=API_VERSION)}


def _component(name: str, build: str) -> str:
    routes = f", routes: [{{pathPrefix: {ENTRIES[name]}}}]" if name in ENTRIES else ""
    return f'    {name}: {{build: "{build}"{routes}}}\n'


BUILD = """\
apiVersion: {api}
kind: Build
metadata: {{name: order-{component}-{build}}}
spec:
  app: order
  component: {component}
  build: "{build}"
  endpoints: {{addresses: ["127.0.0.1:{port}"]}}   # its sidecar
"""

DEPLOYMENT = """\
apiVersion: {api}
kind: AppDeployment
metadata: {{name: order-{version}}}
spec:
  app: order
  version: "{version}"
  components:
"""

RELEASE = """\
# Who gets which version of the order app. Edit, save, ask again.
apiVersion: {api}
kind: Release
metadata: {{name: order}}
spec:
  app: order
  gateways: [edge]
  hosts: [order.localhost]
  default: [{{deployment: order-v1, weight: 100}}]
"""
