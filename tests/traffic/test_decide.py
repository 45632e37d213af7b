"""Each rule once, in words; that all of it is what Envoy does is for `e2e/test_explain.py` to show."""

from typing import Any

import pytest

from tests.records.folder import SHOP, Server, build, deployment, gateway, record, release
from xds_server.domain.names import Ref
from xds_server.traffic.decide import decide
from xds_server.traffic.decisions import Answer, Decision, Outcome
from xds_server.traffic.requests import read_request

EXPLICIT = {"header": "x-v", "query": "v", "host": "{deployment}.p.test"}
CANARY = [{"deployment": "v1", "weight": 90}, {"deployment": "v2", "weight": 10}]
ACME = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2"}
BETA = {"name": "beta", "match": {"headers": [{"name": "x-beta", "exact": "1"}]}, "deployment": "v2"}


def shop(explicit: Any = EXPLICIT, **spec: Any) -> Server:
    said = {"listeners": [{"name": "http", "port": 8080}], "explicit": explicit}
    files = {**SHOP, "edge.yaml": record("Gateway", "edge", said), "shop.yaml": release("shop", "shop.test", **spec)}
    server = Server(files)
    assert server.errors == []
    return server


def ask(server: Server, url: str, *lines: str, request_id: str | None = None) -> Decision:
    world = server.admission.world
    edge = world.gateways[Ref("default", "edge")]
    return decide(world, edge, edge.spec.listeners[0], read_request("GET", url, lines, request_id))


def only(decision: Decision) -> Outcome:
    [outcome] = decision.outcomes
    return outcome


def given(decision: Decision) -> tuple[str, str, str]:
    """Rule, deployment and reason of the only outcome."""
    outcome = only(decision)
    return outcome.rule, outcome.deployment, outcome.answer.reason if outcome.answer else ""


def reasons(decision: Decision) -> list[str]:
    return [f"{'+' if step.matched else '-'} {step.what}: {step.because}" for step in decision.steps]


def test_a_default_request_with_every_reason_on_the_way() -> None:
    decision = ask(shop(audiences=[BETA]), "http://shop.test:8080/cart")

    assert reasons(decision) == [
        "+ host shop.test: shop.test is a host of release shop, app shop",
        "- explicit: query parameter v and header x-v are absent or empty",
        "- audience beta: header x-beta is absent",
        "+ default: v1 has all of it",
    ]
    assert (decision.app, decision.release, decision.gateway, decision.address) == (
        "shop",
        "shop",
        "edge",
        "0.0.0.0:8080",
    )
    assert decision.arrives


def test_where_a_route_leads() -> None:
    outcome = only(ask(shop(), "http://shop.test/"))

    assert [(step.what, step.matched) for step in outcome.routes] == [("route web.0", True)]
    assert outcome.destination is not None
    assert (outcome.destination.route, outcome.destination.cluster) == ("default/v1/web.0", "v1/web")
    assert outcome.destination.build == "shop/web@b1"
    assert [each.address for each in outcome.destination.endpoints] == ["10.0.0.1:8080"]


def test_a_path_that_no_route_of_the_deployment_has_is_404_whatever_others_have() -> None:
    routed = {"web": {"build": "b1", "routes": [{"pathPrefix": "/a"}, {"path": "/b", "methods": ["POST"]}]}}
    server = shop()
    server.hears({"v3.yaml": deployment("v3", components=routed)})
    outcome = only(ask(server, "http://v3.p.test/b"))

    assert [(step.what, step.because) for step in outcome.routes] == [
        ("route web.1", "method is GET, not POST"),
        ("route web.0", "path /b is not under /a"),
    ]
    assert outcome.answer == Answer(404, "NoRoute", "no route of this deployment matches")
    assert (outcome.rule, outcome.deployment) == ("explicit", "v3")


def test_a_build_that_no_record_places_is_503() -> None:
    server = shop()
    server.hears({"v3.yaml": deployment("v3", "b9")})

    assert given(ask(server, "http://v3.p.test/")) == ("explicit", "v3", "NoHealthyEndpoint")


