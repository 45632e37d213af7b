"""Make before break: what waits for what, one story a test."""

from tests.protocol.dialogue import Dialogue, Refused, Sent, ack, ask, nack
from tests.protocol.worlds import CDS, EDS, LDS, RDS, world
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Stuck, Wake
from xds_server.protocol.plan import Pace
from xds_server.snapshot import Snapshot

FIRST = world(clusters=["a>x"], endpoints=["x"], listeners=["l"], routes=["r"])


def settled(first: Snapshot = FIRST, rest: float = 0.0) -> Dialogue:
    """A client that holds the first world; four responses were sent to it."""
    return (
        Dialogue(DeltaStream(pace=Pace(2.0, rest)))
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> ask(EDS, "x") << Sent(EDS, "2", "x=1")
        >> ack(EDS, "2") >> ack(CDS, "1")
        >> ask(LDS) << Sent(LDS, "3", "l=1")
        >> ack(LDS, "3")
        >> ask(RDS, "r") << Sent(RDS, "4", "r=1")
        >> ack(RDS, "4") << None
    )  # fmt: skip


def test_a_release_is_one_response() -> None:  # a routing-only change skips to the routes
    settled() >> world(["a>x"], ["x"], ["l"], ["r=2"], after=FIRST) << Sent(RDS, "5", "r=2") >> ack(RDS, "5") << None


def test_make_before_break() -> None:  # R28, R30, R31
    (
        settled()
        >> world(["b>y"], ["y"], ["l"], ["r=2"], after=FIRST) << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> ask(EDS, "y") << Sent(EDS, "6", "y=1")
        >> ack(EDS, "6") << None
        >> ack(CDS, "5") << Sent(RDS, "7", "r=2")
        >> ack(RDS, "7") << Sent(CDS, "8", removed="a")
        >> DeltaRequest(EDS, (), ("x",)) << None
        >> ack(CDS, "8") << None
    )  # fmt: skip


def test_clusters_rest_before_they_are_removed() -> None:  # requests that were given the old routes are on their way
    (
        settled(rest=5.0)
        >> world(["b>y"], ["y"], ["l"], ["r=2"], after=FIRST) << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> ask(EDS, "y") << Sent(EDS, "6", "y=1")
        >> ack(EDS, "6") >> ack(CDS, "5") << Sent(RDS, "7", "r=2")
        >> ack(RDS, "7") << Wake(5.0, "rest-1")
        >> "rest-1" << Sent(CDS, "8", removed="a")
        >> DeltaRequest(EDS, (), ("x",))
        >> ack(CDS, "8") << None
    )  # fmt: skip


def test_a_cluster_that_returns_meanwhile_stays_and_rests_anew() -> None:
    without = world([], ["x"], ["l"], ["r"], after=FIRST)
    back = world(["a>x"], ["x"], ["l"], ["r"], after=without)
    (
        settled(rest=5.0)
        >> without << Wake(5.0, "rest-1")
        >> back << None
        >> world([], ["x"], ["l"], ["r"], after=back) << Wake(5.0, "rest-2")
        >> "rest-1" << None
        >> "rest-2" << Sent(CDS, "5", removed="a")
    )  # fmt: skip


def test_each_cluster_has_its_own_rest() -> None:
    first = world(["a>x", "b"], ["x"], ["l"], ["r"])
    without = world(["b"], ["x"], ["l"], ["r"], after=first)
    (
        Dialogue(DeltaStream(pace=Pace(2.0, 5.0)))
        >> first
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ask(EDS, "x") << Sent(EDS, "2", "x=1")
        >> ack(EDS, "2") >> ack(CDS, "1")
        >> ask(RDS, "r") << Sent(RDS, "3", "r=1")
        >> ack(RDS, "3") << None
        >> without << Wake(5.0, "rest-1")
        >> world([], ["x"], ["l"], ["r"], after=without) << Wake(5.0, "rest-2")
        >> "rest-1" << Sent(CDS, "4", removed="a")
        >> ack(CDS, "4") << None
        >> "rest-2" << Sent(CDS, "5", removed="b")
    )  # fmt: skip


def test_endpoints_that_are_gone_are_emptied_last() -> None:  # R28
    (
        settled()
        >> world([], [], ["l"], ["r=2"], after=FIRST) << Sent(RDS, "5", "r=2")
        >> ack(RDS, "5") << Sent(CDS, "6", removed="a")
        >> ack(CDS, "6") << Sent(EDS, "7", "x=absent")
    )  # fmt: skip


