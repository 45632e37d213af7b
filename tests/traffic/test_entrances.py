from typing import Any

import pytest

from tests.records.folder import SHOP, Server, gateway, record, release
from xds_server.traffic.entrances import entrance
from xds_server.traffic.requests import CannotExplain, read_request

BOTH = [{"name": "http", "port": 8080}, {"name": "https", "port": 8443, "tls": {"secret": "cert"}}]
SECRETS = {"cert": {"certificate": "c.pem", "privateKey": "k.pem"}}


def edge(name: str, *listeners: Any) -> str:
    tls = any("tls" in each for each in listeners)
    return record("Gateway", name, {"listeners": listeners, **({"secrets": SECRETS} if tls else {})})


def found(server: Server, url: str, gateway: str = "", listener: str = "") -> str:
    place = entrance(server.admission.world, read_request("GET", url, ()), gateway, listener)
    return f"{place.gateway.ref.word}/{place.listener.name}"


@pytest.fixture
def plain() -> Server:
    return Server(SHOP)


@pytest.fixture
def several() -> Server:
    """Two gateways have a host of their own and share one."""
    inner = gateway("inner").replace("8080", "9090")
    theirs = release("theirs", "inner.test", gateways=["inner"])
    shared = release("shared", "shared.test", gateways=["edge", "inner"])
    return Server({**SHOP, "inner.yaml": inner, "theirs.yaml": theirs, "shared.yaml": shared})


def test_the_only_gateway_is_meant_even_for_a_host_that_it_does_not_have(plain: Server) -> None:
    assert found(plain, "http://nobody.test:8080/") == "edge/http"


def test_a_port_may_be_mapped_on_the_way(plain: Server) -> None:
    assert found(plain, "http://shop.test/") == "edge/http"


def test_of_several_gateways_the_one_that_has_the_host(several: Server) -> None:
    assert found(several, "http://inner.test/") == "inner/http"
    assert found(several, "http://shop.test:9090/") == "edge/http"


def test_of_several_that_have_it_the_one_that_listens_there(several: Server) -> None:
    assert found(several, "http://shared.test:9090/") == "inner/http"
    assert found(several, "http://shared.test/", gateway="edge") == "edge/http"


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("http://shared.test/", {}, "several gateways have host shared.test; choose one with --gateway: edge, inner"),
        ("http://no.test/", {}, "several gateways could be meant: none has host no.test"),
        ("http://shop.test/", {"gateway": "egde"}, "there is no gateway 'egde'; there is: edge, inner"),
        ("https://shop.test/", {}, "has no listener for https on port 443"),
        ("http://shop.test/", {"listener": "web"}, "has no listener 'web'; choose with --listener: http"),
    ],
)
def test_what_cannot_be_told_says_what_to_choose(several: Server, url: str, options: Any, said: str) -> None:
    with pytest.raises(CannotExplain, match=said):
        found(several, url, **options)


def test_scheme_and_port_choose_the_listener() -> None:
    plain = {"name": "other", "port": 80}
    both = Server({**SHOP, "edge.yaml": edge("edge", *BOTH, plain)})

    assert found(both, "http://shop.test/") == "edge/other"
    assert found(both, "http://shop.test:8080/") == "edge/http"
    assert found(both, "https://shop.test/") == "edge/https"
    assert found(both, "http://shop.test:1/", listener="https") == "edge/https"
    with pytest.raises(CannotExplain, match="no listener for http on port 1"):
        found(both, "http://shop.test:1/")


def test_without_a_gateway_nothing_can_be_told() -> None:
    with pytest.raises(CannotExplain, match="no gateway in force"):
        found(Server({}), "http://shop.test/")
