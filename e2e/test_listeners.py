"""What an edge takes from its clients, and what it makes of it, on real Envoys."""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.support import records
from e2e.support.client import Client, Reply, echo
from e2e.support.envoy import Envoy
from e2e.support.gateways import add_gateway, running, wait_served
from e2e.support.load import Load, Shot, lost
from e2e.support.processes import free_ports, wait_until
from e2e.support.world import V1, App, World

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(world: World) -> App:
    app = world.app("edges")
    app.released(app.deploy("v1", V1))
    return app


@pytest.fixture(scope="module")
def behind(world: World, shop: App) -> Iterator[Client]:
    """The client of a gateway that says otherwise than the defaults."""
    http = {"trustedHops": 1, "underscores": "drop", "headersKb": 8}
    with running(world, "behind", http=http) as client:
        yield client


def explicit(client: Client, shop: App, path: str = "/", *headers: tuple[str, str]) -> Reply:
    return client.get(f"{shop.name}-v1.preview.example.com", path, headers)


@pytest.mark.parametrize(
    ("path", "component", "arrives"),
    [
        ("/cart", "cart", "/cart"),
        ("//cart", "cart", "/cart"),
        ("/./cart", "cart", "/cart"),
        ("/x/../cart", "cart", "/cart"),
        ("/x/%2e%2e/cart", "cart", "/cart"),
        ("/x/%2E./cart//a", "cart", "/cart/a"),
        ("/%63art", "cart", "/cart"),
        ("/cart/..", "web", "/"),
        ("/cart/%c3%a9%20%3f", "cart", "/cart/%c3%a9%20%3f"),
        ("/a?b=//c/../d", "web", "/a?b=//c/../d"),
        ("/x/..//cart?explicit-deployment=edges-v1&a=%2e%2F", "cart", "/cart?a=%2e%2F"),
        ("/../../cart", "cart", "/cart"),
    ],
)
def test_a_request_is_routed_by_its_normal_path_and_arrives_with_it(
    shop: App, path: str, component: str, arrives: str
) -> None:
    said = echo(shop.get(path).body)

    assert (said.instance, said.path) == (shop.instance(component, V1[component]), arrives)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/x%2Fcart?a=%2F", "/x/cart?a=%2F"),
        ("/cart%2f..%2Fadmin", "/admin"),
        ("/x%5Ccart", "/x/cart"),
    ],
)
def test_an_escaped_slash_is_sent_back_so_that_nobody_reads_it_in_two_ways(shop: App, path: str, location: str) -> None:
    reply = shop.get(path)

    assert (reply.status, reply.header("location")) == (307, location)


def test_a_header_with_an_underscore_is_refused_or_dropped(shop: App, behind: Client) -> None:
    header = ("x_early", "true")

    assert shop.get(headers=[header]).status == 400
    assert not echo(explicit(behind, shop, "/", header).body).all("x_early")


def test_a_client_cannot_steer_envoy_by_its_own_headers(shop: App) -> None:
    headers = [("x-envoy-upstream-rq-timeout-ms", "1"), ("x-envoy-max-retries", "3"), ("x-test-delay", "0.1")]
    said = echo(shop.get(headers=headers).body)

    assert not said.all("x-envoy-max-retries")
    assert not said.all("x-envoy-upstream-alt-stat-name"), "the router takes off what it is told"
    assert said.all("x-envoy-expected-rq-timeout-ms") == ["15000"]


def test_the_client_is_who_connects_or_who_the_proxies_in_front_say(shop: App, behind: Client) -> None:
    forged = ("x-forwarded-for", "203.0.113.7")

    assert echo(shop.get(headers=[forged]).body).all("x-envoy-external-address") != ["203.0.113.7"]
    assert echo(explicit(behind, shop, "/", forged).body).all("x-envoy-external-address") == ["203.0.113.7"]