def test_endpoints_never_wait() -> None:  # they change every second
    second = world(["a=2>x"], ["x"], ["l"], ["r=2"], after=FIRST)
    (
        settled()
        >> second << (Sent(CDS, "5", "a=2"), Sent(EDS, "6", "x=1"), Wake(2.0, "5"))
        >> ack(EDS, "6")
        >> world(["a=2>x"], ["x=2"], ["l"], ["r=2"], after=second) << Sent(EDS, "7", "x=2")
    )  # fmt: skip


def test_routes_follow_their_listeners() -> None:  # R28
    (
        settled()
        >> world(["a>x"], ["x"], ["l=2"], ["r=2"], after=FIRST) << (Sent(LDS, "5", "l=2"), Sent(RDS, "6", "r=2"))
    )  # fmt: skip


def test_a_newer_world_does_not_skip_an_addition() -> None:  # R36
    second = world(["a>x", "b"], ["x"], ["l"], ["r=2"], after=FIRST)
    third = world(["a>x", "c"], ["x"], ["l"], ["r=3"], after=second)
    (
        settled()
        >> second << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> third << None
        >> ack(CDS, "5") << (Sent(CDS, "6", "c=1"), Wake(2.0, "6"))
        >> ack(CDS, "6") << Sent(RDS, "7", "r=3")
        >> ack(RDS, "7") << Sent(CDS, "8", removed="b")
    )  # fmt: skip


def test_a_cluster_that_returns_while_it_is_being_removed_is_added_before_its_routes() -> None:  # R36
    second = world([], ["x"], ["l"], ["r=2"], after=FIRST)
    third = world(["a>x"], ["x"], ["l"], ["r=3"], after=second)
    (
        settled()
        >> second << Sent(RDS, "5", "r=2")
        >> ack(RDS, "5") << Sent(CDS, "6", removed="a")
        >> third << Wake(2.0, "6")
        >> ack(CDS, "6") << (Sent(CDS, "7", "a=1"), Sent(EDS, "8", "x=1"), Wake(2.0, "7"))
        >> ack(CDS, "7") << Sent(RDS, "9", "r=3")
    )  # fmt: skip


def test_routes_that_are_on_their_way_keep_their_clusters() -> None:  # R30
    second = world(["a>x"], ["x"], ["l"], ["r=2"], after=FIRST)
    (
        settled()
        >> second << Sent(RDS, "5", "r=2")
        >> world([], ["x"], ["l"], ["r=3"], after=second) << None
        >> ack(RDS, "5") << Sent(RDS, "6", "r=3")
        >> ack(RDS, "6") << Sent(CDS, "7", removed="a")
    )  # fmt: skip


def test_refused_routes_keep_their_clusters() -> None:  # R30
    (
        settled()
        >> world([], ["x"], ["l"], ["r=2"], after=FIRST) << Sent(RDS, "5", "r=2")
        >> nack(RDS, "5") << Refused(RDS, "5", "r")
    )  # fmt: skip


def test_a_listener_goes_first_then_its_routes_then_their_clusters() -> None:  # R28
    (
        settled()
        >> world([], [], [], [], after=FIRST) << Sent(LDS, "5", removed="l")
        >> ack(LDS, "5") << None  # it drains, and its routes are in use
        >> DeltaRequest(RDS, (), ("r",)) << Sent(CDS, "6", removed="a")
        >> DeltaRequest(EDS, (), ("x",)) << None
        >> ack(CDS, "6") << None
    )  # fmt: skip


def test_a_cluster_that_does_not_warm_is_not_waited_for_longer_than_that() -> None:  # section 12
    second = world(["a>x", "b>y"], ["x"], ["l"], ["r=2"], after=FIRST)
    (
        settled()
        >> second << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> "4" << None
        >> "5" << (Stuck(("b",)), Sent(RDS, "6", "r=2"))
        >> "5" << None
        >> ack(RDS, "6") << None
        >> world(["a>x", "b>y"], ["x"], ["l"], ["r=3"], after=second) << Sent(RDS, "7", "r=3")
    )  # fmt: skip


def test_a_cluster_behind_a_stuck_one_is_waited_for() -> None:  # R36
    second = world(["a>x", "b>y"], ["x"], ["l"], ["r=2"], after=FIRST)
    third = world(["a>x", "b>y", "c>z"], ["x"], ["l"], ["r=3"], after=second)
    (
        settled()
        >> second << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> third << None
        >> "5" << Stuck(("b",))
        >> ack(CDS, "5") << (Sent(CDS, "6", "c=1"), Wake(2.0, "6"))
        >> ack(CDS, "6") << Sent(RDS, "7", "r=3")
    )  # fmt: skip


