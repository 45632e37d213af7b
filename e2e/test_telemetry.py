"""What the server counts is what happened: every request, by deployment, rule and class, over the fleet."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner
from typing_extensions import override

from e2e.support.applications import Applications
from e2e.support.client import Client, answers
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.load import Results, Shot
from e2e.support.mesh import V1, V2, Mesh, mesh
from e2e.support.processes import free_ports, wait_until
from e2e.support.records import Build
from e2e.support.server import BIN, Mode, Server
from e2e.support.world import ANSWERED, UPDATES, App, World, explicit_host
from e2e.support.world import V1 as SHOP_V1
from e2e.support.world import V2 as SHOP_V2
from e2e.test_grpc import begin
from xds_server.cli.ctl import app as ctl

pytestmark = pytest.mark.e2e

Counted = Counter[tuple[str, str, str, str]]
"""By deployment, component, rule and class."""
ROUNDS = 30
NOW_AND_THEN = 0.1
"""Seconds between two looks at all metrics, which cost the server some milliseconds."""
QUIETLY = 30.0
"""Requests a second that cost others nothing, for as long as they go on."""
SLOWLY = "5s"
"""Between two flushes of an Envoy whose first one is to have requests: it counts from its start on."""
FAILS = ("x-test-act", "fails/503")
EARLY = ("x-early-adopter", "true")
STAFF = ("x-staff", "true")
KNOWN = ("cookie", "user=4f9c2d7e-0b5e-49d1-b7aa-01bc5a6e7d80")
FORGED = ("x-envoy-upstream-alt-stat-name", "rule/early")
"""Nobody but the gateway says under what it counts."""


BOTH = [(Mode.DELTA, EnvoyVersion.CURRENT), (Mode.SOTW, EnvoyVersion.FLOOR)]


@pytest.fixture(scope="module", params=BOTH[:1], ids=["current"])
def pair(request: pytest.FixtureRequest) -> tuple[Mode, EnvoyVersion]:
    """The oldest one, too, where it is said: what a proxy tells, and how that is read, is there the same."""
    mode, version = request.param
    return Mode(mode), EnvoyVersion(version)


def samples(server: Server, name: str) -> Iterator[tuple[dict[str, str], float]]:
    reply = answers(server.admin, "/metrics")
    assert reply is not None, "/metrics does not answer"
    for family in text_string_to_metric_families(reply.body.decode()):
        yield from ((sample.labels, sample.value) for sample in family.samples if sample.name == name)


def counted(server: Server, app: str) -> Counted:
    return Counter(
        {
            (said["deployment"], said["component"], said["rule"], said["class"]): int(value)
            for said, value in samples(server, "xds_requests_total")
            if said["app"] == app
        }
    )


def wait_told(server: Server) -> None:
    """Every proxy has told what it had counted when this began: all tell once a second."""
    now = server.metrics()
    due = now["xds_server_flushes_total"] + 2 * now["xds_server_streams"] + 1
    wait_until(lambda: server.metrics()["xds_server_flushes_total"] >= due, "flushes come", every=NOW_AND_THEN)


def counts_are(server: Server, app: str, sent: Counted) -> None:
    """Every flush is heard a second later at most, once its Envoy has come back, and nothing is counted twice."""
    wait_until(lambda: counted(server, app) == sent, "every request is counted", within=45, every=NOW_AND_THEN)
    wait_told(server)
    assert counted(server, app) == sent


def send(app: App, sent: Counted, rounds: int = ROUNDS) -> None:
    """Requests of every kind, each over a connection of its own: the kernel gives them to one gateway or another."""
    for number in range(rounds):
        for host, path, headers in (
            (app.host, "/", []),
            (app.host, "/cart", []),
            (app.host, "/", [EARLY]),
            (app.host, "/", [FAILS]),
            (app.host, "/", [STAFF]),
            (app.host, "/", [KNOWN, FORGED]),
            (explicit_host(f"{app.name}-v2"), "/", []),
            (explicit_host(f"{app.name}-v1"), "/", [FAILS] if number % 3 == 0 else []),
        ):
            with Client(app.world.port) as client:
                reply = client.get(host, path, headers)
            rule, component = reply.header("x-served-rule"), path.strip("/") or "web"
            assert rule is not None
            assert reply.served is not None
            sent[reply.served, component, rule, f"{reply.status // 100}xx"] += 1


def shop(world: World, name: str, **spec: Any) -> App:
    """`internal` is also a word of Envoy's own."""
    app = world.app(name)
    v1, v2 = app.deploy("v1", SHOP_V1), app.deploy("v2", SHOP_V2)
    audiences = [audience("early", EARLY, v2), audience("internal", STAFF, v2)]
    app.release(weights={v1: 60, v2: 40}, audiences=audiences, **spec)
    app.wait_served(v2, headers=[EARLY])
    return app


