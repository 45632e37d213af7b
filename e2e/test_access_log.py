"""What a gateway says about each request: as lines of JSON by default, and to a collector where there is one."""

import json
from typing import Any

import pytest

from e2e.support.client import Client
from e2e.support.collector import collector
from e2e.support.envoy import Envoy
from e2e.support.gateways import add_gateway
from e2e.support.processes import wait_until
from e2e.support.world import V1, V2, App, World, explicit_host

pytestmark = pytest.mark.e2e

ABSENT = (None, "", "-")
SECRETS = [("cookie", "session=hunter2"), ("authorization", "Bearer hunter2")]


def released(world: World) -> App:
    app = world.app("logged")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    header = {"headers": [{"name": "x-early", "exact": "true"}]}
    app.released(v1, gateways=["edge", "logging"], audiences=[{"name": "early", "match": header, "deployment": v2}])
    return app


def lines(envoy: Envoy) -> list[dict[str, Any]]:
    return [json.loads(line) for line in envoy.child.log.read_text().splitlines() if line.startswith("{")]


def of_agent(records: list[dict[str, Any]], agent: str) -> dict[str, Any]:
    return next((each for each in records if each.get("user_agent") == agent), {})


def test_each_request_is_logged_with_its_rule_release_and_build(world: World) -> None:
    with collector() as (collected, otlp):
        port = add_gateway(world, "logging", accessLog={"otlp": f"127.0.0.1:{otlp}"})
        shop = released(world)
        with world.another_envoy("logging-1", "logging") as envoy, Client(port) as client:
            ask(client, shop)
            wait_until(lambda: of_agent(lines(envoy), "nobody"), "all requests are printed")
            wait_until(lambda: of_agent(collected.records, "nobody"), "all requests are collected")
            for records in (lines(envoy), collected.records):
                check(shop, {name: of_agent(records, name) for name in ("default", "early", "explicit", "nobody")})
            assert collected.records[0]["service.name"] == "logging"
            assert collected.records[0]["body"] == "GET /cart/a 200"
            assert envoy.stat("listener_manager.lds.update_rejected") == 0


def ask(client: Client, shop: App) -> None:
    def get(agent: str, host: str, *headers: tuple[str, str]) -> None:
        client.get(host, "/cart/a?token=hunter2", [("user-agent", agent), *SECRETS, *headers])

    get("default", shop.host)
    get("early", shop.host, ("x-early", "true"))
    get("explicit", explicit_host("logged-v2"))
    get("nobody", "nobody.example.com", ("x-deployment", "forged"))


def check(shop: App, found: dict[str, dict[str, Any]]) -> None:
    check_default(shop, found["default"])
    assert (found["early"]["rule"], found["early"]["deployment"]) == ("early", "logged-v2")
    assert (found["explicit"]["rule"], found["explicit"]["build"]) == ("explicit", "b1")
    assert found["explicit"].get("release") in ABSENT
    assert found["nobody"].get("route") in (*ABSENT, "-/-/HostUnknown"), "on demand there is no route that says it"
    assert str(found["nobody"]["status"]) == "404", "attributes of OTLP are texts"
    assert found["nobody"].get("deployment") in ABSENT
    assert "hunter2" not in json.dumps(found)


def check_default(shop: App, said: dict[str, Any]) -> None:
    expected = {
        "gateway": "logging",
        "listener": "logging/http",
        "method": "GET",
        "path": "/cart/a",
        "authority": shop.host,
        "protocol": "HTTP/1.1",
        "status": 200,
        "details": "via_upstream",
        "rule": "default",
        "deployment": "logged-v1",
        "release": "logged",
        "app": "logged",
        "component": "cart",
        "build": "b1",
        "route": "default/logged-v1/cart.0",
        "cluster": "logged-v1/cart",
        "client": "127.0.0.1",
        "attempts": 1,
    }
    assert {name: str(said[name]) for name in expected} == {name: str(value) for name, value in expected.items()}
    assert {
        "start_time",
        "request_id",
        "upstream",
        "bytes_sent",
        "duration_ms",
        "first_byte_ms",
        "upstream_ms",
    } <= said.keys()
