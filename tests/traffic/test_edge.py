"""`e2e/test_explain.py` shows that each of these is what Envoy does."""

from typing import Any

import pytest

from tests.records.folder import Server, record
from xds_server.domain.names import Ref
from xds_server.traffic.decisions import Answer
from xds_server.traffic.edge import enter
from xds_server.traffic.requests import Request, Seen

PLAIN = {"name": "http", "port": 8080}


def entered(
    path: str = "/",
    authority: str = "Shop.test:8080",
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    **spec: Any,
) -> Seen | Answer:
    server = Server({"edge.yaml": record("Gateway", "edge", {"listeners": [PLAIN], **spec})})
    assert server.errors == []
    edge = server.admission.world.gateways[Ref("default", "edge")]
    return enter(edge, edge.spec.listeners[0], Request(method, "http", authority, path, headers))


def answered(*args: Any, **options: Any) -> tuple[int, str, str]:
    answer = entered(*args, **options)
    assert isinstance(answer, Answer)
    return answer.status, answer.reason, answer.location


def header(name: str, value: str, **http: Any) -> str | None:
    found = entered(headers=((name, value),), http=http)
    assert isinstance(found, Seen)
    return found.header(name)


def test_rules_are_tried_on_the_normal_path() -> None:
    found = entered("/a//b/../%63art?x=//")

    assert isinstance(found, Seen)
    assert (found.path, found.bare_path) == ("/a/cart?x=//", "/a/cart")


@pytest.mark.parametrize(
    ("path", "authority"), [("/a%00", "shop.test"), ("/a#b", "shop.test"), ("/", "shop test"), ("/", "shop/test")]
)
def test_what_no_client_should_send_is_400(path: str, authority: str) -> None:
    assert answered(path, authority) == (400, "BadRequest", "")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (
            "get",
            "'get' is no method of HTTP/1 that Envoy knows; methods are in capitals: GET (over HTTP/2 it is routed)",
        ),
        ("FOO", "'FOO' is no method of HTTP/1 that Envoy knows (over HTTP/2 it is routed)"),
    ],
)
def test_a_method_that_http1_does_not_know_is_400(method: str, said: str) -> None:
    assert entered(method=method) == Answer(400, "BadRequest", said)
    assert isinstance(entered(method="PURGE"), Seen)


def test_escaped_slashes_are_sent_to_the_plain_path() -> None:
    assert answered("/a%2Fb?x=%2f") == (307, "EscapedSlash", "/a/b?x=%2f")


def test_an_underscore_in_a_headers_name_is_refused_taken_off_or_passed_on() -> None:
    assert answered(headers=(("x_a", "1"),)) == (400, "BadRequest", "")
    assert header("x_a", "1", underscores="drop") is None
    assert header("x_a", "1", underscores="allow") == "1"


def test_a_client_cannot_steer_envoy() -> None:
    assert header("x-envoy-retry-on", "5xx") is None
    assert header("x-forwarded-proto", "https") == "http"
    assert header("x-forwarded-proto", "https", trustedHops=1) == "https"


@pytest.mark.parametrize(
    ("method", "port", "path", "expected"),
    [
        ("GET", 443, "/a/../b?x", (301, "Redirect", "https://Shop.test/b?x")),
        ("HEAD", 8443, "/", (301, "Redirect", "https://Shop.test:8443/")),
        ("POST", 443, "/", (308, "Redirect", "https://Shop.test/")),
        ("GET", 443, "/a%2fb", (307, "EscapedSlash", "/a/b")),
    ],
)
def test_a_listener_that_redirects(method: str, port: int, path: str, expected: tuple[int, str, str]) -> None:
    assert answered(path, method=method, listeners=[{**PLAIN, "redirect": {"port": port}}]) == expected