def audience(name: str, header: tuple[str, str], deployment: str) -> dict[str, Any]:
    return {"name": name, "match": {"headers": [{"name": header[0], "exact": header[1]}]}, "deployment": deployment}


def seen(world: World, app: App) -> Counted:
    """What was asked for while everything was made ready: when nothing more of it comes."""
    before: list[Counted] = [Counter()]

    def settled() -> bool:
        wait_told(world.server)
        before.append(counted(world.server, app.name))
        return before[-1] == before[-2]

    wait_until(settled, "all of it is counted", within=30)
    return before[-1]


def shots(app: App) -> list[Shot]:
    """Of every kind, named by the rule that each gets and the component that answers it."""
    first, second = (explicit_host(f"{app.name}-{version}") for version in ("v1", "v2"))
    return [
        Shot("default/web", app.host),
        Shot("default/cart", app.host, "/cart"),
        Shot("default/web", app.host, headers=(FAILS,)),
        Shot("default/web", app.host, headers=(KNOWN, FORGED)),
        Shot("early/web", app.host, headers=(EARLY,)),
        Shot("internal/cart", app.host, "/cart", headers=(STAFF,)),
        Shot("explicit/web", first),
        Shot("explicit/web", second, headers=(FAILS,)),
    ]


def answered(results: Results) -> Counted:
    """What a load has sent, by who has answered."""
    assert all(each.served and not each.error for each in results.answers)
    return Counter(
        (each.served or "", component, rule, f"{each.status // 100}xx")
        for each in results.answers
        for rule, _, component in [each.shot.partition("/")]
    )


def wait_answered(envoys: Sequence[Envoy]) -> None:
    """Each has answered some requests more."""
    due = [each.stat(ANSWERED) + 3 for each in envoys]
    wait_until(lambda: all(each.stat(ANSWERED) >= some for each, some in zip(envoys, due, strict=True)), "each answers")


@pytest.mark.parametrize(
    ("pair", "down"), [(BOTH[0], 60.0), (BOTH[1], 3.0)], ids=["current, a minute", "floor"], indirect=["pair"]
)
def test_what_three_gateways_count_is_what_was_sent_also_while_the_server_was_down(
    pair_world: World, down: float
) -> None:
    """One of them sends only what is read, one was named when it was started. v1 and v2 share cart; one cluster has
    requests of every rule.
    """
    world = pair_world
    app = shop(world, "counts", sticky={"cookie": "user"})
    with ExitStack() as stack:
        envoys = (
            world.envoy,
            stack.enter_context(world.another_envoy("edge-2", "edge", "--envoy-version", world.version)),
            stack.enter_context(world.special("same", "edge", "--service-node", "edge-3")),
        )
        sent = seen(world, app)
        send(app, sent)
        counts_are(world.server, app.name, sent)

        load = stack.enter_context(world.load(shots(app), QUIETLY))
        wait_answered(envoys)
        world.server.child.kill()
        time.sleep(down)  # this long nobody hears what they count
        world.server.start()
        wait_answered(envoys)
        sent += answered(load.stop())
        send(app, sent)

        counts_are(world.server, app.name, sent)
        v1, v2 = f"{app.name}-v1", f"{app.name}-v2"
        rules = {rule for deployment, component, rule, _ in sent if (deployment, component) == (v2, "web")}
        assert rules == {"default", "early", "internal", "explicit"}
        assert {deployment for deployment, component, _, _ in sent if component == "cart"} == {v1, v2}
    assert counted(world.server, app.name) == sent, "what is gone has been counted"


def test_an_audience_that_comes_and_goes_is_told_from_the_default(pair_world: World) -> None:
    world = pair_world
    app = world.app("comes-and-goes")
    v1, v2 = app.deploy("v1", SHOP_V1), app.deploy("v2", SHOP_V2)
    app.released(v2)
    sent = seen(world, app)
    early = [audience("early", EARLY, v1), audience("late", STAFF, v2)]
    for audiences, deployment, rules in ((early, v1, ("early", "late")), ([], v2, ("default", "default"))) * 2:
        app.release(v2, audiences=audiences)
        while (reply := app.get(headers=[EARLY])).served != deployment:
            sent[reply.served or "", "web", reply.header("x-served-rule") or "", "2xx"] += 1
        sent[deployment, "web", rules[0], "2xx"] += 1
        for _ in range(10):
            assert app.get().header("x-served-rule") == "default"
            assert app.get(headers=[STAFF]).header("x-served-rule") == rules[1]
            sent[v2, "web", "default", "2xx"] += 1
            sent[v2, "web", rules[1], "2xx"] += 1

    counts_are(world.server, app.name, sent)


