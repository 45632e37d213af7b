"""State of the world, one story a test."""

import pytest

from tests.protocol.dialogue import NODE, Accepted, Dialogue, Refused, Sent
from tests.protocol.worlds import CDS, EDS, LDS, RDS, RUNTIME, SDS, version, world
from xds_server.messages.codec import decode
from xds_server.messages.envoy import DiscoveryResponse
from xds_server.protocol.events import Acked, Send, SotwRequest, Wake
from xds_server.protocol.sotw import SotwStream
from xds_server.snapshot import TypeUrl

NOTHING_YET = world()


def ask(type_url: str, names: str = "", *, version: str = "", nonce: str = "") -> SotwRequest:
    return SotwRequest(type_url, tuple(names.split()), version, nonce)


def ack(type_url: str, nonce: str, names: str = "") -> SotwRequest:
    return ask(type_url, names, nonce=nonce, version="whatever")


def nack(type_url: str, nonce: str, error: str, names: str = "") -> SotwRequest:
    return SotwRequest(type_url, tuple(names.split()), nonce=nonce, error=error)


def test_nobody_is_answered_before_the_first_world() -> None:  # R7
    (
        Dialogue(SotwStream())
        >> ask(CDS) << None
        >> ask(EDS, "pods") << None
        >> world(clusters=["web"], endpoints=["pods"]) << (Sent(CDS, "1", "web=1"), Sent(EDS, "2", "pods=1"))
    )  # fmt: skip


def test_a_fresh_client_is_answered_even_if_there_is_nothing() -> None:  # else Envoy waits 15 s at start-up
    Dialogue(SotwStream()) >> NOTHING_YET >> ask(CDS) << Sent(CDS, "1") >> ack(CDS, "1") << None


def test_an_acknowledgement_is_not_answered() -> None:  # R10
    (
        Dialogue(SotwStream(), verbatim=True)
        >> world(clusters=["web"])
        >> ask(CDS) << Sent(CDS, "1", "web=1")
        >> ack(CDS, "1") << Accepted(CDS, "1", "web=1")
        >> ack(CDS, "1") << None
    )  # fmt: skip


