"""Delta, one story a test."""

import pytest

from tests.protocol.dialogue import Accepted, Dialogue, Refused, Sent
from tests.protocol.worlds import CDS, EDS, LDS, RDS, RUNTIME, SDS, VHDS, world
from xds_server.messages.codec import decode
from xds_server.messages.envoy import DeltaDiscoveryResponse
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Send, Wake
from xds_server.snapshot import TypeUrl


def ask(type_url: str, subscribe: str = "", unsubscribe: str = "", *, nonce: str = "") -> DeltaRequest:
    return DeltaRequest(type_url, tuple(subscribe.split()), tuple(unsubscribe.split()), nonce=nonce)


def back(type_url: str, held: str = "", subscribe: str = "", *, nonce: str = "") -> DeltaRequest:
    """The first request after a reconnect: what the client holds, and which names it wants."""
    versions = dict(written.split("=") for written in held.split())
    return DeltaRequest(type_url, tuple(subscribe.split()), (), versions, nonce)


def ack(type_url: str, nonce: str, subscribe: str = "", unsubscribe: str = "") -> DeltaRequest:
    return ask(type_url, subscribe, unsubscribe, nonce=nonce)


def nack(type_url: str, nonce: str, error: str, subscribe: str = "") -> DeltaRequest:
    return DeltaRequest(type_url, tuple(subscribe.split()), nonce=nonce, error=error)


def test_nobody_is_answered_before_the_first_world() -> None:  # R7
    (
        Dialogue(DeltaStream())
        >> ask(CDS) << None
        >> ask(EDS, "pods") << None
        >> ask(EDS, "", "pods") << None
        >> world(clusters=["web"], endpoints=["pods"]) << Sent(CDS, "1", "web=1")
    )  # fmt: skip


def test_a_fresh_client_is_answered_even_if_there_is_nothing() -> None:  # else Envoy waits 15 s at start-up
    Dialogue(DeltaStream()) >> world() >> ask(CDS) << Sent(CDS, "1") >> ack(CDS, "1") << None


def test_each_change_is_sent_alone() -> None:  # R16
    first = world(clusters=["a", "b", "c"])
    (
        Dialogue(DeltaStream(), verbatim=True)
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1 c=1")
        >> ack(CDS, "1") << Accepted(CDS, "1", "a=1 b=1 c=1")
        >> ask(RDS, "r") << Sent(RDS, "2", removed="r")
        >> world(clusters=["a", "b=2", "d"], after=first) << Sent(CDS, "3", "b=2 d=1")
        >> ack(RDS, "2") << Accepted(RDS, "2")
        >> ack(CDS, "3") << (Accepted(CDS, "3", "b=2 d=1"), Sent(CDS, "4", removed="c"))
        >> ack(CDS, "4") << Accepted(CDS, "4", removed="c")
    )  # fmt: skip


def test_a_burst_of_worlds_costs_one_response() -> None:  # R36
    first = world(endpoints=["x=1"])
    second = world(endpoints=["x=2"], after=first)
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> second << None
        >> world(endpoints=["x=3"], after=second) << None
        >> ack(EDS, "1") << Sent(EDS, "2", "x=3")
    )  # fmt: skip


def test_an_acknowledgement_may_edit_too() -> None:  # R17, B: Istio
    (
        Dialogue(DeltaStream(), verbatim=True)
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> ack(EDS, "1", subscribe="y", unsubscribe="x") << (Accepted(EDS, "1", "x=1"), Sent(EDS, "2", "y=1"))
    )  # fmt: skip


def test_a_refusal_may_edit_too() -> None:  # R17
    (
        Dialogue(DeltaStream())
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> nack(EDS, "1", "no", subscribe="y") << (Refused(EDS, "1", "x"), Sent(EDS, "2", "y=1"))
    )  # fmt: skip


def test_a_stale_nonce_never_drops_an_edit() -> None:  # R17, B: Istio shouldRespondDelta
    (
        Dialogue(DeltaStream(), verbatim=True)
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> nack(EDS, "0", "x is bad", subscribe="y") << None
        >> ack(EDS, "1") << (Accepted(EDS, "1", "x=1"), Sent(EDS, "2", "y=1"))
    )  # fmt: skip


