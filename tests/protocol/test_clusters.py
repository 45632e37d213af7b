"""Which clusters there are on demand, one story a test."""

from dataclasses import replace

from tests.protocol.dialogue import Dialogue, Sent, ack, ask, started
from tests.protocol.worlds import CDS, EDS, RDS, VHDS, on_demand
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Wake


def test_everything_is_what_every_proxy_gets() -> None:  # R39: it is left to the server
    for everything in (ask(CDS), ask(CDS, "*")):
        Dialogue(DeltaStream()) >> on_demand(["!a", "b"]) >> everything << Sent(CDS, "1", "a=1")


def test_a_fresh_client_is_answered_even_if_there_is_nothing_for_it() -> None:  # else Envoy waits 15 s at start-up
    Dialogue(DeltaStream()) >> on_demand(["a"]) >> ask(CDS) << Sent(CDS, "1") >> ack(CDS, "1") << None


def test_what_comes_to_be_for_every_proxy_is_pushed() -> None:
    first = on_demand(["a"])
    started(first) >> on_demand(["!a"], after=first) << Sent(CDS, "5", "a=1")


def test_a_cluster_can_be_asked_for_by_name() -> None:  # R19, R39
    first = on_demand(["a"])
    (
        started(first)
        >> ask(CDS, "a", "b") << Sent(CDS, "5", "a=1", removed="b")
        >> ack(CDS, "5") << None
        >> on_demand(["a", "b"], after=first) << Sent(CDS, "6", "b=1")
        >> ack(CDS, "6")
        >> ask(CDS, "a") << Sent(CDS, "7", "a=1")
    )  # fmt: skip


def test_a_cluster_that_no_host_needs_stays() -> None:  # a rollback finds it warm
    first = on_demand(["a", "b"], [], ["shop>a"])
    second = on_demand(["a", "b"], [], ["shop=2>b"], after=first)
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << Sent(VHDS, "6", "e/h/shop=1")
        >> ack(VHDS, "6")
        >> second << (Sent(CDS, "7", "b=1"), Wake(2.0, "7"))
        >> ack(CDS, "7") << Sent(VHDS, "8", "e/h/shop=2")
        >> ack(VHDS, "8") << None
        >> on_demand(["a=2", "b"], [], ["shop=3>a"], after=second)
        << (Sent(CDS, "9", "a=2"), Sent(VHDS, "10", "e/h/shop=3"))
    )  # fmt: skip


def test_a_cluster_that_is_gone_is_removed_and_comes_back_only_if_it_is_wanted() -> None:
    first = on_demand(["a", "b"], [], ["shop>a"])
    second = on_demand([], [], ["shop=2"], after=first)
    (
        started(first)
        >> ask(CDS, "b") << Sent(CDS, "5", "b=1")
        >> ask(VHDS, "e/h/shop") << Wake(2.0, "5")
        >> ack(CDS, "5") << (Sent(CDS, "6", "a=1"), Wake(2.0, "6"))
        >> ack(CDS, "6") << Sent(VHDS, "7", "e/h/shop=1")
        >> ack(VHDS, "7")
        >> second << (Sent(CDS, "8", removed="b"), Sent(VHDS, "9", "e/h/shop=2"))
        >> ack(CDS, "8") << None
        >> ack(VHDS, "9") << Sent(CDS, "10", removed="a")
        >> ack(CDS, "10") << None
        >> on_demand(["a", "b"], [], ["shop=2"], after=second) << Sent(CDS, "11", "b=1")
    )  # fmt: skip


def test_a_cluster_that_returns_while_it_is_being_removed_is_followed_on() -> None:
    first = on_demand(["!a"])
    second = replace(on_demand([], after=first), always=on_demand().always)
    third = on_demand(["a"], after=second)
    (
        started(first)
        >> second << Sent(CDS, "5", removed="a")
        >> third << None
        >> ack(CDS, "5") << Sent(CDS, "6", "a=1")
        >> ack(CDS, "6")
        >> on_demand(["a=2"], after=third) << Sent(CDS, "7", "a=2")
    )  # fmt: skip


def test_endpoints_follow_every_cluster_that_is_sent() -> None:  # R32
    first = on_demand(["a>x"], ["x"], ["shop>a"])
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ask(EDS, "x") << Sent(EDS, "6", "x=1")
        >> ack(EDS, "6")
        >> ack(CDS, "5") << Sent(VHDS, "7", "e/h/shop=1")
        >> on_demand(["a=2>x"], ["x"], ["shop>a"], after=first) << (Sent(CDS, "8", "a=2"), Sent(EDS, "9", "x=1"))
    )  # fmt: skip


def test_a_client_that_returns_keeps_what_it_has() -> None:  # R18, R21
    world = on_demand(["a", "b=2", "c", "d"], [], ["shop>d"])
    (
        Dialogue(DeltaStream())
        >> world
        >> DeltaRequest(CDS, ("*", "a", "z"), (), {"a": "1", "b": "1", "gone": "1"})
        << (Sent(CDS, "1", "b=2", removed="z"), Wake(2.0, "introduction"))
        >> ack(CDS, "1") << None
        >> DeltaRequest(RDS, ("e/h",), (), {"e/h": "1"}) << None
        >> DeltaRequest(VHDS, ("*", "e/h/shop"), (), {"e/h/-": "1", "e/h/shop": "1"})
        << Sent(CDS, "2", "d=1", removed="gone")
    )  # fmt: skip


def test_who_asks_for_names_alone_is_sent_no_others() -> None:  # R25
    first = on_demand(["!a", "b", "c"], [], ["shop>b"])
    second = on_demand(["!a=2", "b=2", "c=2"], [], ["shop>b"], after=first)
    third = on_demand(["!a=3", "b=3", "c=3"], [], ["shop>b"], after=second)
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << Sent(VHDS, "6", "e/h/shop=1")
        >> ask(CDS, "c") << Sent(CDS, "7", "c=1")
        >> ack(CDS, "7")
        >> DeltaRequest(CDS, (), ("*",)) << None
        >> second << Sent(CDS, "8", "c=2")
        >> ack(CDS, "8")
        >> ask(CDS, "*") << Sent(CDS, "9", "a=2 b=2 c=2")
        >> ack(CDS, "9")
        >> third << Sent(CDS, "10", "a=3 b=3 c=3")
    )  # fmt: skip


def test_a_name_that_is_let_go_of_stays_if_it_exists() -> None:  # R20
    first = on_demand(["a"])
    (
        started(first)
        >> ask(CDS, "a", "z") << Sent(CDS, "5", "a=1", removed="z")
        >> ack(CDS, "5")
        >> DeltaRequest(CDS, (), ("a", "z")) << Sent(CDS, "6", "a=1", removed="z")
        >> ack(CDS, "6")
        >> on_demand(["a=2", "z"], after=first) << Sent(CDS, "7", "a=2")
    )  # fmt: skip