def test_an_answer_in_time_needs_no_timer() -> None:
    (
        settled()
        >> world(["a>x", "b>y"], ["x"], ["l"], ["r=2"], after=FIRST) << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> ack(CDS, "5") << Sent(RDS, "6", "r=2")
        >> "5" << None
    )  # fmt: skip


def test_the_time_can_be_set() -> None:
    (
        Dialogue(DeltaStream(pace=Pace(patience=0.5, rest=0.0)))
        >> FIRST
        >> ask(CDS) << Sent(CDS, "1", "a=1")
        >> ask(RDS, "r") << Wake(0.5, "1")
    )  # fmt: skip


def test_routes_wait_while_a_cluster_that_they_may_name_is_refused() -> None:  # R12, R30
    second = world(["a>x", "b"], ["x"], ["l"], ["r=2"], after=FIRST)
    third = world(["a>x", "b"], ["x"], ["l=2"], ["r=3"], after=second)
    (
        settled()
        >> second << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> nack(CDS, "5", "b: bad") << Refused(CDS, "5", "b")
        >> "5" << None
        >> third << None
        >> world(["a>x"], ["x"], ["l=2"], ["r=3"], after=third)
        << (Sent(CDS, "6", removed="b"), Sent(LDS, "7", "l=2"), Sent(RDS, "8", "r=3"))
    )  # fmt: skip


def test_routes_go_on_once_the_refused_cluster_is_mended() -> None:  # R12
    second = world(["a>x", "b"], ["x"], ["l"], ["r=2"], after=FIRST)
    (
        settled()
        >> second << (Sent(CDS, "5", "b=1"), Wake(2.0, "5"))
        >> nack(CDS, "5", "b: bad") << Refused(CDS, "5", "b")
        >> world(["a>x", "b=2"], ["x"], ["l"], ["r=2"], after=second) << (Sent(CDS, "6", "b=2"), Wake(2.0, "6"))
        >> ack(CDS, "6") << Sent(RDS, "7", "r=2")
    )  # fmt: skip


def test_a_refused_change_of_a_cluster_holds_nothing_back() -> None:  # the older content is still there
    (
        settled()
        >> world(["a=2>x"], ["x"], ["l"], ["r=2"], after=FIRST)
        << (Sent(CDS, "5", "a=2"), Sent(EDS, "6", "x=1"), Wake(2.0, "5"))
        >> nack(CDS, "5") << (Refused(CDS, "5", "a"), Sent(RDS, "7", "r=2"))
    )  # fmt: skip


def test_a_client_without_any_routes_gets_them_in_spite_of_a_refused_cluster() -> None:  # better one host down than all
    (
        Dialogue(DeltaStream())
        >> world(["a", "b"], [], ["l"], ["r"])
        >> ask(CDS) << Sent(CDS, "1", "a=1 b=1")
        >> ask(LDS) << Wake(2.0, "1")
        >> nack(CDS, "1", "b: bad") << (Refused(CDS, "1", "b"), Sent(CDS, "2", "a=1"), Wake(2.0, "2"))
        >> ack(CDS, "2") << None
        >> "2" << (Stuck(("b",)), Sent(LDS, "3", "l=1"))
        >> ack(LDS, "3")
        >> ask(RDS, "r") << Sent(RDS, "4", "r=1")
        >> ack(RDS, "4")
        >> world(["a", "b"], [], ["l=2"], ["r=2"]) << None
    )  # fmt: skip


def test_clusters_that_are_gone_wait_until_the_client_has_said_which_routes_it_has() -> None:  # R30
    (
        Dialogue(DeltaStream())
        >> world(["b"], [], ["l=2"], ["r=2"])
        >> DeltaRequest(CDS, initial_versions={"a": "1", "b": "1"}) << Wake(2.0, "introduction")
        >> DeltaRequest(LDS, initial_versions={"l": "1"}) << Sent(LDS, "1", "l=2")
        >> DeltaRequest(RDS, ("r",), (), {"r": "1"}) << Sent(RDS, "2", "r=2")
        >> ack(LDS, "1") << None
        >> ack(RDS, "2") << Sent(CDS, "3", removed="a")
    )  # fmt: skip


def test_a_client_that_never_speaks_of_routes_is_not_waited_for() -> None:
    (
        Dialogue(DeltaStream())
        >> world(["b"])
        >> DeltaRequest(CDS, initial_versions={"a": "1", "b": "1"}) << Wake(2.0, "introduction")
        >> "introduction" << Sent(CDS, "1", removed="a")
    )  # fmt: skip
