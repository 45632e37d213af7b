"""The deployment first, then its routes: what a request is tried against, by the rules of a model of Envoy."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.folder import SHOP, Server, record, release
from tests.resources.matching import Json, matchers, route_lists, routes_for
from xds_server.messages.codec import to_json
from xds_server.messages.wire import Entry, delta_discovery_response
from xds_server.pipeline import compile_world
from xds_server.snapshot import Delivery, TypeUrl

CASES = Path(__file__).parents[1] / "cases"
LISTENER = {"listeners": [{"name": "http", "port": 8080}]}
EXPLICIT = {"header": "x-v", "host": "{deployment}.p.test"}
BETA = {"name": "beta", "match": {"headers": [{"name": "x-beta", "exact": "1"}]}, "deployment": "v2"}
ACME = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2"}


def virtual_hosts(server: Server) -> dict[str, Json]:
    """By domain."""
    found: dict[str, Json] = {}
    for parts in compile_world(server.admission.world).gateways.values():
        for resource in parts.snapshot.of(TypeUrl.ROUTES).values():
            said = to_json(TypeUrl.ROUTES, resource.body)
            found |= {domain: each for each in said["virtual_hosts"] for domain in each["domains"]}
    return found


def shop(gateway: dict[str, Any] | None = None, **spec: Any) -> dict[str, Json]:
    said = {**LISTENER, **({"explicit": EXPLICIT} if gateway is None else gateway)}
    server = Server(
        {**SHOP, "edge.yaml": record("Gateway", "edge", said), "shop.yaml": release("shop", "shop.test", **spec)}
    )
    assert server.errors == []
    return virtual_hosts(server)


def first(host: Json, **request: str) -> str:
    """The name of the first route that the request is tried against."""
    name: str = tried(host, **request)[0]["name"]
    return name


def tried(host: Json, **request: str) -> list[Json]:
    return routes_for(host, {name.replace("_", "-"): value for name, value in request.items()})


def test_every_deployment_is_named_and_what_is_none_gets_nobodys_routes() -> None:
    host = shop()["shop.test"]

    assert first(host) == "default/v1/web.0"
    assert first(host, x_v="v2") == "explicit/v2/web.0"
    assert first(host, x_v="v9") == "explicit/-/DeploymentUnknown"
    assert first(host, x_v="v1,v2") == "explicit/-/DeploymentUnknown"


def test_a_deployments_own_host() -> None:
    hosts = shop()

    assert first(hosts["v2.p.test"]) == "explicit/v2/web.0"
    assert first(hosts["*.p.test"]) == "explicit/-/DeploymentUnknown"
    assert first(hosts["*"]) == "-/-/HostUnknown"


def test_where_explicit_requests_are_denied_they_are_refused_and_nothing_is_deployed() -> None:
    hosts = shop({"explicit": {**EXPLICIT, "access": "denied"}})

    assert first(hosts["shop.test"], x_v="v2") == "explicit/-/ExplicitDenied"
    assert first(hosts["*.p.test"]) == "explicit/-/ExplicitDenied"
    assert first(hosts["shop.test"]) == "default/v1/web.0"
    assert "v2.p.test" not in hosts


def test_where_no_selector_is_named_none_is_read() -> None:
    hosts = shop({})

    assert first(hosts["shop.test"], x_v="v2") == "default/v1/web.0"
    assert set(hosts) == {"shop.test", "*"}


def test_audiences_in_their_order_after_explicit_requests() -> None:
    everyone = {"name": "everyone", "match": {"headers": [{"name": "x-beta", "present": True}]}, "deployment": "v1"}
    host = shop(audiences=[BETA, everyone])["shop.test"]

    assert first(host, x_beta="1") == "beta/v2/web.0"
    assert first(host, x_beta="2") == "everyone/v1/web.0"
    assert first(host, x_beta="1", x_v="v1") == "explicit/v1/web.0"
    assert first(host) == "default/v1/web.0"


def test_an_audience_only_host_has_no_default() -> None:
    both = {**ACME, "name": "both", "hosts": ["both.test"], "match": BETA["match"]}
    hosts = shop(audiences=[both, ACME])

    assert first(hosts["acme.test"]) == "acme/v2/web.0"
    assert first(hosts["both.test"], x_beta="1") == "both/v2/web.0"
    assert first(hosts["both.test"]) == "default/-/NoDefault"
    assert first(hosts["shop.test"]) == "default/v1/web.0"


def test_a_host_whose_audience_has_ended_is_never_the_defaults() -> None:
    hosts = shop(audiences=[{**ACME, "until": "2026-11-01"}, BETA])

    assert first(hosts["acme.test"]) == "default/-/AudienceExpired"
    assert first(hosts["acme.test"], x_beta="1") == "default/-/AudienceExpired"
    assert first(hosts["acme.test"], x_v="v2") == "explicit/v2/web.0"
    assert first(hosts["shop.test"], x_beta="1") == "beta/v2/web.0"


CANARY = [{"deployment": "v1", "weight": 90}, {"deployment": "v2", "weight": 10}]


def uuid(slot: int) -> str:
    return f"{slot:04x}0000-1111-4222-8333-444455556666"


def test_a_draw_per_request_gives_each_deployment_its_share() -> None:
    host = shop(default=CANARY)["shop.test"]

    drawn = Counter(first(host, x_request_id=uuid(slot)) for slot in range(0, 1 << 16, 8))
    assert drawn == {"default/v1/web.0": 7373, "default/v2/web.0": 819}


@given(slot=st.integers(0, 0xFFFF), drawn=st.integers(0, 0xFFFF), before=st.sampled_from(["", "a=b; ", "a=b,"]))
def test_a_cookies_user_gets_what_their_first_answer_came_from(slot: int, drawn: int, before: str) -> None:
    """The cookie of the first answer is its request id, so both decide by the same slot."""
    new = first(STICKY, x_request_id=uuid(slot))
    known = first(STICKY, x_request_id=uuid(drawn), cookie=f"{before}user={uuid(slot)}")

    assert new == known
    assert new == ("default/v1/web.0" if slot < 58982 else "default/v2/web.0")


STICKY = shop(default=CANARY, sticky={"cookie": "user"})["shop.test"]


def test_a_cookie_is_set_only_where_it_was_absent() -> None:
    [new] = tried(STICKY, x_request_id=uuid(1))
    [known] = tried(STICKY, x_request_id=uuid(1), cookie=f"user={uuid(1)}")

    line = "user=%REQ(x-request-id)%; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
    [added] = new["response_headers_to_add"]
    assert added == {"header": {"key": "set-cookie", "value": line}}
    assert "response_headers_to_add" not in known


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_nothing_falls_through_and_every_list_ends_with_an_answer(case: Path) -> None:
    """A nested matcher that finds nothing would fall to the next rule; a list without an end has no reason."""
    server = Server({file.name: file.read_text("utf-8") for file in case.iterdir()})
    hosts = virtual_hosts(server)

    assert hosts
    for host in hosts.values():
        assert all("on_no_match" in each for each in matchers(host))
        for routes in route_lists(host):
            assert routes[-1]["match"] == {"prefix": "/"}
            assert "route" in routes[-1] or routes[-1]["direct_response"]["status"] in (403, 404)
            assert all("direct_response" not in route for route in routes[:-1])
            assert len({route["name"].split("/")[1] for route in routes}) == 1, "one deployment's routes only"


def sized(deployments: int, apps: int = 1) -> dict[str, int]:
    """How many bytes a proxy is sent of each virtual host of a release as an operator would write it."""
    files = {"edge.yaml": record("Gateway", "edge", {**LISTENER, "explicit": {**PREVIEW, "query": "deployment"}})}
    for app in ("shop", *(f"other{number}" for number in range(1, apps))):
        for number in range(1, deployments + 1):
            built = {
                "app": app,
                "component": "web",
                "build": f"9f1c2d7{number}",
                "endpoints": {"addresses": ["10.0.0.4:80"]},
            }
            files[f"{app}-web-{number}.yaml"] = record("Build", f"{app}-web-{number}", built)
            web = {"build": f"9f1c2d7{number}", "routes": [{"pathPrefix": "/"}], "calls": ["cart"], "policy": POLICY}
            spec = {"app": app, "version": f"v{number}", "components": {"web": web, "cart": {"build": "77aa01bc"}}}
            files[f"{app}-v{number}.yaml"] = record("AppDeployment", f"{app}-v{number}", spec)
        files[f"{app}.yaml"] = record("Release", app, written_release(app))
    server = Server(files)
    assert server.errors == []
    [parts] = compile_world(server.admission.world).gateways.values()
    hosts = parts.snapshots[Delivery.ON_DEMAND].of(TypeUrl.VIRTUAL_HOST)
    return {
        name.rpartition("/")[2]: len(delta_discovery_response(TypeUrl.VIRTUAL_HOST, NONCE, [entry], []))
        for name, each in hosts.items()
        for entry in [Entry(name, each.version, each.body, (name,))]
    }


def written_release(app: str) -> dict[str, Any]:
    v1, v2 = f"{app}-v1", f"{app}-v2"
    early = {"headers": [{"name": "x-early-adopter", "exact": "true"}]}
    return {
        "app": app,
        "gateways": ["edge"],
        "hosts": [f"{app}.example.com"],
        "default": [{"deployment": v1, "weight": 95}, {"deployment": v2, "weight": 5}],
        "sticky": {"cookie": "shop-user", "maxAge": "365d"},
        "audiences": [
            {"name": "acme-uat", "hosts": [f"acme.{app}.example.com"], "deployment": v2, "until": "2027-01-31"},
            {"name": "early-adopters", "match": early, "deployment": v2},
        ],
    }


PREVIEW = {"host": "{deployment}.preview.example.com", "header": "x-explicit-deployment"}
POLICY = {
    "timeout": "15s",
    "retries": {"attempts": 2, "on": ["connect-failure", "5xx"]},
    "outlier": {"consecutive5xx": 5},
    "circuitBreaker": {"maxRequests": 1024},
    "loadBalancer": "round_robin",
}
NONCE = "1" * 8


def test_a_flip_is_small_however_much_else_there_is() -> None:
    sizes = sized(deployments=2)

    assert sizes["shop.example.com"] <= 4096
    assert sizes["acme.shop.example.com"] <= 2048
    assert sized(deployments=2, apps=3).items() >= sizes.items(), "nothing for other apps"


def test_a_further_deployment_adds_little() -> None:
    two, nine = sized(deployments=2), sized(deployments=9)

    for host in ("shop.example.com", "acme.shop.example.com"):
        assert (nine[host] - two[host]) / 7 <= 512
