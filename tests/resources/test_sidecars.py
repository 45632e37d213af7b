"""What the Envoy beside a build is told, read by a model of Envoy: it agrees with what is decided of each call."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from immutables import Map

from tests.records import order
from tests.records.folder import Content, Server, record
from tests.records.order import V1, V2, V3, build_of, order_release, placed, server, version
from tests.resources.lua import Filter
from tests.resources.matching import Json, routes_for
from xds_server.domain.names import Ref
from xds_server.domain.sidecars import Ports, Sidecar
from xds_server.messages.codec import to_json
from xds_server.records.world import AppWorld
from xds_server.resources.apps import app_parts
from xds_server.resources.selectors import READS
from xds_server.resources.sidecars import SidecarParts, sidecar_parts
from xds_server.snapshot import TypeUrl
from xds_server.traffic.calling import decide_call
from xds_server.traffic.decisions import Outcome
from xds_server.traffic.requests import Request

PORTS = Ports(application=8080)
CONTEXT_IN_HEADER = Filter(READS)


def parts(of: Server | AppWorld, build: str, ports: Ports = PORTS) -> SidecarParts:
    world = of if isinstance(of, AppWorld) else of.admission.world.app(order.ORDER)
    beside = build_of(build)
    return sidecar_parts(app_parts(world, None, [beside]), Sidecar(beside, ports))


def hosts(of: Server | AppWorld, build: str, direction: str) -> dict[str, Json]:
    """The virtual hosts of a listener's routes, by domain."""
    resource = parts(of, build).resources[TypeUrl.ROUTES][f"order/{build}/{direction}"]
    said = to_json(TypeUrl.ROUTES, resource.body)
    assert said["ignore_port_in_host_matching"]
    return {domain: each for each in said["virtual_hosts"] for domain in each["domains"]}


def first(host: Json, path: str = "/", **headers: str) -> str:
    """The name of the route that a request gets."""
    name: str = _routes(host, path, {name.replace("_", "-"): value for name, value in headers.items()})[0]["name"]
    return name


def _routes(host: Json, path: str, headers: Mapping[str, str]) -> list[Json]:
    return routes_for(host, {":path": path, "x-request-id": SLOT_0, **headers})


SLOT_0 = "00000000-1111-4222-8333-444455556666"
SLOT_LAST = "ffff0000-1111-4222-8333-444455556666"


# --- outbound: the model of Envoy and the decision agree, whatever is deployed and whatever is asked

VERSIONS = {"v1": V1, "v2": V2, "v3": V3}
BUILDS = sorted({f"{component}@{hash_}" for of in VERSIONS.values() for component, hash_ in of.items()})
COMPONENTS = ["worker", "api", "ui", "review"]
SETTINGS = st.sampled_from([None, "released", "refuse", {"release": "order"}, {"release": "gone"}])


@st.composite
def worlds(draw: st.DrawFn) -> Server:
    names = draw(st.sets(st.sampled_from(sorted(VERSIONS)), min_size=1))
    edits: dict[str, Content] = dict.fromkeys(set(VERSIONS) - names)
    for name in names:
        declared = draw(st.dictionaries(st.sampled_from(sorted(VERSIONS[name])), st.sets(st.sampled_from(COMPONENTS))))
        known = {caller: sorted(called & VERSIONS[name].keys()) for caller, called in declared.items()}
        edits[name] = version(name, VERSIONS[name], **known)
    releases = draw(st.integers(0, 2))
    for release in ("release", "two")[:releases]:
        low, *high = draw(st.lists(st.sampled_from(sorted(names)), min_size=1, max_size=2, unique=True))
        edits[release] = order_release(release, **{low: 100 - 25 * len(high)}, **dict.fromkeys(high, 25))
    if not releases:
        edits["release"] = None
    said = draw(SETTINGS)
    return server(**edits, **({} if said is None else {"app": order.settings(said)}))