def test_every_name_that_is_subscribed_again_is_sent_again() -> None:  # R18, B: go-control-plane subscription.go
    (
        Dialogue(DeltaStream())
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1")
        >> ack(EDS, "1")
        >> ask(EDS, "x") << Sent(EDS, "2", "x=1")
        >> ack(EDS, "2")
        >> ask(EDS, "", "x") << None
        >> ask(EDS, "x") << Sent(EDS, "3", "x=1")
    )  # fmt: skip


def test_everything_that_is_subscribed_again_is_sent_again() -> None:  # R18
    (
        Dialogue(DeltaStream())
        >> world(clusters=["a", "b"])
        >> ask(CDS, "*") << Sent(CDS, "1", "a=1 b=1")
        >> ack(CDS, "1")
        >> ask(CDS, "*") << Sent(CDS, "2", "a=1 b=1")
    )  # fmt: skip


@pytest.mark.parametrize("type_url", [CDS, LDS, RDS, SDS, RUNTIME])
def test_what_does_not_exist_is_denied_at_once_and_sent_when_it_appears(type_url: str) -> None:  # R19, B: #565, #44765
    first = world()
    dialogue = Dialogue(DeltaStream()) >> first >> ask(type_url, "web") << Sent(type_url, "1", removed="web")
    later = world(clusters=["web"], listeners=["web"], routes=["web"], secrets=["web"], after=first)
    sent = None if type_url == RUNTIME else Sent(type_url, "2", "web=1")
    dialogue >> ack(type_url, "1") >> later << sent


def test_a_renewed_secret_is_pushed_alone_and_one_that_is_gone_stays_until_nobody_asks_for_it() -> None:
    first = world(listeners=["https"], routes=["r"], secrets=["cert", "other"])
    renewed = world(listeners=["https"], routes=["r"], secrets=["cert=2", "other"], after=first)
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(LDS) << Sent(LDS, "1", "https=1")
        >> ask(SDS, "cert") << Sent(SDS, "2", "cert=1")
        >> ask(RDS, "r") << Sent(RDS, "3", "r=1")
        >> ack(LDS, "1") >> ack(SDS, "2") >> ack(RDS, "3")
        >> renewed << Sent(SDS, "4", "cert=2")
        >> ack(SDS, "4")
        >> world(listeners=[], routes=["r"], secrets=[], after=renewed) << Sent(LDS, "5", removed="https")
        >> ack(LDS, "5") << None
        >> ask(SDS, "", "cert") << None
    )  # fmt: skip


def test_unknown_endpoints_are_empty_at_once() -> None:  # R19, R33
    Dialogue(DeltaStream()) >> world(endpoints=["x"]) >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=absent")


def test_virtual_hosts_are_never_denied() -> None:  # R38
    Dialogue(DeltaStream()) >> world() >> ask(VHDS, "edge/http/shop.test") << None


def test_unknown_types_have_one_unanswered_response_too() -> None:  # R19
    (
        Dialogue(DeltaStream())
        >> world()
        >> ask(RUNTIME, "a") << Sent(RUNTIME, "1", removed="a")
        >> ask(RUNTIME, "b") << None
        >> ack(RUNTIME, "1") << Sent(RUNTIME, "2", removed="b")
    )  # fmt: skip


def test_unsubscribing_needs_no_answer_and_unknown_names_are_ignored() -> None:  # R20
    (
        Dialogue(DeltaStream())
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1")
        >> ack(EDS, "1")
        >> ask(EDS, "", "x never-seen") << None
        >> world(endpoints=["x=2", "y"]) << None
    )  # fmt: skip


def test_a_name_that_is_given_up_under_the_wildcard_is_answered() -> None:  # R20
    (
        Dialogue(DeltaStream())
        >> world(clusters=["a", "b"])
        >> ask(CDS, "* a c") << Sent(CDS, "1", "a=1 b=1", removed="c")
        >> ack(CDS, "1")
        >> ask(CDS, "", "a c b") << Sent(CDS, "2", "a=1", removed="c")
    )  # fmt: skip