def test_a_cluster_that_is_changed_goes_on_from_what_was_counted(pair_world: World) -> None:
    """Envoy counts anew. What it had counted before was heard."""
    world = pair_world
    app = world.app("changed")
    v1 = app.deploy("v1", SHOP_V1)
    app.released(v1)
    sent = seen(world, app)
    build = Build(app.name, "web", SHOP_V1["web"])
    for seconds, requests in ((5, 20), (6, 10), (7, 5), (8, 2)):
        for _ in range(requests):
            assert app.get().status == 200
        sent[v1, "web", "default", "2xx"] += requests
        counts_are(world.server, app.name, sent)
        changed = world.updates()["clusters"] + 1
        check = {"path": "/", "interval": f"{seconds}s"}
        app.write(build.record([world.addresses[build.identity]], healthCheck=check))
        world.envoy.wait_stat(UPDATES["clusters"], changed)
        wait_until(lambda: world.envoy.stat("cluster_manager.warming_clusters") == 0, "it serves as it is now")


def test_an_envoy_that_is_killed_loses_a_flush_at_most_and_that_shows(pair_world: World) -> None:
    """It begins anew, from the same bootstrap file: it is another process, whose first flush is in no tick."""
    world = pair_world
    app = shop(world, "killed")
    sent = seen(world, app)
    rarely = ("--stats-interval", SLOWLY)
    bootstrap = world.server.bootstrap("edge", world.mode, free_ports(1)[0], "edge-killed", *rarely)

    def begun_again() -> float:
        said = samples(world.server, "xds_server_flush_gaps_total")
        return next(value for labels, value in said if labels["reason"] == "proxy began again")

    before, last = begun_again(), Counted()
    with Envoy(world.version, bootstrap, world.directory) as envoy:
        envoy.wait_ready()
        send(app, sent, 5)
        counts_are(world.server, app.name, sent)
        send(app, last, 5)
        envoy.child.kill()
    found = seen(world, app)
    assert sent <= found <= sent + last
    assert begun_again() == before

    with Envoy(world.version, bootstrap, world.directory) as envoy:
        envoy.wait_ready()
        send(app, found, 5)
        counts_are(world.server, app.name, found)
        assert begun_again() == before + 1
        [left_out] = [each for each in compare(world, app)["leftOut"] if each["because"] == "proxy began again"]
        assert left_out["proxies"] == ["edge-killed"]


class QuietEnvoy(Envoy):
    """One that `xds-server run` has started, and that ends when nobody has come for longer than a flush takes."""

    @override
    def _command(self, binary: Path, config: Path) -> list[str | Path]:
        return [BIN / "xds-server", "run", config, "--envoy", binary, "--drain", "20s", "--quiet", "2500ms", "--"]


def test_an_envoy_that_is_drained_for_longer_than_a_flush_loses_nothing(pair_world: World) -> None:
    world = pair_world
    app = shop(world, "drained")
    bootstrap = world.server.bootstrap("edge", world.mode, free_ports(1)[0], "edge-drained")
    with QuietEnvoy(world.version, bootstrap, world.directory) as envoy:
        envoy.wait_ready()
        sent = seen(world, app)
        send(app, sent)
        envoy.child.signal(signal.SIGTERM)
        assert envoy.child.ended() == 0

    counts_are(world.server, app.name, sent)


def test_two_versions_are_compared(pair_world: World) -> None:
    world = pair_world
    app = shop(world, "compared")
    v1, v2 = f"{app.name}-v1", f"{app.name}-v2"
    seen(world, app)
    for _ in range(40):
        send(app, Counter(), 5)

    def rows() -> dict[tuple[str, str], Any]:
        reply = answers(world.server.admin, f"/releases/{app.name}/compare")
        assert reply is not None
        return {(row["component"], row["rule"]): row for row in reply.json["rows"]}

    def told() -> Any:
        row = rows().get(("web", "default"))
        return row if row and row["first"]["requests"] + row["second"]["requests"] >= 400 else None

    row = wait_until(told, "all of it is compared", within=20)
    assert 0.3 < row["first"]["errors"] / row["first"]["requests"] < 0.7, "half of them were asked to fail"
    assert row["errorsRatio"]["least"] < 1 < row["errorsRatio"]["most"], "neither is worse"
    shares = {each["deployment"]: each for each in compare(world, app)["shares"]}
    assert (shares[v1]["set"], shares[v2]["set"]) == (0.6, 0.4)
    assert not any(each["unlikely"] for each in shares.values())