def test_clusters_are_full_state_and_endpoints_only_what_is_new() -> None:  # R8
    first = world(clusters=["a", "b"], endpoints=["x", "y"])
    (
        Dialogue(SotwStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ask(EDS, "x y") << Sent(EDS, "2", "x=1 y=1")
        >> ack(CDS, "1") >> ack(EDS, "2", "x y")
        >> world(clusters=["a=2", "b"], endpoints=["x", "y=2"], after=first)
        << (Sent(CDS, "3", "a=2 b=1"), Sent(EDS, "4", "y=2"))
    )  # fmt: skip


def test_a_burst_of_worlds_costs_one_response() -> None:  # R36
    first = world(endpoints=["x=1"])
    second = world(endpoints=["x=2"], after=first)
    (
        Dialogue(SotwStream())
        >> first
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> second << None
        >> world(endpoints=["x=3"], after=second) << None
        >> ack(EDS, "1", "x") << Sent(EDS, "2", "x=3")
    )  # fmt: skip


def test_a_change_that_is_taken_back_is_never_sent() -> None:  # R10
    first = world(endpoints=["x=1"])
    second = world(endpoints=["x=2"], after=first)
    (
        Dialogue(SotwStream())
        >> first
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> second << None
        >> world(endpoints=["x=1"], after=second) << None
        >> ack(EDS, "1", "x") << None
    )  # fmt: skip


def test_a_world_that_does_not_follow_ours_is_compared_whole() -> None:
    (
        Dialogue(SotwStream())
        >> world(endpoints=["x=1", "y=1"])
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1")
        >> ack(EDS, "1", "x y")
        >> world(endpoints=["x=1", "y=2"]) << Sent(EDS, "2", "y=2")
    )  # fmt: skip


def test_newly_requested_names_are_sent_even_if_they_were_sent_before() -> None:  # R10, B: go-control-plane #431, #608
    (
        Dialogue(SotwStream())
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1")
        >> ack(EDS, "1", "x y")
        >> ack(EDS, "1", "y") << Sent(EDS, "2", "y=1")
        >> ack(EDS, "2", "y") << None
        >> ack(EDS, "2", "x y") << Sent(EDS, "3", "x=1")
    )  # fmt: skip


def test_a_subscription_on_a_stale_nonce_counts() -> None:  # R11, B: Envoy #10363
    (
        Dialogue(SotwStream(), verbatim=True)
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> ask(EDS, "x y", nonce="stale") << None
        >> ack(EDS, "1", "x y") << (Accepted(EDS, "1", "x=1"), Sent(EDS, "2", "y=1"))
    )  # fmt: skip


def test_a_stale_refusal_refuses_nothing() -> None:  # R11
    (
        Dialogue(SotwStream(), verbatim=True)
        >> world(endpoints=["x"])
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> nack(EDS, "0", "bad x", "x") << None
        >> ack(EDS, "1", "x") << Accepted(EDS, "1", "x=1")
    )  # fmt: skip


def test_a_missing_route_configuration_is_pushed_when_it_appears() -> None:  # R13
    first = world()
    (
        Dialogue(SotwStream())
        >> first
        >> ask(RDS, "edge/http") << None
        >> world(routes=["edge/http"], after=first) << Sent(RDS, "1", "edge/http=1")
    )  # fmt: skip


def test_a_missing_cluster_is_missing_from_a_full_response() -> None:  # R8
    (
        Dialogue(SotwStream())
        >> world(clusters=["a"])
        >> ask(CDS, "a b") << Sent(CDS, "1", "a=1")
        >> ack(CDS, "1", "a b")
        >> ack(CDS, "1", "a b c") << Sent(CDS, "2", "a=1")
    )  # fmt: skip


def test_unknown_endpoints_are_empty_at_once() -> None:  # R33, B: java-control-plane #127
    (
        Dialogue(SotwStream())
        >> world(endpoints=["x"])
        >> ask(EDS, "nowhere x") << Sent(EDS, "1", "nowhere=absent x=1")
    )  # fmt: skip


def test_endpoints_are_answered_while_clusters_warm() -> None:  # R31
    first = world(clusters=["a>x"], endpoints=["x"])
    (
        Dialogue(SotwStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> ask(EDS, "x") << Sent(EDS, "2", "x=1")
    )  # fmt: skip


@pytest.mark.parametrize("type_url", [EDS, RDS, RUNTIME])
def test_no_names_are_no_interest(type_url: str) -> None:  # R26, B: Envoy #7529
    Dialogue(SotwStream()) >> world(endpoints=["x"], routes=["r"]) >> ask(type_url) << None


@pytest.mark.parametrize("type_url", [CDS, LDS])
def test_names_end_the_legacy_wildcard_for_good(type_url: TypeUrl) -> None:  # R25, R27
    (
        Dialogue(SotwStream())
        >> world(clusters=["a", "b"], listeners=["a", "b"])
        >> ask(type_url) << Sent(type_url, "1", "a=1 b=1")
        >> ack(type_url, "1")
        >> ack(type_url, "1", "a") << Sent(type_url, "2", "a=1")
        >> ack(type_url, "2", "a")
        >> ack(type_url, "2") << None
        >> world(clusters=["a=2", "b=2"], listeners=["a=2", "b=2"]) << None
    )  # fmt: skip


def test_the_explicit_wildcard_may_come_and_go() -> None:  # R25, R27
    (
        Dialogue(SotwStream())
        >> world(clusters=["a", "b"])
        >> ask(CDS, "a") << Sent(CDS, "1", "a=1")
        >> ack(CDS, "1", "a")
        >> ack(CDS, "1", "* a") << Sent(CDS, "2", "a=1 b=1")
        >> ack(CDS, "2", "* a")
        >> ack(CDS, "2", "a") << None
        >> world(clusters=["a", "b=2"]) << None
        >> world(clusters=["a=2", "b=2"]) << Sent(CDS, "3", "a=2")
    )  # fmt: skip


def test_unknown_types_are_met_with_silence_and_the_stream_lives() -> None:  # R13
    (
        Dialogue(SotwStream())
        >> world(endpoints=["x"])
        >> ask(RUNTIME, "edge-cert") << None
        >> ask(RUNTIME, "*") << None
        >> world(endpoints=["x=2"]) << None
        >> ask(EDS, "x") << Sent(EDS, "1", "x=2")
    )  # fmt: skip


def test_after_a_restart_nothing_is_sent_again() -> None:  # R5, R15
    old = "f00"
    (
        Dialogue(SotwStream(), verbatim=True)
        >> world(clusters=["a", "b"], endpoints=["x", "y"])
        >> ask(CDS, version=version("b", "a"), nonce=old) << Accepted(CDS, "", "a=1 b=1")
        >> ask(EDS, "x nowhere", version=version("x", "!nowhere"), nonce=old)
        << Accepted(EDS, "", "nowhere=absent x=1")
        >> world(clusters=["a=2", "b"], endpoints=["x=2", "y"]) << (Sent(CDS, "1", "a=2 b=1"), Sent(EDS, "2", "x=2"))
    )  # fmt: skip


def test_after_a_restart_nothing_is_sent_again_to_a_client_that_wants_less_than_before() -> None:  # R5, R15
    stream = SotwStream()
    stream.publish(world(endpoints=["x", "y", "z"]))
    stream.receive(ask(EDS, "x y z")._replace(node=NODE))
    stream.receive(ack(EDS, "1", "x y z"))
    [fewer] = stream.receive(ack(EDS, "1", "x z"))

    assert isinstance(fewer, Send)
    [resource] = fewer.resources
    assert resource.name in {"x", "z"}
    stated = decode(DiscoveryResponse, fewer.payload).version_info
    assert stated == version("x", "z")
    assert stream.receive(ack(EDS, fewer.nonce, "x z")) == [Acked(EDS, fewer.nonce, fewer.resources, ())]
    (
        Dialogue(SotwStream())
        >> world(endpoints=["x", "y", "z"])
        >> ask(EDS, "x z", version=stated) << None
    )  # fmt: skip


def test_another_version_at_first_means_that_all_is_sent() -> None:  # R5, B: Envoy #30155
    (
        Dialogue(SotwStream())
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x y", version=version("x"), nonce="1") << Sent(EDS, "1", "x=1 y=1")
    )  # fmt: skip


def test_endpoints_of_a_cluster_that_is_sent_are_sent_whatever_the_client_says() -> None:  # R18, B: Envoy #22418
    (
        Dialogue(SotwStream())
        >> world(clusters=["a=2>x", "b"], endpoints=["x", "y"])
        >> ask(CDS, version="old") << Sent(CDS, "1", "a=2 b=1")
        >> ask(EDS, "x y", version=version("x", "y")) << Sent(EDS, "2", "x=1")
    )  # fmt: skip


def test_endpoints_follow_a_cluster_that_changed() -> None:  # R32, B: go-control-plane #245, #583, #1035
    first = world(clusters=["a>x", "b>x", "c>y"], endpoints=["x", "y"])
    (
        Dialogue(SotwStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1 c=1")
        >> ask(EDS, "x y") << Sent(EDS, "2", "x=1 y=1")
        >> ack(EDS, "2", "x y") >> ack(CDS, "1")
        >> world(clusters=["a>x", "b=2>x", "c>y"], endpoints=["x", "y"], after=first)
        << (Sent(CDS, "3", "a=1 b=2 c=1"), Sent(EDS, "4", "x=1"))
        >> ack(EDS, "2", "x y") << None
    )  # fmt: skip


def test_what_was_refused_is_not_sent_again_until_it_changes() -> None:  # R12, B: go-control-plane #46, #962
    first = world(endpoints=["x"])
    second = world(endpoints=["x=2"], after=first)
    third = world(endpoints=["x=2", "y"], after=second)
    (
        Dialogue(SotwStream())
        >> first
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=absent")
        >> ack(EDS, "1", "x y")
        >> second << Sent(EDS, "2", "x=2")
        >> nack(EDS, "2", "what is this", "x y") << Refused(EDS, "2", "x")
        >> nack(EDS, "2", "what is this", "x y") << None
        >> third << Sent(EDS, "3", "y=1")
        >> ack(EDS, "3", "x y") << None
        >> world(endpoints=["x=3", "y"], after=third) << Sent(EDS, "4", "x=3")
    )  # fmt: skip


def test_a_return_to_what_the_client_held_before_it_refused_is_sent() -> None:  # R22
    first = world(endpoints=["x=1"])
    second = world(endpoints=["x=2"], after=first)
    (
        Dialogue(SotwStream())
        >> first
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> ack(EDS, "1", "x")
        >> second << Sent(EDS, "2", "x=2")
        >> nack(EDS, "2", "bad", "x") << Refused(EDS, "2", "x")
        >> world(endpoints=["x=1"], after=second) << Sent(EDS, "3", "x=1")
    )  # fmt: skip


def test_only_what_the_error_names_is_refused() -> None:  # R12, R22, section 6
    first = world(clusters=["web=1", "shop/web=1", "cart=1"])
    (
        Dialogue(SotwStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "cart=1 shop/web=1 web=1")
        >> ack(CDS, "1")
        >> world(clusters=["web=2", "shop/web=2", "cart=2"], after=first)
        << Sent(CDS, "2", "cart=2 shop/web=2 web=2")
        >> nack(CDS, "2", "Error adding/updating cluster(s) shop/web: bad port") << (
            Refused(CDS, "2", "shop/web"),
            Sent(CDS, "3", "cart=2 shop/web=1 web=2"),
        )
        >> ack(CDS, "3") << None
    )  # fmt: skip


def test_a_refusal_without_a_name_is_sent_in_parts_until_one_is_left() -> None:  # R12, R22
    first = world(clusters=["a", "b"])
    second = world(clusters=["a=2", "b", "c"], after=first)
    (
        Dialogue(SotwStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ack(CDS, "1")
        >> second << Sent(CDS, "2", "a=2 b=1 c=1")
        >> nack(CDS, "2", "no") << (Refused(CDS, "2", ""), Sent(CDS, "3", "a=2 b=1"))
        >> nack(CDS, "3", "no") << (Refused(CDS, "3", "a"), Sent(CDS, "4", "a=1 b=1 c=1"))
        >> ack(CDS, "4") << None
        >> world(clusters=["a=3", "b", "c"], after=second) << Sent(CDS, "5", "a=3 b=1 c=1")
    )  # fmt: skip


def test_who_holds_something_unknown_is_not_sent_a_part_of_it() -> None:  # R8: what it lacks would be deleted
    (
        Dialogue(SotwStream())
        >> world(clusters=["a", "b"])
        >> ask(CDS, version="older") << Sent(CDS, "1", "a=1 b=1")
        >> nack(CDS, "1", "no") << Refused(CDS, "1", "a b")
    )  # fmt: skip


def test_endpoints_follow_a_cluster_that_returns_to_what_it_was() -> None:  # R22, R32
    first = world(clusters=["a>x", "b"], endpoints=["x"])
    second = world(clusters=["a=2>x", "b=2"], endpoints=["x"], after=first)
    (
        Dialogue(SotwStream())
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ask(EDS, "x") << Sent(EDS, "2", "x=1")
        >> ack(EDS, "2", "x") >> ack(CDS, "1")
        >> second << (Sent(CDS, "3", "a=2 b=2"), Sent(EDS, "4", "x=1"))
        >> ack(EDS, "4", "x")
        >> nack(CDS, "3", "a, b: no") << Refused(CDS, "3", "a b")  # but it may have taken a=2
        >> world(clusters=["a=2>x", "b=3"], endpoints=["x"], after=second)
        << (Sent(CDS, "5", "a=1 b=3"), Sent(EDS, "6", "x=1"))
    )  # fmt: skip


def test_who_asks_again_for_what_it_refused_gets_it() -> None:  # R10, R22
    (
        Dialogue(SotwStream())
        >> world(endpoints=["x"])
        >> ask(EDS, "x") << Sent(EDS, "1", "x=1")
        >> nack(EDS, "1", "no", "x") << Refused(EDS, "1", "x")
        >> ack(EDS, "1", "y") << Sent(EDS, "2", "y=absent")
        >> ack(EDS, "2", "x y") << Sent(EDS, "3", "x=1")
    )  # fmt: skip


def test_what_is_unsubscribed_while_on_its_way_is_forgotten() -> None:  # R10
    (
        Dialogue(SotwStream(), verbatim=True)
        >> world(endpoints=["x", "y"])
        >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1")
        >> ask(EDS, "y") << None
        >> ack(EDS, "1", "y") << (Accepted(EDS, "1", "y=1"), Sent(EDS, "2", "y=1"))
        >> ack(EDS, "2", "y") << Accepted(EDS, "2", "y=1")
        >> world(endpoints=["x=2", "y"]) << None
    )  # fmt: skip


def test_a_cluster_that_is_gone_stays_until_no_route_can_name_it() -> None:  # R28, R30
    first = world(clusters=["a", "b"], routes=["r"])
    (
        Dialogue(SotwStream(), verbatim=True)
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ack(CDS, "1") << Accepted(CDS, "1", "a=1 b=1")
        >> ask(RDS, "r") << Sent(RDS, "2", "r=1")
        >> ack(RDS, "2", "r") << Accepted(RDS, "2", "r=1")
        >> world(clusters=["b", "c"], routes=["r=2"], after=first) << (Sent(CDS, "3", "a=1 b=1 c=1"), Wake(2.0, "3"))
        >> ack(CDS, "3") << (Accepted(CDS, "3", "c=1"), Sent(RDS, "4", "r=2"))
        >> ack(RDS, "4", "r") << (Accepted(RDS, "4", "r=2"), Sent(CDS, "5", "b=1 c=1", removed="a"))
        >> ack(CDS, "5") << Accepted(CDS, "5", removed="a")
    )  # fmt: skip


def test_the_version_is_of_all_that_the_client_will_hold() -> None:  # R15
    stream = SotwStream()
    first = world(endpoints=["x", "y"])
    stream.publish(first)
    Dialogue(stream) >> ask(EDS, "x y") << Sent(EDS, "1", "x=1 y=1") >> ack(EDS, "1", "x y") << None
    [send] = stream.publish(world(endpoints=["x", "y=2"], after=first))
    assert isinstance(send, Send)
    response = decode(DiscoveryResponse, send.payload)
    assert response.version_info == version("x", "y=2")
    assert [(each.type_url, each.value) for each in response.resources] == [(EDS, b"y=2")]
    assert (response.type_url, response.nonce) == (EDS, "2")


def test_routes_are_sent_with_the_listener_that_needs_them_whatever_version_is_stated() -> None:  # R5
    """The client may have let go of them with the listener, and would wait for them for ever."""
    (
        Dialogue(SotwStream())
        >> world(listeners=["l>r"], routes=["r"])
        >> ask(LDS) << Sent(LDS, "1", "l=1")
        >> SotwRequest(RDS, ("r",), version("r"), "old") << Sent(RDS, "2", "r=1")
    )  # fmt: skip


def test_routes_that_a_client_asks_for_by_itself_are_those_that_it_states() -> None:  # R5
    (
        Dialogue(SotwStream())
        >> world(listeners=["l>r"], routes=["r"])
        >> SotwRequest(LDS, (), version("l"), "old") << None
        >> SotwRequest(RDS, ("r",), version("r"), "old") << None
    )  # fmt: skip


@pytest.mark.parametrize(("brought", "sent"), [("a", None), ("a=2", Sent(SDS, "2", "s=1"))])
def test_secrets_are_sent_with_what_needs_them_whatever_version_is_stated(brought: str, sent: Sent | None) -> None:
    dialogue = Dialogue(SotwStream()) >> world(clusters=[brought], secrets=["s"])
    dialogue >> SotwRequest(CDS, (), version("a"), "old") << (Sent(CDS, "1", "a=2") if sent else None)
    dialogue >> SotwRequest(SDS, ("s",), version("s"), "old") << sent