HOSTS = st.sampled_from([*COMPONENTS, "api.order", "api.", "api.order.", "nobody", "api.shop", "api.."])
CONTEXTS = st.sampled_from(["v1", "v2", "v3", "v9", "", "v1, v1", " , v2"])
CARRIED = st.lists(
    st.tuples(st.just("x-deployment"), CONTEXTS)
    | st.tuples(st.just("baggage"), CONTEXTS.map("a=b, xds.deployment={} ;p=1".format))
    | st.just(("baggage", "a=b")),
    max_size=3,
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(worlds(), st.sampled_from(BUILDS), HOSTS, CARRIED, st.sampled_from([SLOT_0, SLOT_LAST]))
@example(server(), "worker@w1", "api", [("baggage", "xds.deployment=v2")], SLOT_0)
@example(server(), "api@a2", "worker", [], SLOT_0)
def test_what_envoy_does_with_a_call_is_what_is_decided(
    of: Server, build: str, host: str, carried: list[tuple[str, str]], request_id: str
) -> None:
    domains = hosts(of, build, "outbound")
    arrives = CONTEXT_IN_HEADER.request("", *carried)
    headers = {name: ",".join(arrives.of(name)) for name, _ in arrives.lines}
    [route, *_] = _routes(domains.get(host, domains["*"]), "/", {**headers, "x-request-id": request_id})

    request = Request("GET", "http", host, "/", tuple(carried), request_id)
    [outcome] = decide_call(of.admission.world, build_of(build), request).outcomes
    assert route["name"] == name_of(outcome)
    assert route.get("direct_response", {}).get("status") == refused_with(outcome)
    if outcome.destination is not None:
        assert route["route"]["cluster"] == outcome.destination.cluster
        assert outcome.destination.cluster in parts(of, build).resources[TypeUrl.CLUSTER]


def name_of(outcome: Outcome) -> str:
    """As the route is called."""
    if outcome.destination is not None:
        return outcome.destination.route
    assert outcome.answer is not None
    return f"{outcome.rule}/{outcome.deployment}/{outcome.answer.reason}"


def refused_with(outcome: Outcome) -> int | None:
    return None if outcome.answer is None or outcome.destination is not None else outcome.answer.status


def test_every_component_has_its_names_and_what_is_none_is_answered() -> None:
    found = hosts(server(), "worker@w1", "outbound")

    named = {*COMPONENTS, *(f"{each}.order" for each in COMPONENTS)}
    assert set(found) == {"*", *named, *(f"{each}." for each in named)}
    assert first(found["*"], x_deployment="v1") == "-/-/ComponentUnknown"


def test_calls_are_counted_under_their_rule_where_they_begin_and_not_again_where_they_arrive() -> None:
    api = hosts(server(), "worker@w1", "outbound")["api"]
    [without] = _routes(api, "/", {})
    [within] = _routes(api, "/", {"x-deployment": "v1"})

    assert (without["name"], without["stat_prefix"]) == ("no-context/v1/api.0", "no-context/v1/api")
    assert (within["name"], within["stat_prefix"]) == ("context/v1/api.0", "context/v1/api")
    [arrives] = _routes(hosts(server(), "api@a1", "inbound")["*"], "/", {"x-deployment": "v1"})
    assert "stat_prefix" not in arrives


def test_refusals_say_why_in_json() -> None:
    [route] = _routes(hosts(server(), "worker@w1", "outbound")["review"], "/", {"x-deployment": "v2"})

    assert route["direct_response"]["status"] == 502
    assert '"reason": "ComponentAbsent"' in route["direct_response"]["body"]["inline_string"]


def test_a_sidecar_has_the_clusters_that_its_build_may_call_and_its_own_application() -> None:
    declared = {"v1": version("v1", V1, worker=[]), "v2": version("v2", V2, worker=["api"]), "v3": None}
    found = parts(server(**declared), "worker@w1").resources[TypeUrl.CLUSTER]

    assert set(found) == {"v2/api", "order/worker@w1/application"}


def test_a_collector_of_its_app_is_a_cluster_of_its_own() -> None:
    logging = record("App", "order", {"accessLog": {"otlp": "otel.internal:4317"}})
    found = parts(server(app=logging), "worker@w1").resources

    assert "access-log" in found[TypeUrl.CLUSTER]
    assert "access-log" not in parts(server(), "worker@w1").resources[TypeUrl.CLUSTER]


def test_grpc_has_no_usual_timeout_and_its_application_speaks_http2() -> None:
    of = server(**{"api-a1": placed("api", "a1", protocol="grpc")})
    [called] = _routes(hosts(of, "worker@w1", "outbound")["api"], "/", {"x-deployment": "v1"})
    own = parts(of, "api@a1").resources[TypeUrl.CLUSTER]["order/api@a1/application"]

    assert called["route"]["timeout"] == "0s"
    [spoken] = to_json(TypeUrl.CLUSTER, own.body)["typed_extension_protocol_options"].values()
    assert "http2_protocol_options" in spoken["explicit_http_config"]


# --- inbound


def test_nobody_reaches_a_build_in_a_deployment_that_does_not_contain_it() -> None:
    own = hosts(server(), "api@a2", "inbound")["*"]

    assert first(own, x_deployment="v2") == "context/v2/api.0"
    assert first(own, x_deployment="v1") == "context/-/ContextUnknown"


@pytest.mark.parametrize("build", ["worker@w1", "review@r1"], ids=["shared", "in-no-other"])
def test_a_deployment_that_goes_is_given_no_call_and_is_still_taken(build: str) -> None:
    """In v3 alone is the review, which speaks gRPC."""
    grpc = {"review-r1": placed("review", "r1", "10.0.0.9:8080", protocol="grpc")}
    world = server(**grpc).admission.world.app(order.ORDER)
    v3 = Ref("default", "v3")
    goes = replace(world, deployments=world.deployments.delete(v3), inbound=Map({v3: world.deployments[v3]}))
    component = build.partition("@")[0]

    assert first(hosts(goes, build, "inbound")["*"], x_deployment="v3") == f"context/v3/{component}.0"
    outbound = hosts(goes, build, "outbound")
    found = outbound["ui"] if "ui" in outbound else outbound["*"]
    assert first(found, x_deployment="v3").endswith("Unknown")
    before, after = (parts(each, build).resources[TypeUrl.CLUSTER] for each in (world, goes))
    assert "v3/ui" in before
    assert "v3/ui" not in after
    assert after[f"order/{build}/application"] == before[f"order/{build}/application"]


def test_of_a_deployment_that_changes_builds_call_what_they_are_in_and_are_taken_for() -> None:
    """v3 had api a1, has api a2."""
    world = server().admission.world.app(order.ORDER)
    v1, v3 = (Ref("default", name) for name in ("v1", "v3"))
    former = world.deployments[v1].model_copy(update={"metadata": world.deployments[v3].metadata})
    changed = replace(world, deployments=world.deployments.delete(v1), inbound=Map({v3: former}))

    for build, api in (("api@a1", "a1"), ("ui@u1", "a1"), ("worker@w1", "a2"), ("ui@u2", "a2")):
        component = build.partition("@")[0]
        assert first(hosts(changed, build, "inbound")["*"], x_deployment="v3") == f"context/v3/{component}.0"
        assert first(hosts(changed, build, "outbound")["api"], x_deployment="v3") == "context/v3/api.0"
        called = parts(changed, build).resources[TypeUrl.CLUSTER]["v3/api"]
        assert called.needs == (f"order/api@{api}",)


@pytest.mark.parametrize(
    ("build", "said", "expected"),
    [
        ("worker@w1", "released", "no-context/v1/worker.0"),
        ("worker@w1", "refuse", "no-context/-/NoContext"),
        ("api@a2", "released", "no-context/v2/api.0"),
        ("ui@u2", "refuse", "owner/v3/ui.0"),
    ],
)
def test_who_comes_without_a_context_gets_what_a_call_does(build: str, said: str, expected: str) -> None:
    assert first(hosts(server(app=order.settings(said)), build, "inbound")["*"]) == expected


def test_whoever_it_comes_from_a_request_goes_to_the_application_beside_it() -> None:
    own = hosts(server(), "api@a2", "inbound")["*"]
    [route] = _routes(own, "/", {"x-deployment": "v2"})
    cluster = to_json(
        TypeUrl.CLUSTER, parts(server(), "api@a2").resources[TypeUrl.CLUSTER][route["route"]["cluster"]].body
    )
    [place] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]

    assert route["route"]["timeout"] == route["route"]["idle_timeout"] == "0s", "the caller's timeouts hold"
    assert place["endpoint"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8080}