def test_a_name_does_not_end_the_legacy_wildcard() -> None:  # R25
    (
        Dialogue(DeltaStream())
        >> world(clusters=["a", "b"])
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ack(CDS, "1", subscribe="a") << Sent(CDS, "2", "a=1")
        >> ack(CDS, "2")
        >> world(clusters=["a", "b=2"]) << Sent(CDS, "3", "b=2")
    )  # fmt: skip


def test_the_wildcard_ends_while_names_stay() -> None:  # R27, B: go-control-plane #558
    (
        Dialogue(DeltaStream())
        >> world(clusters=["a", "b"])
        >> ask(CDS, "* a") << Sent(CDS, "1", "a=1 b=1")
        >> ack(CDS, "1", unsubscribe="*") << None
        >> world(clusters=["a=2", "b=2"]) << Sent(CDS, "2", "a=2")
        >> ack(CDS, "2", unsubscribe="a") << None
        >> world(clusters=["a=3", "b=3"]) << None
    )  # fmt: skip


@pytest.mark.parametrize(("subscribe", "unsubscribe"), [("*", "*"), ("a", "a")])
def test_one_may_subscribe_to_nothing(subscribe: str, unsubscribe: str) -> None:  # R39, Istio's clients send +*,-*
    Dialogue(DeltaStream()) >> world(clusters=["a"]) >> ask(CDS, subscribe, unsubscribe) << None >> ask(CDS) << None


@pytest.mark.parametrize("type_url", [EDS, RDS, RUNTIME])
def test_no_names_are_no_interest(type_url: str) -> None:  # R26
    Dialogue(DeltaStream()) >> world(endpoints=["x"], routes=["r"]) >> ask(type_url) << None


def test_after_a_reconnect_only_the_difference_is_sent() -> None:  # R21, B: Istio #41494
    (
        Dialogue(DeltaStream(), verbatim=True)
        >> world(clusters=["a", "b=2", "d"], routes=["r"])
        >> back(CDS, "a=1 b=1 c=1", nonce="77")
        << (Accepted(CDS, "", "a=1"), Sent(CDS, "1", "b=2 d=1"), Wake(2.0, "introduction"))
        >> back(RDS, "r=1", "r") << Accepted(RDS, "", "r=1")
        >> ack(CDS, "1") << (Accepted(CDS, "1", "b=2 d=1"), Sent(CDS, "2", removed="c"))
    )  # fmt: skip


def test_after_a_restart_nothing_is_sent_again() -> None:  # R18, R21
    (
        Dialogue(DeltaStream(), verbatim=True)
        >> world(clusters=["a>x"], endpoints=["x"], listeners=["l"], routes=["r"])
        >> back(CDS, "a=1") << Accepted(CDS, "", "a=1")
        >> back(EDS, "x=1", "x") << Accepted(EDS, "", "x=1")
        >> back(LDS, "l=1", "*") << Accepted(LDS, "", "l=1")
        >> back(RDS, "r=1", "r") << Accepted(RDS, "", "r=1")
    )  # fmt: skip


def test_listed_names_are_sent_once_they_are_subscribed_later() -> None:  # R18
    (
        Dialogue(DeltaStream())
        >> world(endpoints=["x", "y"])
        >> back(EDS, "x=1 y=1", "x") << None
        >> ask(EDS, "y") << Sent(EDS, "1", "y=1")
    )  # fmt: skip


def test_endpoints_of_a_cluster_that_is_sent_are_sent_whatever_the_client_lists() -> None:  # R18, B: Envoy #22418
    (
        Dialogue(DeltaStream())
        >> world(clusters=["a=2>x", "b>y"], endpoints=["x", "y"])
        >> back(CDS, "a=1 b=1") << Sent(CDS, "1", "a=2")
        >> back(EDS, "x=1 y=1", "x y") << Sent(EDS, "2", "x=1")
    )  # fmt: skip


