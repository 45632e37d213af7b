"""What `explain` says and what a real Envoy does, on the same records and the same bytes."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from pprint import pformat
from typing import Any

import yaml

from e2e.support.client import Client
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import free_ports, held_ports, wait_until
from e2e.support.random_worlds import COMPONENTS, GATEWAYS, LOOPBACK, PROBE, SERVING, Pair, Request, gateways
from e2e.support.records import Document, Folder
from e2e.support.server import Mode, Server
from e2e.support.upstream import Upstreams
from xds_server.domain.names import Ref
from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable
from xds_server.traffic.decide import decide
from xds_server.traffic.decisions import Decision, Outcome
from xds_server.traffic.requests import Request as Asked

TIMEOUT = 10.0
WORDLESS = (301, 307, 308, 400)
"""What Envoy answers by itself, without a body that says why. No rule has decided it, whatever it reveals."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What of an answer `explain` foretells. `instance` is empty unless an application answers."""

    status: int
    deployment: str
    rule: str
    reason: str = ""
    instance: str = ""
    sets_cookie: str = ""
    location: str = ""
    request_id: str | None = field(default=None, compare=False)


def foretold(outcome: Outcome, method: str) -> Facts:
    answer, destination = outcome.answer, outcome.destination
    if answer is not None:
        reason = "" if method == "HEAD" or answer.status in WORDLESS else answer.reason
        return Facts(answer.status, outcome.deployment, outcome.rule, reason, location=answer.location)
    assert destination is not None
    instance = "" if method == "HEAD" else destination.component
    return Facts(200, outcome.deployment, outcome.rule, "", instance, outcome.sets_cookie)


def sent(port: int, request: Request) -> Facts:
    """What a real Envoy answers to these bytes."""
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection:
        connection.sendall(request.wire())
        response = http.client.HTTPResponse(connection, method=request.method)
        response.begin()
        body = response.read()
    said: Any = {}
    if response.getheader("content-type", "").startswith("application/json") and body:
        said = json.loads(body)
    if response.status in WORDLESS:
        return Facts(response.status, "-", "-", location=response.getheader("location") or "")
    return Facts(
        status=response.status,
        deployment=response.getheader("x-served-deployment") or "-",
        rule=response.getheader("x-served-rule") or "-",
        reason=said.get("reason", ""),
        instance=said.get("instance", ""),
        sets_cookie=(response.getheader("set-cookie") or "").partition("=")[0],
        request_id=dict(said.get("headers", ())).get("x-request-id"),
    )


def text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def asked(request: Request, port: int) -> Asked:
    """The request as `explain` is asked about it."""
    lines = [(text(name).lower(), text(value).strip(" \t")) for name, value in request.lines]
    headers = dict(lines)
    return Asked(
        method=request.method,
        scheme="http",
        authority=headers.get("host", f"{LOOPBACK}:{port}"),
        path=text(request.target),
        headers=tuple((name, value) for name, value in lines if name != "host"),
    )


@dataclass(slots=True)
class Bench:
    """A server, an Envoy for each kind of gateway, and what is in force there."""

    folder: Folder
    server: Server
    ports: Mapping[str, int]
    upstreams: Mapping[str, str]
    """Where the one instance of each component is, whatever the build."""
    admission: Admission = field(default_factory=Admission)

    def put(self, documents: Sequence[Document]) -> None:
        """These records beside the gateways, in one push, live at every Envoy; instances are where they are now."""
        placed = [self._placed(each) for each in documents]
        records = yaml.safe_dump_all([*gateways(self.ports), *placed], sort_keys=False, allow_unicode=True)
        files = {"world.yaml": Readable(records)}
        now = datetime.now(tz=UTC)  # noqa: TID251 - when audiences have ended is about the real time
        self.admission = admit(Admission(), Batch(files, complete=True), now, folder="records")
        self.folder.write_text("world.yaml", records)
        (rule,) = (each["name"] for each in _audiences(documents) if PROBE in each.get("hosts", ()))
        wait_until(lambda: all(self._live(self.ports[name], rule) for name in SERVING), "the world is live", 60)

    def _placed(self, document: Document) -> Document:
        if document["kind"] != "Build":
            return document
        spec = document["spec"]
        instances = [{**each, "address": self.upstreams[spec["component"]]} for each in spec["endpoints"]["addresses"]]
        return document | {"spec": {**spec, "endpoints": {"addresses": instances}}}

    def _live(self, port: int, rule: str) -> bool:
        with Client(port) as client:
            return client.get(PROBE).header("x-served-rule") == rule

    @property
    def errors(self) -> list[str]:
        return [str(each) for each in self.admission.problems if each.severity.value == "error"]

    def decision(self, gateway: str, request: Request, request_id: str | None = None) -> Decision:
        world = self.admission.world
        record = world.gateways[Ref("default", gateway)]
        question = replace(asked(request, self.ports[gateway]), request_id=request_id)
        return decide(world, record, record.spec.listeners[0], question)

    def answer(self, pair: Pair) -> Facts:
        """What Envoy does."""
        return sent(self.ports[pair.gateway], pair.request)

    def difference(self, pair: Pair) -> str:
        """What Envoy does that `explain` does not foretell; empty if nothing.

        Where chance decides the answer is one of several; where the application tells which request id Envoy drew,
        it is the only one.
        """
        told = self.answer(pair)
        decision = self.decision(pair.gateway, pair.request, told.request_id)
        known = [foretold(outcome, pair.request.method) for outcome in decision.outcomes]
        return "" if told in known else f"Envoy: {told}\nexplain: {known}\n{pformat(decision)}"


def _audiences(documents: Sequence[Document]) -> Iterator[Any]:
    return (each for document in documents for each in document["spec"].get("audiences", ()))


@contextmanager
def bench(mode: Mode, version: EnvoyVersion, directory: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        ports = dict(zip(GATEWAYS, stack.enter_context(held_ports(len(GATEWAYS))), strict=True))
        folder = Folder(directory / "records")
        folder.root.mkdir()
        upstreams = stack.enter_context(Upstreams(directory))
        addresses = {component: upstreams.start(component) for component in COMPONENTS}
        folder.write_text("world.yaml", yaml.safe_dump_all(gateways(ports)))
        server = stack.enter_context(Server(folder.root, directory))
        envoys = []
        bootstrap = server.bootstrap("all", mode, 0, node="")
        for gateway, admin in zip(GATEWAYS, free_ports(len(GATEWAYS)), strict=True):
            bootstrap["node"] |= {"cluster": gateway, "id": f"{gateway}-1"}
            bootstrap["admin"]["address"]["socket_address"]["port_value"] = admin
            envoys.append(stack.enter_context(Envoy(version, bootstrap, directory)))
        for envoy in envoys:
            envoy.wait_ready()
        yield Bench(folder, server, ports, addresses)