def test_how_much_an_application_is_asked_at_once_is_limited_by_its_callers_alone() -> None:
    own = parts(server(), "api@a2").resources[TypeUrl.CLUSTER]["order/api@a2/application"]
    [limits] = to_json(TypeUrl.CLUSTER, own.body)["circuit_breakers"]["thresholds"]

    assert limits == dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), 4_294_967_295
    )


def test_it_is_not_the_application_who_closes_a_kept_connection_just_as_a_request_comes() -> None:
    own = hosts(server(), "api@a2", "inbound")["*"]
    [route] = _routes(own, "/", {"x-deployment": "v2"})
    cluster = parts(server(), "api@a2").resources[TypeUrl.CLUSTER][route["route"]["cluster"]]
    [spoken] = to_json(TypeUrl.CLUSTER, cluster.body)["typed_extension_protocol_options"].values()

    assert spoken["common_http_protocol_options"] == {"idle_timeout": "4s"}
    assert "http_protocol_options" in spoken["explicit_http_config"]


def test_an_application_that_is_slow_to_accept_is_waited_for_like_any_instance() -> None:
    """Its queue of connections may be short: of a burst, many come through with the kernel's second try, after 1 s."""
    found = parts(server(), "api@a2").resources[TypeUrl.CLUSTER]
    own, *others = (
        to_json(TypeUrl.CLUSTER, found[name].body)["connect_timeout"]
        for name in sorted(found, key=lambda name: not name.endswith("/application"))
    )

    assert others
    assert {own} == set(others) == {"5s"}