def test_routes_that_were_lost_are_denied_and_keep_their_clusters() -> None:  # R19, R21, R30
    (
        Dialogue(DeltaStream(), verbatim=True)
        >> world(listeners=["l"])
        >> back(CDS, "a=1") << Wake(2.0, "introduction")
        >> back(LDS, "l=1 m=1") << (Accepted(LDS, "", "l=1"), Sent(LDS, "1", removed="m"))
        >> back(RDS, "r=1", "r") << Sent(RDS, "2", removed="r")
        >> ack(RDS, "2") << Accepted(RDS, "2")
        >> ack(LDS, "1") << Accepted(LDS, "1", removed="m")
        >> ask(RDS, "", "r") << Sent(CDS, "3", removed="a")
    )  # fmt: skip


def test_endpoints_follow_a_cluster_that_changed() -> None:  # R32, B: go-control-plane #1035, Kuma #12098, Istio #48517
    first = world(clusters=["a>x", "b>y"], endpoints=["x", "y"])
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ask(EDS, "x y") << Sent(EDS, "2", "x=1 y=1")
        >> ack(EDS, "2") >> ack(CDS, "1")
        >> world(clusters=["a=2>x", "b>y", "c>y"], endpoints=["x", "y"], after=first)
        << (Sent(CDS, "3", "a=2 c=1"), Sent(EDS, "4", "x=1 y=1"))
    )  # fmt: skip


def test_endpoints_that_are_on_their_way_are_sent_again_after_their_cluster() -> None:  # R32
    first = world(clusters=["a>x"], endpoints=["x"])
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> ack(CDS, "1")
        >> ask(EDS, "x") << Sent(EDS, "2", "x=1")
        >> world(clusters=["a=2>x"], endpoints=["x"], after=first) << Sent(CDS, "3", "a=2")
        >> ack(EDS, "2") << Sent(EDS, "4", "x=1")
    )  # fmt: skip


def test_what_was_refused_is_not_sent_again_until_it_changes() -> None:  # R12, R22
    first = world(endpoints=["x", "y"])
    second = world(endpoints=["x=2", "y=2"], after=first)
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1")
        >> ack(EDS, "1")
        >> second << Sent(EDS, "2", "x=2 y=2")
        >> nack(EDS, "2", "malformed address in x") << (Refused(EDS, "2", "x"), Sent(EDS, "3", "y=2"))
        >> ack(EDS, "3") << None
        >> world(endpoints=["x=2", "y=3"], after=second) << Sent(EDS, "4", "y=3")
        >> ack(EDS, "4") << None
        >> world(endpoints=["x=1", "y=3"]) << Sent(EDS, "5", "x=1")
    )  # fmt: skip


def test_what_came_with_a_refused_resource_is_sent_again_even_if_it_is_what_the_client_held() -> None:  # R22
    first = world(endpoints=["x", "y"])
    second = world(endpoints=["x=2", "y=2"], after=first)
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1")
        >> ack(EDS, "1")
        >> second << Sent(EDS, "2", "x=2 y=2")
        >> world(endpoints=["x=2", "y=1"], after=second) << None
        >> nack(EDS, "2", "bad x") << (Refused(EDS, "2", "x"), Sent(EDS, "3", "y=1"))
    )  # fmt: skip


def test_refused_endpoints_are_not_sent_again_with_their_cluster() -> None:  # R12 before R32
    first = world(clusters=["a>x"], endpoints=["x"])
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> ask(EDS, "x") << Sent(EDS, "2", "x=1")
        >> nack(EDS, "2", "bad x") << Refused(EDS, "2", "x")
        >> ack(CDS, "1") << None
        >> world(clusters=["a=2>x"], endpoints=["x"], after=first) << Sent(CDS, "3", "a=2")
    )  # fmt: skip


def test_what_was_refused_and_then_vanished_is_denied() -> None:  # R22
    (
        Dialogue(DeltaStream())
        >> world(clusters=["a"])
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> nack(CDS, "1", "no") << Refused(CDS, "1", "a")
        >> world() << Sent(CDS, "2", removed="a")
    )  # fmt: skip


def test_a_change_that_overtakes_its_refusal_is_sent() -> None:  # R12, R36
    first = world(endpoints=["x"])
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> world(endpoints=["x=2"], after=first) << None
        >> nack(EDS, "1", "no") << (Refused(EDS, "1", "x"), Sent(EDS, "2", "x=2"))
    )  # fmt: skip