@pytest.mark.parametrize(
    ("url", "lines", "expected"),
    [
        ("http://shop.test/?v=v2", [], ("explicit", "v2", "")),
        ("http://shop.test/?%76=%762", [], ("explicit", "v2", "")),
        ("http://shop.test/?v=v2&v=v1", [], ("explicit", "v2", "")),
        ("http://shop.test/?v=v2", ["x-v: v1"], ("explicit", "v2", "")),
        ("http://shop.test/?v=", ["x-v: v2"], ("explicit", "v2", "")),
        ("http://shop.test/", ["x-v: v9"], ("explicit", "-", "DeploymentUnknown")),
        ("http://shop.test/", ["x-v: v1", "x-v: v2"], ("explicit", "-", "DeploymentUnknown")),
        ("http://shop.test/", ["x-v;", "x-v:"][1:], ("default", "v1", "")),
        ("http://v2.p.test/", [], ("explicit", "v2", "")),
        ("http://V2.P.TEST:99/", ["x-v: v1"], ("explicit", "v2", "")),
        ("http://v9.p.test/", [], ("explicit", "-", "DeploymentUnknown")),
        ("http://p.test/", [], ("-", "-", "HostUnknown")),
        ("http://other.test/", ["x-v: v1"], ("-", "-", "HostUnknown")),
    ],
)
def test_an_explicit_request(url: str, lines: list[str], expected: tuple[str, str, str]) -> None:
    assert given(ask(shop(), url, *lines)) == expected


def test_where_explicit_requests_are_denied() -> None:
    server = shop({**EXPLICIT, "access": "denied"})

    for url in ("http://shop.test/?v=v1", "http://v1.p.test/"):
        assert given(ask(server, url)) == ("explicit", "-", "ExplicitDenied")
    assert given(ask(server, "http://shop.test/")) == ("default", "v1", "")


def test_a_gateway_without_selectors_reads_none() -> None:
    decision = ask(shop(None), "http://shop.test/?v=v2", "x-v: v2")

    assert given(decision) == ("default", "v1", "")
    assert "- explicit: gateway edge reads no selector on a release's host" in reasons(decision)


def test_a_header_cannot_stand_for_a_selector_by_query() -> None:
    server = shop({"query": "v"})

    assert given(ask(server, "http://shop.test/", "x-xds-server-explicit: v2")) == ("default", "v1", "")
    assert given(ask(server, "http://shop.test/?v=v2")) == ("explicit", "v2", "")


def test_audiences_in_their_order() -> None:
    server = shop(audiences=[BETA, {**BETA, "name": "late", "deployment": "v1"}, ACME])

    assert given(ask(server, "http://shop.test/", "x-beta: 1")) == ("beta", "v2", "")
    assert given(ask(server, "http://acme.test/", "x-beta: 1")) == ("beta", "v2", "")
    assert given(ask(server, "http://acme.test/")) == ("acme", "v2", "")
    assert reasons(ask(server, "http://acme.test/"))[-1] == "+ audience acme: everyone on this host is in it"


def test_an_audience_that_is_not_here_is_missed_for_a_reason() -> None:
    ended = {**BETA, "name": "ended", "until": "2026-11-01"}
    decision = ask(shop(audiences=[ACME, ended, BETA]), "http://shop.test/", "x-beta: 1")

    assert reasons(decision)[2:] == [
        "- audience acme: it is for acme.test only",
        "- audience ended: it has ended: until 2026-11-01T23:59:59+00:00",
        "+ audience beta: header x-beta is '1'",
    ]


def test_an_audiences_host_has_no_default_and_ends_with_it() -> None:
    both = {**ACME, "match": BETA["match"]}

    assert given(ask(shop(audiences=[both]), "http://acme.test/")) == ("default", "-", "NoDefault")
    ended = shop(audiences=[{**ACME, "until": "2026-11-01"}, BETA])
    assert given(ask(ended, "http://acme.test/", "x-beta: 1")) == ("default", "-", "AudienceExpired")
    assert reasons(ask(ended, "http://acme.test/"))[-2] == (
        "- audience beta: this host was for an audience that has ended, and is for nobody else"
    )