def compare(world: World, app: App) -> Any:
    printed = CliRunner().invoke(
        ctl, ["compare", app.name, "-o", "json", "--server", f"127.0.0.1:{world.server.admin}"]
    )
    assert printed.exit_code == 0, printed.output
    return json.loads(printed.stdout)


def test_a_proxy_that_is_named_when_it_is_started_is_known_by_its_stream(pair_world: World) -> None:
    world = pair_world
    app = shop(world, "named")
    bootstrap = world.server.bootstrap("edge", world.mode, free_ports(1)[0], "same")
    with ExitStack() as stack:
        for node in ("named-1", "named-2"):
            bootstrap["admin"]["address"]["socket_address"]["port_value"] = free_ports(1)[0]
            envoy = stack.enter_context(Envoy(world.version, bootstrap, world.directory, node))
            envoy.wait_ready()
        sent = seen(world, app)
        send(app, sent)

        counts_are(world.server, app.name, sent)


def test_latency_and_members_are_told(pair_world: World) -> None:
    world = pair_world
    app = world.app("slow-ones")
    v1 = app.deploy("v1", SHOP_V1)
    app.released(v1)
    before = seen(world, app)[v1, "web", "default", "2xx"]
    for _ in range(3):
        assert app.get(headers=[("x-test-delay", "0.35")]).status == 200

    def buckets() -> dict[str, float]:
        said = samples(world.server, "xds_request_duration_seconds_bucket")
        return {
            labels["le"]: value
            for labels, value in said
            if (labels["deployment"], labels["component"], labels["rule"]) == (v1, "web", "default")
        }

    wait_until(lambda: buckets().get("+Inf") == before + 3, "they are counted")
    assert buckets()["0.3"] <= before
    assert buckets()["0.5"] >= 3
    healthy = dict.fromkeys(SHOP_V1, 1.0)
    found = {
        labels["component"]: n
        for labels, n in samples(world.server, "xds_members_healthy")
        if labels["app"] == app.name
    }
    assert found == healthy


def test_calls_are_counted_by_their_grpc_status(pair_world: World, applications: Applications) -> None:
    app = pair_world.app("grpc-status")
    calls = begin(app, applications)
    v1 = f"{app.name}-v1"

    def statuses() -> dict[str, float]:
        said = samples(pair_world.server, "xds_grpc_calls_total")
        return {labels["status"]: value for labels, value in said if labels["deployment"] == v1}

    before = seen(pair_world, app)[v1, "web", "explicit", "2xx"]
    for _ in range(3):
        assert calls.unary(b"").code() is grpc.StatusCode.OK
    for _ in range(2):
        assert (
            calls.unary(b"", ("x-test-status", "13"), ("x-test-details-bin", b"no")).code() is grpc.StatusCode.INTERNAL
        )

    wait_until(
        lambda: counted(pair_world.server, app.name)[v1, "web", "explicit", "2xx"] == before + 5, "all are there"
    )
    wait_until(lambda: statuses().get("13") == 2, "those that failed are told from others")
    assert sum(statuses().values()) >= 5


@pytest.fixture(
    scope="module",
    params=[(Mode.DELTA, EnvoyVersion.CURRENT), (Mode.SOTW, EnvoyVersion.FLOOR)],
    ids=["current", "floor"],
)
def order(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    mode, version = request.param
    with mesh(mode, version, tmp_path_factory.mktemp("mesh")) as ready:
        ready.deploy("order-v1", V1)
        ready.deploy("order-v2", V2)
        ready.release(order_v1=50, order_v2=50)
        ready.serves("order-v1")
        ready.serves("order-v2")
        yield ready


def test_calls_are_counted_by_deployment_also_where_versions_share_instances(order: Mesh) -> None:
    """worker@w1 and ui@u1 are of both: whose call it was is known by its context."""

    wait_told(order.server)
    sent = counted(order.server, "order")
    for number in range(20):
        for deployment in ("order-v1", "order-v2"):
            if number % 2 and deployment == "order-v2":
                continue
            assert order.get("/worker/api", deployment).status == 200
            sent[deployment, "worker", "explicit", "2xx"] += 1
            sent[deployment, "api", "context", "2xx"] += 1
            assert order.get("/api/worker", deployment).status == 200
            sent[deployment, "ui", "explicit", "2xx"] += 1
            sent[deployment, "api", "context", "2xx"] += 1
            sent[deployment, "worker", "context", "2xx"] += 1

    counts_are(order.server, "order", sent)