def test_a_refused_removal_is_not_repeated() -> None:  # R12
    first = world(clusters=["a", "b"], routes=["r"])
    second = world(clusters=["b"], routes=["r"], after=first)
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ack(CDS, "1")
        >> ask(RDS, "r") << Sent(RDS, "2", "r=1")
        >> ack(RDS, "2")
        >> second << Sent(CDS, "3", removed="a")
        >> nack(CDS, "3", "no") << Refused(CDS, "3", "a")
        >> world(clusters=["b=2"], routes=["r"], after=second) << Sent(CDS, "4", "b=2")
    )  # fmt: skip


def test_who_asks_again_for_what_it_refused_gets_it() -> None:  # R18, R22
    (
        Dialogue(DeltaStream())
        >> world(clusters=["a"])
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> nack(CDS, "1", "no") << Refused(CDS, "1", "a")
        >> ask(CDS, "a") << Sent(CDS, "2", "a=1")
    )  # fmt: skip


def test_a_large_change_comes_in_pieces_and_routes_wait_for_all_of_them() -> None:  # R23
    (
        Dialogue(DeltaStream(chunk=10))  # a body is three bytes here
        >> world(clusters=["a=1", "b=1", "c=1", "d=1"], routes=["r=1"])
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1 c=1")
        >> ask(RDS, "r") << Wake(2.0, "1")
        >> ack(CDS, "1") << (Sent(CDS, "2", "d=1"), Wake(2.0, "2"))
        >> ack(CDS, "2") << Sent(RDS, "3", "r=1")
    )  # fmt: skip


def test_what_is_larger_than_a_piece_is_sent_alone() -> None:  # R23
    (
        Dialogue(DeltaStream(chunk=1))
        >> world(endpoints=["x=1", "y=1"])
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1")
        >> ack(EDS, "1") << Sent(EDS, "2", "y=1")
    )  # fmt: skip


def test_endpoints_that_vanish_become_empty() -> None:  # R33, B: Cilium #48460
    first = world(endpoints=["x"])
    (
        Dialogue(DeltaStream())
        >> first
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> ask(RDS, "r") << Sent(RDS, "2", removed="r")
        >> ack(EDS, "1") >> ack(RDS, "2")
        >> world(after=first) << Sent(EDS, "3", "x=absent")
        >> ack(EDS, "3") << None
    )  # fmt: skip


def test_a_response_has_each_resource_with_its_version() -> None:  # R16
    stream = DeltaStream()
    Dialogue(stream) >> world(clusters=["a=7"]) << None
    Dialogue(stream) >> ask(CDS, "a b") << Sent(CDS, "1", "a=7", removed="b")
    other = DeltaStream()
    Dialogue(other) >> ask(CDS, "a b") << None
    [send] = other.publish(world(clusters=["a=7"]))
    assert isinstance(send, Send)
    response = decode(DeltaDiscoveryResponse, send.payload)
    assert [(each.name, each.version, each.resource.type_url) for each in response.resources] == [("a", "7", CDS)]
    assert response.resources[0].resource.value == b"a=7"
    assert list(response.removed_resources) == ["b"]
    assert (response.type_url, response.nonce) == (CDS, "1")


def test_types_are_pushed_in_order() -> None:  # R28
    first = world()
    dialogue = Dialogue(DeltaStream()) >> first
    for nonce, type_url in enumerate((LDS, CDS), start=1):
        dialogue >> ask(type_url) << Sent(type_url, str(nonce))
    for nonce, type_url in enumerate((RDS, EDS), start=3):
        resources, removed = ("n=absent", "") if type_url is TypeUrl.ENDPOINTS else ("", "n")
        dialogue >> ask(type_url, "n") << Sent(type_url, str(nonce), resources, removed)
    for nonce, type_url in enumerate((LDS, CDS, RDS, EDS), start=1):
        dialogue >> ack(type_url, str(nonce)) << None
    (
        dialogue
        >> world(clusters=["n>n"], endpoints=["n"], listeners=["n"], routes=["n"], after=first)
        << (Sent(CDS, "5", "n=1"), Sent(EDS, "6", "n=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << (Sent(LDS, "7", "n=1"), Sent(RDS, "8", "n=1"))
    )  # fmt: skip