def test_headers_beyond_the_limit_are_refused(shop: App, behind: Client) -> None:
    large = ("x-large", "x" * 9000)

    assert shop.get(headers=[large]).status == 200
    assert explicit(behind, shop, "/", large).status == 431


def test_a_listener_that_redirects_sends_reads_and_writes_to_https(world: World, shop: App) -> None:
    redirecting, other, serving = free_ports(3)
    listeners = [
        {"name": "to", "address": "127.0.0.1", "port": redirecting, "redirect": {"port": 8443}},
        {"name": "away", "address": "127.0.0.1", "port": other, "redirect": {"port": 443}},
        {"name": "here", "address": "127.0.0.1", "port": serving},
    ]
    with running(world, "redirects", listeners=listeners), Client(redirecting) as to, Client(other) as away:
        path, host = "/a%20b//c?d=%2F&e", f"{shop.host}:{redirecting}"
        found = {method: to.get(host, path, method=method) for method in ("GET", "HEAD", "POST", "DELETE")}
        assert {method: reply.status for method, reply in found.items()} == {
            "GET": 301,
            "HEAD": 301,
            "POST": 308,
            "DELETE": 308,
        }
        assert {reply.header("location") for reply in found.values()} == {f"https://{shop.host}:8443/a%20b/c?d=%2F&e"}
        assert away.get(host, path).header("location") == f"https://{shop.host}/a%20b/c?d=%2F&e"


def test_one_connection_too_many_is_closed_and_the_admin_interface_still_answers(world: World) -> None:
    port = add_gateway(world, "narrow")
    with world.another_envoy("narrow-1", "narrow", "--max-connections", "2") as envoy:
        with Client(port) as one, Client(port) as two, Client(port) as three:
            assert [client.get("nobody.example.com").status for client in (one, two)] == [404, 404]
            with pytest.raises((http.client.HTTPException, OSError)):
                three.get("nobody.example.com")
            assert one.get("nobody.example.com").status == 404
        assert envoy.total("downstream_global_cx_overflow") == 1


def listen(world: World, name: str, **ports: int) -> None:
    listeners = [{"name": each, "address": "127.0.0.1", "port": port} for each, port in ports.items()]
    world.folder.write(f"gateway-{name}.yaml", records.gateway(name, 1, listeners=listeners))


def wait_listening(envoy: Envoy, name: str, **ports: int) -> None:
    def listening() -> dict[str, int]:
        return {
            each["name"].removeprefix(f"{name}/"): each["address"]["socket_address"]["port_value"]
            for key, each in envoy.resources().items()
            if key.startswith("listener/")
        }

    wait_until(lambda: listening() == ports, f"the listeners are at {ports}", within=30)


def test_listeners_that_move_and_swap_leave_another_one_and_open_requests_alone(world: World, shop: App) -> None:
    one, two, three, steady = free_ports(4)
    listen(world, "swapping", a=one, b=two, steady=steady)
    host = "edges-v1.preview.example.com"
    with (
        world.another_envoy("swapping-1", "swapping") as envoy,
        Client(one) as open_one,
        Client(three) as moved,
        ThreadPoolExecutor(1) as pool,
    ):
        wait_served(open_one, host, "edges-v1")
        with Load(steady, [Shot("steady", host)], world.directory, rate=100) as load:
            slow = pool.submit(open_one.get, host, headers=[("x-test-delay", "1")])
            envoy.wait_stat("http.swapping/a.downstream_rq_active", 1)
            listen(world, "swapping", a=three, b=two, steady=steady)
            wait_listening(envoy, "swapping", a=three, b=two, steady=steady)
            assert slow.result().status == 200
            wait_served(moved, host, "edges-v1")
            listen(world, "swapping", a=two, b=three, steady=steady)
            wait_listening(envoy, "swapping", a=two, b=three, steady=steady)
            results = load.stop()
        assert lost(results.answers) == []
        for port in (two, three):
            with Client(port) as client:
                wait_served(client, host, "edges-v1")
