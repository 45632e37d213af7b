from collections.abc import Mapping
from typing import Any

import pytest

from tests.certificates import self_signed
from tests.difference.edits import FILES, edited, shop
from tests.records.folder import NOON, Content, gateway, record
from xds_server.difference.change import Change
from xds_server.difference.gateways import GatewayChange, Listening
from xds_server.difference.records import FieldChange
from xds_server.domain.names import Ref

EDGE = Ref("default", "edge")
PLAIN = {"name": "http", "port": 8080}
SECURE = {"name": "https", "port": 8443, "tls": {"secret": "one"}}
SECRETS = {name: {"certificate": f"{name}.pem", "privateKey": f"{name}.key"} for name in ("one", "two")}
PEMS = {
    f"{name}{ending}": text
    for name in ("one", "two")
    for ending, text in zip((".pem", ".key"), self_signed(f"{name}.test", begins=NOON), strict=True)
}
HTTP = Listening("http", "0.0.0.0", 8080)
HTTPS = Listening("https", "0.0.0.0", 8443, certificates=("one",))


def edge(*listeners: Mapping[str, Any], **spec: Any) -> dict[str, Content]:
    return {"edge.yaml": record("Gateway", "edge", {"listeners": listeners, "secrets": SECRETS, **spec})}


def changes(before: Mapping[str, Content], after: Mapping[str, Content]) -> tuple[GatewayChange, ...]:
    return edited(after, {**FILES, **PEMS, **before}).gateways


def change(before: Mapping[str, Content], after: Mapping[str, Content]) -> GatewayChange:
    [found] = changes(before, after)
    assert (found.gateway, found.change) == (EDGE, Change.CHANGED)
    return found


def listeners(*sides: Mapping[str, Any]) -> list[tuple[Listening | None, Listening | None]]:
    """What happens to the first listener, which was and is this one, beside one that stays."""
    before, after = (edge(side, SECURE) for side in sides)
    return [(each.before, each.after) for each in change(before, after).listeners]


def test_a_listener_that_turns_to_a_redirect_says_where_clients_are_sent():
    turned = Listening("http", "0.0.0.0", 8080, redirect=8443)

    assert listeners(PLAIN, {**PLAIN, "redirect": "https"}) == [(HTTP, turned)]
    assert listeners({**PLAIN, "redirect": "https"}, PLAIN) == [(turned, HTTP)]


def test_where_a_redirect_leads_moves_with_the_listener_that_it_leads_to():
    plain = {**PLAIN, "redirect": "https"}
    http, https = change(edge(plain, SECURE), edge(plain, {**SECURE, "port": 9443})).listeners

    assert (http.name, http.before, http.after) == (
        "http",
        Listening("http", "0.0.0.0", 8080, redirect=8443),
        Listening("http", "0.0.0.0", 8080, redirect=9443),
    )
    assert (https.before, https.after) == (HTTPS, Listening("https", "0.0.0.0", 9443, certificates=("one",)))


@pytest.mark.parametrize(
    ("after", "place"),
    [({"port": 8081}, "0.0.0.0:8081"), ({"address": "127.0.0.1"}, "127.0.0.1:8080"), ({"address": "::"}, "[::]:8080")],
    ids=["port", "address", "ipv6"],
)
def test_a_listener_that_moves(after: Mapping[str, Any], place: str):
    [(was, moved)] = listeners(PLAIN, {**PLAIN, **after})

    assert was == HTTP
    assert moved is not None
    assert (moved.name, moved.place) == ("http", place)


def test_a_listener_of_another_name_at_the_same_place_is_the_same():
    assert listeners(PLAIN, {**PLAIN, "name": "web"}) == [(HTTP, Listening("web", "0.0.0.0", 8080))]


def test_listeners_that_come_and_go():
    come = change(edge(PLAIN), edge(PLAIN, SECURE))
    go = change(edge(PLAIN, SECURE), edge(PLAIN))

    assert [(each.name, each.change, each.after) for each in come.listeners] == [("https", Change.ADDED, HTTPS)]
    assert [(each.name, each.change, each.before) for each in go.listeners] == [("https", Change.REMOVED, HTTPS)]


def test_certificates_and_http3():
    both = {**SECURE, "tls": {"secrets": ["two", "one"]}, "http3": {"port": 443}}
    [listener] = change(edge(SECURE), edge(both)).listeners

    assert (listener.before, listener.after) == (
        HTTPS,
        Listening("https", "0.0.0.0", 8443, certificates=("two", "one"), http3=443),
    )


def test_a_listener_opens_when_its_certificate_is_there():
    """No record changes: a file comes that it waited for."""
    [listener] = change({**edge(SECURE), "one.pem": None}, {"one.pem": PEMS["one.pem"]}).listeners

    assert listener.before is not None
    assert listener.before.closed
    assert listener.after == HTTPS


def test_settings_that_are_not_written_have_their_default():
    found = change(edge(PLAIN), edge(PLAIN, reveal={"rule": True}, http={"headersKb": 96, "underscores": "drop"}))

    assert found.listeners == ()
    assert found.settings == (
        FieldChange("reveal.rule", before=False, after=True),
        FieldChange("http.headersKb", 60, 96),
        FieldChange("http.underscores", "reject", "drop"),
    )


def test_the_selectors_are_said_in_their_own_section():
    found = edited({"edge.yaml": gateway()})

    assert found.gateways == ()
    assert found.explicit


def test_a_gateway_that_comes_or_goes_opens_or_closes_all_its_listeners():
    inner = {"inner.yaml": gateway("inner")}
    [came] = changes({}, inner)
    [went] = changes(inner, {"inner.yaml": None})

    assert (came.change, [each.after for each in came.listeners], came.settings) == (Change.ADDED, [HTTP], ())
    assert (went.change, [each.before for each in went.listeners], went.settings) == (Change.REMOVED, [HTTP], ())


def test_what_is_written_otherwise_but_means_the_same_is_no_difference():
    assert changes(edge(PLAIN), edge({**PLAIN, "address": "0.0.0.0"}, reveal={"rule": False})) == ()
    assert edited({"shop.yaml": shop(default=[{"deployment": "v2"}])}).gateways == ()