def test_a_wildcard_has_what_no_exact_host_and_no_longer_wildcard_has() -> None:
    server = shop(audiences=[{**ACME, "hosts": ["*.test", "*.a.test", "b.a.test"]}])

    for host, domain in (("x.test", "*.test"), ("x.y.a.test", "*.a.test"), ("b.a.test", "b.a.test")):
        assert reasons(ask(server, f"http://{host}/"))[0].startswith(f"+ host {host}: {domain} is a host of"), host
    assert given(ask(server, "http://test/")) == ("-", "-", "HostUnknown")
    assert reasons(ask(server, "http://v2.p.test/"))[0].endswith("it is the own host of deployment v2, app shop")


def test_a_draw_is_a_distribution_until_the_request_id_is_known() -> None:
    server = shop(default=CANARY)

    outcomes = ask(server, "http://shop.test/").outcomes
    assert [(each.deployment, each.share) for each in outcomes] == [("v1", 90.0), ("v2", 10.0)]
    first = only(ask(server, "http://shop.test/", request_id="e665-"))
    second = only(ask(server, "http://shop.test/", request_id="e666-"))
    assert (first.deployment, first.slot, second.deployment, second.slot) == ("v1", 0xE665, "v2", 0xE666)


def user(slot: int) -> str:
    return f"{slot:04x}0000-1111-4222-8333-444455556666"


def test_a_users_cookie_decides_and_a_new_user_is_given_one() -> None:
    server = shop(default=CANARY, sticky={"cookie": "user"})

    known = only(ask(server, "http://shop.test/", f"cookie: a=b; user={user(0xFFFF)}"))
    assert (known.deployment, known.slot, known.sets_cookie, known.share) == ("v2", 0xFFFF, "", 100.0)
    assert {each.sets_cookie for each in ask(server, "http://shop.test/", "cookie: user=x").outcomes} == {"user"}
    assert only(ask(server, "http://shop.test/", request_id=user(0xFFFF))).sets_cookie == "user"


def test_a_users_header_decides_by_its_hash() -> None:
    server = shop(default=CANARY, sticky={"header": "x-user"})

    outcomes = [only(ask(server, "http://shop.test/", f"x-user: user-{number}")) for number in range(300)]
    assert all((each.slot or 0) < 58982 for each in outcomes if each.deployment == "v1")
    assert 10 <= sum(each.deployment == "v2" for each in outcomes) <= 60
    assert len(ask(server, "http://shop.test/", "x-user:").outcomes) == 2


def test_a_listener_without_its_certificate_is_closed() -> None:
    files = {"cert": {"certificate": "none.pem", "privateKey": "none.key"}}
    listeners = [{"name": "https", "port": 443, "tls": {"secret": "cert"}}]
    server = Server({**SHOP, "edge.yaml": record("Gateway", "edge", {"listeners": listeners, "secrets": files})})

    answer = only(ask(server, "https://shop.test/")).answer
    assert answer == Answer(0, "ListenerClosed", "listener https is closed: edge/cert was never good")


def test_what_is_no_valid_request_is_answered_before_its_host_is_looked_for() -> None:
    assert given(ask(shop(), "http://shop.test/", "host: shop test")) == ("-", "-", "BadRequest")


def test_equal_builds_of_several_records_are_one_set_of_endpoints() -> None:
    server = shop()
    server.hears({"more.yaml": build("web-1b", "b1", "10.0.0.1:8080", "10.0.0.0:8080")})
    destination = only(ask(server, "http://shop.test/")).destination

    assert destination is not None
    assert [each.address for each in destination.endpoints] == ["10.0.0.0:8080", "10.0.0.1:8080"]


def test_only_the_releases_of_the_gateway_are_there() -> None:
    server = shop()
    server.hears({"inner.yaml": gateway("inner")})
    world = server.admission.world
    inner = world.gateways[Ref("default", "inner")]
    request = read_request("GET", "http://shop.test/", ())

    assert given(decide(world, inner, inner.spec.listeners[0], request)) == ("-", "-", "HostUnknown")