def test_what_is_tried_again_is_decided_by_callers_alone() -> None:
    """A sidecar that tried would keep a request's body, and a longer one than it may keep would be lost."""
    [route] = _routes(hosts(server(), "api@a2", "inbound")["*"], "/", {"x-deployment": "v2"})

    assert "retry_policy" not in route["route"]


PROBED = {"probes": ["/metrics", "/live"], "healthCheck": {"path": "/health.z"}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/health.z", "probe/-/api.0"),
        ("/metrics?name=a", "probe/-/api.0"),
        ("/live", "probe/-/api.0"),
        ("/healthyz", "no-context/-/NoContext"),
        ("/metrics/more", "no-context/-/NoContext"),
        ("/", "no-context/-/NoContext"),
    ],
)
def test_health_checks_and_scrapes_need_no_context(path: str, expected: str) -> None:
    of = server(app=order.settings("refuse"), **{"api-a2": placed("api", "a2", **PROBED)})

    assert first(hosts(of, "api@a2", "inbound")["*"], path) == expected


def test_a_health_check_of_grpc_needs_none_either() -> None:
    said = {"protocol": "grpc", "healthCheck": {"service": "api"}}
    of = server(app=order.settings("refuse"), **{"api-a2": placed("api", "a2", **said)})

    assert parts(of, "api@a2").probes == ("/grpc.health.v1.Health/Check",)


def test_a_probe_that_names_a_deployment_is_told_whether_it_is_there() -> None:
    of = server(**{"api-a2": placed("api", "a2", **PROBED)})

    assert first(hosts(of, "api@a2", "inbound")["*"], "/live", x_deployment="v1") == "context/-/ContextUnknown"


def test_callers_may_switch_to_what_any_deployment_allows() -> None:
    upgrading = version("v2", V2).replace('"build": "a2"', '"build": "a2", "policy": {"upgrades": ["tunnel"]}')
    [route] = _routes(hosts(server(v2=upgrading), "api@a2", "inbound")["*"], "/", {"x-deployment": "v3"})

    assert [each["upgrade_type"] for each in route["route"]["upgrade_configs"]] == ["tunnel"]


# --- both


def test_callers_alone_are_told_that_nobody_could_connect() -> None:
    """Each takes it off what comes from behind it, so that no application and no client says or hears it."""
    found = parts(server(), "api@a2").resources
    told = {}
    for name, resource in found[TypeUrl.LISTENER].items():
        [chain] = to_json(TypeUrl.LISTENER, resource.body)["filter_chains"]
        [network] = chain["filters"]
        mappers = network["typed_config"]["local_reply_config"]["mappers"]
        told[name] = [each["filter"] for each in mappers if "headers_to_add" in each]
    taken = {
        to_json(TypeUrl.ROUTES, each.body)["response_headers_to_remove"][0] for each in found[TypeUrl.ROUTES].values()
    }

    not_connected = {"response_flag_filter": {"flags": ["UF"]}}
    assert told == {"order/api@a2/outbound": [], "order/api@a2/inbound": [not_connected]}
    assert taken == {"x-not-delivered"}


def test_without_an_application_nothing_is_inbound() -> None:
    found = parts(server(), "worker@w1", Ports()).resources

    assert set(found[TypeUrl.ROUTES]) == set(found[TypeUrl.LISTENER]) == {"order/worker@w1/outbound"}
    assert not any(each.endswith("/application") for each in found[TypeUrl.CLUSTER])


def test_a_build_that_no_deployment_contains_is_told_that_it_calls_nobody() -> None:
    of = server(**{"api-a9": placed("api", "a9")})
    outbound, inbound = (hosts(of, "api@a9", each) for each in ("outbound", "inbound"))

    assert set(outbound) == set(inbound) == {"*"}
    assert first(outbound["*"]) == "-/-/BuildUnknown"
    assert first(inbound["*"], x_deployment="v1") == "context/-/ContextUnknown"
    assert first(inbound["*"]) == "no-context/-/BuildUnknown"


def test_an_instance_is_asked_for_its_health_before_any_deployment_contains_its_build() -> None:
    """It may have to be well before it is deployed."""
    said = {"protocol": "grpc", "healthCheck": {"service": "api"}, "probes": ["/live"]}
    of = server(**{"api-a9": placed("api", "a9", **said)})
    own = parts(of, "api@a9").resources[TypeUrl.CLUSTER]["order/api@a9/application"]

    assert first(hosts(of, "api@a9", "inbound")["*"], "/live") == "probe/-/api.0"
    assert first(hosts(of, "api@a9", "inbound")["*"], "/grpc.health.v1.Health/Check") == "probe/-/api.0"
    [spoken] = to_json(TypeUrl.CLUSTER, own.body)["typed_extension_protocol_options"].values()
    assert "http2_protocol_options" in spoken["explicit_http_config"]
