"""Which virtual hosts there are on demand, one story a test."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.protocol.dialogue import NODE, Dialogue, Refused, Sent, ack, ask, nack, started
from tests.protocol.worlds import CDS, LDS, RDS, VHDS, on_demand, world
from xds_server.messages.codec import decode
from xds_server.messages.envoy import DeltaDiscoveryResponse
from xds_server.protocol import budget, subscription
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Effect, Send, Wake
from xds_server.protocol.virtual_hosts import without_port
from xds_server.snapshot import Serving, Snapshot

FILLING = Wake(1.0, "budget-1")


def back(type_url: str, held: str, *subscribe: str) -> DeltaRequest:
    return DeltaRequest(type_url, subscribe, (), dict(written.split("=") for written in held.split()))


def everything(clusters: list[str], endpoints: list[str], hosts: list[str], after: Snapshot | None = None) -> Snapshot:
    """What older Envoys are told, for which every host is loaded unasked."""
    made = on_demand(clusters, endpoints, hosts, after=after)
    return replace(made, always={**made.always, VHDS: Serving(made.of(VHDS))})


def test_an_unknown_host_is_denied_and_sent_when_it_appears() -> None:  # R38
    first = on_demand(["a"], [], [])
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << (Sent(VHDS, "5", removed="e/h/shop"), FILLING)
        >> ack(VHDS, "5") << None
        >> on_demand(["a"], [], ["shop>a"], after=first) << (Sent(CDS, "6", "a=1"), Wake(2.0, "6"))
        >> ack(CDS, "6") << Sent(VHDS, "7", "e/h/shop=1")
    )  # fmt: skip


def test_an_unknown_host_is_sent_when_a_wildcard_appears() -> None:
    first = on_demand()
    (
        started(first)
        >> ask(VHDS, "e/h/acme.test") << (Sent(VHDS, "5", removed="e/h/acme.test"), FILLING)
        >> ack(VHDS, "5") << None
        >> on_demand([], [], ["*.other"], after=first) << None
        >> on_demand([], [], ["*.test"], after=first) << Sent(VHDS, "6", "e/h/acme.test=1ofe/h/*.test")
    )  # fmt: skip


def test_a_wildcard_is_answered_host_by_host_and_never_sent() -> None:  # it would shadow what is not loaded
    first = on_demand([], [], ["*.test", "*.uat.test=2"])
    (
        started(first)
        >> ask(VHDS, "e/h/a.test", "e/h/b.uat.test", "e/h/*.test")
        << (Sent(VHDS, "5", "e/h/a.test=1ofe/h/*.test e/h/b.uat.test=2ofe/h/*.uat.test", removed="e/h/*.test"), FILLING)
        >> ack(VHDS, "5")
        >> on_demand([], [], ["*.test=3", "*.uat.test=2"], after=first)
        << Sent(VHDS, "6", "e/h/a.test=3ofe/h/*.test")
    )  # fmt: skip


def test_wildcards_that_every_proxy_gets_come_after_the_hosts_under_them() -> None:  # they would answer for them
    first = everything(["a"], [], ["*.test", "acme.test>a"])
    second = everything(["a"], [], ["acme.test>a"], after=first)
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1")
        >> ack(CDS, "1")
        >> ask(RDS, "e/h") << Sent(RDS, "2", "e/h=1")
        >> ack(RDS, "2")
        >> ask(VHDS) << (Sent(CDS, "3", "a=1"), Sent(VHDS, "4", "e/h/-=1"), Wake(2.0, "3"))
        >> ack(VHDS, "4")
        >> ack(CDS, "3") << Sent(VHDS, "5", "e/h/acme.test=1")
        >> ack(VHDS, "5") << Sent(VHDS, "6", "e/h/*.test=1")
        >> ack(VHDS, "6")
        >> second << Sent(VHDS, "7", "e/h/*.test=1ofe/h/*")
        >> ack(VHDS, "7")
        >> everything(["a"], [], ["*.test", "acme.test>a"], after=second) << Sent(VHDS, "8", "e/h/*.test=1")
    )  # fmt: skip


def test_a_host_under_a_wildcard_can_have_its_own() -> None:
    first = on_demand([], [], ["*.test"])
    second = on_demand([], [], ["*.test", "acme.test=5"], after=first)
    (
        started(first)
        >> ask(VHDS, "e/h/acme.test") << (Sent(VHDS, "5", "e/h/acme.test=1ofe/h/*.test"), FILLING)
        >> ack(VHDS, "5")
        >> second << Sent(VHDS, "6", "e/h/acme.test=5")
        >> ack(VHDS, "6")
        >> on_demand([], [], ["*.test"], after=second) << Sent(VHDS, "7", "e/h/acme.test=1ofe/h/*.test")
    )  # fmt: skip


def test_a_loaded_host_that_is_gone_is_replaced_by_a_refusal() -> None:  # denied it would stay, removed it would hang
    first = on_demand([], [], ["shop"])
    second = on_demand(after=first)
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << Sent(VHDS, "5", "e/h/shop=1")
        >> ack(VHDS, "5")
        >> second << Sent(VHDS, "6", "e/h/shop=1ofe/h/*")
        >> ack(VHDS, "6")
        >> ask(VHDS, "e/h/shop") << Sent(VHDS, "7", "e/h/shop=1ofe/h/*")
        >> ack(VHDS, "7")
        >> on_demand([], [], ["shop=2"], after=second) << Sent(VHDS, "8", "e/h/shop=2")
    )  # fmt: skip


def test_a_host_that_is_gone_before_it_was_sent_is_denied() -> None:
    first = on_demand(["a"], [], ["shop>a"])
    second = on_demand(["a"], [], [], after=first)
    (
        started(first)
        >> ask(VHDS, "e/h/shop", "e/h/shop:80") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> second << (Sent(VHDS, "6", removed="e/h/shop e/h/shop:80"), FILLING)
        >> ack(VHDS, "6") << None
        >> on_demand(["a"], [], ["shop"], after=second) << Sent(VHDS, "7", "e/h/shop=1")
    )  # fmt: skip


def test_who_waits_is_denied_also_if_a_wildcard_came_and_went_meanwhile() -> None:  # R38: else its requests hang
    first = on_demand()
    second = on_demand([], [], ["*.test"], after=first)
    third = on_demand(after=second)
    (
        started(first)
        >> ask(VHDS, "e/h/none") << (Sent(VHDS, "5", removed="e/h/none"), FILLING)
        >> ask(VHDS, "e/h/acme.test", "e/h/acme.test:80") << None
        >> second << None
        >> third << None
        >> ack(VHDS, "5") << Sent(VHDS, "6", removed="e/h/acme.test e/h/acme.test:80")
        >> ack(VHDS, "6") << None
        >> on_demand([], [], ["*.test"], after=third) << Sent(VHDS, "7", "e/h/acme.test=1ofe/h/*.test")
        >> ack(VHDS, "7") << None
    )  # fmt: skip


def test_under_a_wildcard_that_refuses_only_what_is_deployed_is_loaded() -> None:
    first = on_demand([], [], ["!*.preview", "v1.preview"])
    (
        started(first)
        >> ask(VHDS, "e/h/v1.preview", "e/h/v2.preview")
        << (Sent(VHDS, "5", "e/h/v1.preview=1", removed="e/h/v2.preview"), FILLING)
        >> ack(VHDS, "5")
        >> on_demand([], [], ["!*.preview", "v2.preview"], after=first)
        << Sent(VHDS, "6", "e/h/v1.preview=1ofe/h/*.preview e/h/v2.preview=1")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("e/h/shop.test:8080", "e/h/shop.test"),
        ("e/h/[::1]:80", "e/h/[::1]"),
        ("e/h/[::1]", "e/h/[::1]"),
        ("e/h/shop.test:", "e/h/shop.test"),
        ("e/h/shop", "e/h/shop"),
    ],
)
def test_a_port_is_no_part_of_a_host(name: str, host: str) -> None:
    assert without_port(name) == host


def test_a_host_with_a_port_is_answered_as_the_host() -> None:  # under two names Envoy refuses both
    first = on_demand(["a"], [], ["shop>a"])
    stream = DeltaStream()
    dialogue = (
        Dialogue(stream)
        >> first
        >> ask(RDS, "e/h") << Sent(RDS, "1", "e/h=1")
        >> ask(VHDS) << None
        >> ack(RDS, "1") << Sent(VHDS, "2", "e/h/-=1")
        >> ask(VHDS, "e/h/none:8080") << None
    )  # fmt: skip
    asked = stream.receive(DeltaRequest(VHDS, ("e/h/shop:8080", "e/h/shop"), nonce="2"))
    assert entries(asked) == [
        ("e/h/shop", ["e/h/shop", "e/h/shop:8080"], True),
        ("e/h/none:8080", ["e/h/none:8080"], False),
    ]
    again = stream.receive(DeltaRequest(VHDS, ("e/h/shop:81",), nonce="3", error="e/h/shop is bad"))
    assert entries(again) == [
        ("e/h/shop", ["e/h/shop", "e/h/shop:8080", "e/h/shop:81"], True),
        ("e/h/none:8080", ["e/h/none:8080"], False),
    ]
    (
        dialogue
        >> ack(VHDS, "4") << None
        >> on_demand(["a"], [], ["shop>a", "none"], after=first) << Sent(VHDS, "5", "e/h/none=1")
    )  # fmt: skip


def test_a_host_that_waits_for_an_answer_under_its_port_gets_it_when_it_appears() -> None:
    first = on_demand()
    stream = DeltaStream()
    (
        Dialogue(stream)
        >> first
        >> ask(RDS, "e/h") << Sent(RDS, "1", "e/h=1")
        >> ask(VHDS) << None
        >> ack(RDS, "1") << Sent(VHDS, "2", "e/h/-=1")
        >> ask(VHDS, "e/h/acme.test:80") << None
        >> on_demand([], [], ["*.test"], after=first) << None
    )  # fmt: skip
    assert entries(stream.receive(ack(VHDS, "2"))) == [("e/h/acme.test", ["e/h/acme.test", "e/h/acme.test:80"], True)]


def test_what_is_asked_for_again_is_answered_again() -> None:  # R18
    (
        started(on_demand([], [], ["shop"]))
        >> ask(VHDS, "e/h/shop", "e/h/none") << (Sent(VHDS, "5", "e/h/shop=1", removed="e/h/none"), FILLING)
        >> ack(VHDS, "5")
        >> ask(VHDS, "e/h/none", "e/h/shop") << Sent(VHDS, "6", "e/h/shop=1", removed="e/h/none")
        >> ack(VHDS, "6")
        >> ask(VHDS, "e/h") << Sent(VHDS, "7", "e/h/-=1")
    )  # fmt: skip


def test_what_was_denied_beside_something_that_is_refused_is_denied_again() -> None:  # else its requests hang
    (
        started(on_demand([], [], ["shop"]))
        >> ask(VHDS, "e/h/shop", "e/h/none") << (Sent(VHDS, "5", "e/h/shop=1", removed="e/h/none"), FILLING)
        >> nack(VHDS, "5", "e/h/shop is bad")
        << (Refused(VHDS, "5", "e/h/shop"), Sent(VHDS, "6", removed="e/h/none"))
        >> nack(VHDS, "6", "no") << Refused(VHDS, "6", "")
    )  # fmt: skip


def test_virtual_hosts_wait_for_their_route_configuration() -> None:  # R38: Envoy drops them
    (
        Dialogue(DeltaStream())
        >> on_demand([], [], ["shop"])
        >> ask(VHDS, "e/h/shop", "e/h/none") << None
        >> ask(RDS, "e/h") << Sent(RDS, "1", "e/h=1")
        >> ack(RDS, "1") << (Sent(VHDS, "2", "e/h/-=1 e/h/shop=1", removed="e/h/none"), FILLING)
    )  # fmt: skip


def test_a_host_that_is_gone_when_its_route_configuration_was_sent_again_returns_with_the_listener() -> None:
    first = on_demand([], [], ["shop"])
    second = on_demand([], [], ["shop"], routes="e/h=2", after=first)
    gone = replace(world(after=second), on_demand=True)
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << Sent(VHDS, "5", "e/h/shop=1")
        >> ack(VHDS, "5")
        >> second << Sent(RDS, "6", "e/h=2")
        >> gone << Sent(LDS, "7", removed="l")
        >> ack(RDS, "6") << (Sent(VHDS, "8", removed="e/h/- e/h/shop"), FILLING)
        >> ack(VHDS, "8")
        >> on_demand([], [], ["shop"], routes="e/h=2", after=gone) << Sent(VHDS, "9", "e/h/-=1 e/h/shop=1")
    )  # fmt: skip


def test_a_route_configuration_that_is_sent_again_needs_its_virtual_hosts_again() -> None:  # R38: Envoy clears them
    first = on_demand([], [], ["shop"])
    second = on_demand([], [], ["shop"], routes="e/h=2", after=first)
    third = on_demand([], [], ["shop=2"], routes="e/h=2", after=second)
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << Sent(VHDS, "5", "e/h/shop=1")
        >> ack(VHDS, "5")
        >> second << Sent(RDS, "6", "e/h=2")
        >> third << None
        >> ack(RDS, "6") << Sent(VHDS, "7", "e/h/-=1 e/h/shop=2")
        >> ack(VHDS, "7") << None
    )  # fmt: skip


def test_a_route_configuration_that_is_refused_clears_nothing() -> None:
    first = on_demand([], [], ["shop"])
    second = on_demand([], [], ["shop"], routes="e/h=2", after=first)
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << Sent(VHDS, "5", "e/h/shop=1")
        >> ack(VHDS, "5")
        >> second << Sent(RDS, "6", "e/h=2")
        >> nack(RDS, "6") << Refused(RDS, "6", "e/h")
        >> on_demand([], [], ["shop=2"], routes="e/h=2", after=second) << Sent(VHDS, "7", "e/h/shop=2")
    )  # fmt: skip


def test_virtual_hosts_leave_with_their_route_configuration_and_return_with_it() -> None:
    first = on_demand([], [], ["shop"])
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << Sent(VHDS, "5", "e/h/shop=1")
        >> ack(VHDS, "5")
        >> DeltaRequest(RDS, (), ("e/h",)) << None
        >> on_demand([], [], ["shop=2"], after=first) << None
        >> ask(RDS, "e/h") << Sent(RDS, "6", "e/h=1")
        >> ack(RDS, "6") << Sent(VHDS, "7", "e/h/-=1 e/h/shop=2")
    )  # fmt: skip


def test_a_client_that_returns_is_sent_what_is_new_to_it() -> None:  # R18, R21
    world = on_demand([], [], ["same", "changed=2", "appeared", "missed"])
    (
        Dialogue(DeltaStream())
        >> world
        >> back(RDS, "e/h=1", "e/h") << None
        >> back(
            VHDS,
            "e/h/-=1 e/h/same=1 e/h/changed=1 e/h/gone=1 e/h/refused=1ofe/h/* e/h/none=absent e/h/appeared=absent",
            *("*", "e/h/same", "e/h/changed", "e/h/gone", "e/h/refused", "e/h/none", "e/h/appeared", "e/h/missed"),
        )
        << Sent(VHDS, "1", "e/h/appeared=1 e/h/changed=2 e/h/gone=1ofe/h/* e/h/missed=1")
        >> ack(VHDS, "1") << None
        >> on_demand([], [], ["same", "changed=2", "appeared", "missed", "none"], after=world)
        << Sent(VHDS, "2", "e/h/none=1")
    )  # fmt: skip


def test_who_unsubscribes_is_told_no_more() -> None:
    first = on_demand([], [], ["shop"])
    second = on_demand([], [], ["shop=2", "none"], after=first)
    (
        started(first)
        >> ask(VHDS, "e/h/shop", "e/h/none") << (Sent(VHDS, "5", "e/h/shop=1", removed="e/h/none"), FILLING)
        >> ack(VHDS, "5")
        >> DeltaRequest(VHDS, (), ("e/h/shop", "e/h/none")) << None
        >> second << None
        >> ask(VHDS, "e/h/shop") << Sent(VHDS, "6", "e/h/shop=2")
    )  # fmt: skip


def test_what_comes_to_be_for_every_proxy_is_pushed() -> None:
    first = on_demand([], [], ["shop"])
    always = {**first.always, VHDS: frozenset({"e/h/-", "e/h/chat"})}
    (
        started(first)
        >> replace(on_demand([], [], ["shop", "chat"], after=first), always=always) << Sent(VHDS, "5", "e/h/chat=1")
    )  # fmt: skip


def test_a_burst_of_unknown_hosts_is_answered_at_once_and_the_rest_in_time(few: None) -> None:
    names = [f"e/h/n{number}" for number in range(6)]
    (
        started(on_demand([], [], ["shop"]))
        >> ask(VHDS, *names[:4]) << (Sent(VHDS, "5", removed=" ".join(names[:3])), FILLING)
        >> ack(VHDS, "5")
        >> ask(VHDS, names[4], names[5], "e/h/shop") << Sent(VHDS, "6", "e/h/shop=1")
        >> ack(VHDS, "6") << None
        >> "budget-1" << (Sent(VHDS, "7", removed=names[3]), Wake(1.0, "budget-2"))
        >> ack(VHDS, "7") << None
        >> "budget-2" << (Sent(VHDS, "8", removed=names[4]), Wake(1.0, "budget-3"))
    )  # fmt: skip


def test_when_too_many_were_asked_for_every_host_that_appears_is_pushed(few: None) -> None:
    first = on_demand([], [], ["shop"])
    second = on_demand([], [], ["shop", "new", "*.test"], after=first)
    third = replace(on_demand([], [], ["shop", "new", "newer"]), serial=second.serial + 5)
    names = [f"e/h/n{number}" for number in range(5)]
    (
        started(first)
        >> ask(VHDS, *names) << (Sent(VHDS, "5", removed=" ".join(names[:3])), FILLING)
        >> second << None
        >> ack(VHDS, "5") << Sent(VHDS, "6", "e/h/new=1")
        >> ack(VHDS, "6")
        >> third << Sent(VHDS, "7", "e/h/newer=1")
    )  # fmt: skip


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "BURST", 3)
    monkeypatch.setattr(budget, "EACH_SECOND", 1)
    monkeypatch.setattr(subscription, "REMEMBERED", 4)


def test_unknown_hosts_cost_little_more_than_their_names() -> None:
    stream = DeltaStream()
    stream.publish(on_demand())
    stream.receive(ask(LDS)._replace(node=NODE))
    [sent, *_] = stream.receive(ask(RDS, "e/h"))
    assert isinstance(sent, Send)
    stream.receive(ask(VHDS))
    nonce = nonces(stream.receive(ack(RDS, sent.nonce)))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(20_000):
        asked = stream.receive(DeltaRequest(VHDS, (f"e/h/{number:020}.example.com",), nonce=next(nonce, "")))
        nonce = nonces(asked)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / 20_000 < 300


def nonces(effects: list[Effect]) -> Iterator[str]:
    return (each.nonce for each in effects if isinstance(each, Send) and each.type_url == VHDS)


def entries(effects: list[Effect]) -> list[tuple[str, list[str], bool]]:
    """Name, aliases, and whether there is a body."""
    [payload] = [each.payload for each in effects if isinstance(each, Send)]
    response = decode(DeltaDiscoveryResponse, payload)
    assert not response.removed_resources
    return [(each.name, [*each.aliases], each.HasField("resource")) for each in response.resources]
