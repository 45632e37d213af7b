"""A refusal is a problem for as long as it stands: heard from proxies, told to operators."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.records.folder import SHOP, gateway, release
from tests.runtime.test_control import Server
from xds_server.domain.names import ref
from xds_server.ledger.entry import State
from xds_server.protocol.events import Acked, Nacked, Node, Send
from xds_server.runtime.refusals import Refusals
from xds_server.snapshot import Delivery, Resource, TypeUrl
from xds_server.state.store import Store

ONE, TWO = Node("edge-1", "edge", "gateway"), Node("edge-2", "edge", "gateway")
NAME = "edge/http"
REFUSED = ("warning", "problem", "Gateway/default/edge")
SETTLED = ("info", "problem gone", "Gateway/default/edge")


class Fleet(Server):
    """A server and what its proxies say."""

    def listener(self) -> Resource:
        snapshot = self.snapshot()
        assert snapshot is not None
        return snapshot.of(TypeUrl.LISTENER)[NAME]

    def refuses(self, node: Node, resource: Resource | None = None, why: str = "cannot bind") -> list[tuple[str, ...]]:
        refused = resource or self.listener()
        with capture_logs() as logged:
            self.control.publishing.refusals.nacked(
                node, Nacked(TypeUrl.LISTENER, "1", why, {refused.name: refused.version})
            )
        return [(each["log_level"], each["event"], each["record"]) for each in logged]

    def accepts(self, node: Node, *resources: Resource, removed: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        with capture_logs() as logged:
            self.control.publishing.refusals.acked(node, Acked(TypeUrl.LISTENER, "1", resources, removed))
        return [(each["log_level"], each["event"], each["record"]) for each in logged]

    @property
    def refusals(self) -> list[str]:
        return [each.what for each in self.control.problems if each.reason == "Refused"]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Store.open(tmp_path / "state") as store:
        fleet = Fleet(store)
        fleet.hears(SHOP, complete=True)
        for node in (ONE, TWO):
            fleet.control.publishing.refusals.opened(node, "delta")
        yield fleet


def test_it_is_told_once_and_ends_when_the_proxy_accepts(fleet: Fleet) -> None:
    assert fleet.refuses(ONE) == [REFUSED]
    assert fleet.refuses(ONE) == [], "tried again, refused again: no news"
    assert fleet.refusals == ["proxy edge-1 refuses Listener edge/http: cannot bind"]
    assert fleet.metric("xds_server_problems", severity="error", reason="Refused", record="Gateway/default/edge") == 1

    assert fleet.accepts(ONE, fleet.listener()) == [SETTLED]
    assert fleet.refusals == []


def test_a_fleet_that_refuses_is_one_problem(fleet: Fleet) -> None:
    fleet.refuses(ONE)
    assert fleet.refuses(TWO) == [REFUSED, SETTLED], "it is told anew that it is several"
    assert fleet.refusals == ["proxy edge-1 and others refuse Listener edge/http: cannot bind"]

    fleet.accepts(ONE, fleet.listener())
    assert fleet.refusals == ["proxy edge-2 refuses Listener edge/http: cannot bind"]


def test_another_content_ends_it_even_if_the_proxy_has_that_already(fleet: Fleet) -> None:
    before = fleet.listener()
    fleet.hears({"edge.yaml": gateway().replace("8080", "80")})
    fleet.refuses(ONE)
    fleet.hears({"edge.yaml": gateway()})

    assert fleet.listener() == before
    assert fleet.refusals == []


def test_what_is_refused_too_late_is_no_problem(fleet: Fleet) -> None:
    before = fleet.listener()
    fleet.hears({"edge.yaml": gateway().replace("8080", "80")})

    assert fleet.refuses(ONE, before) == []


def test_it_stays_while_others_are_accepted_and_goes_with_the_resource(fleet: Fleet) -> None:
    fleet.refuses(ONE)
    assert fleet.accepts(ONE, Resource("edge/other", "1", b"")) == []
    assert fleet.accepts(TWO, fleet.listener()) == []
    assert fleet.accepts(ONE, removed=(NAME,)) == [SETTLED]


def test_a_proxy_that_is_gone_refuses_nothing(fleet: Fleet) -> None:
    fleet.control.publishing.refusals.opened(ONE, "delta")
    fleet.refuses(ONE)

    fleet.control.publishing.refusals.closed(ONE, "delta")
    assert fleet.refusals, "its other stream is still there"
    fleet.control.publishing.refusals.closed(ONE, "delta")
    assert fleet.refusals == []


def test_who_is_gone_refuses_nothing_once_the_quarantine_has_ended() -> None:
    quarantined, reports = [True], []
    refusals = Refusals(lambda *_: True, lambda *_: quarantined[0], lambda: reports.append(1))
    refusals.opened(ONE, "delta")
    refusals.nacked(ONE, Nacked(TypeUrl.LISTENER, "1", "cannot bind", {NAME: "1"}))
    refusals.closed(ONE, "delta")
    assert [*refusals.of(ref("edge"))], "others are kept from it"

    quarantined[0] = False
    refusals.acked(TWO, Acked(TypeUrl.LISTENER, "1", (Resource(NAME, "2", b""),), ()))
    assert [*refusals.of(ref("edge"))] == []
    assert len(reports) == 2


def test_a_content_that_comes_back_before_the_proxy_heard_of_another_is_still_refused(fleet: Fleet) -> None:
    """The stream sends it no more, so nothing would say it again."""
    fleet.hears({"edge.yaml": gateway().replace("8080", "80")})
    fleet.refuses(ONE)
    before = fleet.refusals
    fleet.hears({"edge.yaml": gateway()})
    assert fleet.refusals == []

    fleet.hears({"edge.yaml": gateway().replace("8080", "80")})
    assert fleet.refusals == before


def test_a_proxy_refuses_one_content_of_a_resource_at_a_time(fleet: Fleet) -> None:
    first = fleet.listener()
    fleet.refuses(ONE)
    fleet.hears({"edge.yaml": gateway().replace("8080", "80")})
    fleet.refuses(ONE, why="cannot bind :80")
    fleet.hears({"edge.yaml": gateway()})

    assert fleet.listener() == first
    assert fleet.refusals == []


async def test_a_host_under_a_wildcard_is_refused_by_itself(fleet: Fleet) -> None:
    """What is refused is a virtual host that was made of the wildcard's, and has a version of its own."""
    name, node = "edge/http/acme.shop.test", Node("edge-1", "edge", "gateway", version="1.40.0")
    fleet.hears({"shop.yaml": release("shop", "*.shop.test", to="v2")})
    snapshot = fleet.control.worlds.told(ref(node.cluster), Delivery.ON_DEMAND)
    assert snapshot is not None
    wildcard = snapshot.find(TypeUrl.VIRTUAL_HOST, name)
    assert wildcard is not None
    assert wildcard.exact is not None
    exact = wildcard.exact(name)
    for each in fleet.control.observers:
        each.opened(node, "delta")
        each.sent(node, Send(TypeUrl.VIRTUAL_HOST, "1", b"", (exact,), ()))
        each.nacked(node, Nacked(TypeUrl.VIRTUAL_HOST, "1", "bad regex", {name: exact.version}))

    [problem] = [each for each in fleet.control.problems if each.reason == "Refused"]
    assert problem.record == "Release/default/shop"
    assert problem.what == f"proxy edge-1 refuses VirtualHost {name}: bad regex"
    entry = fleet.control.books.ledger.entry(ref("shop"))
    assert entry is not None
    assert (entry.state, entry.refusal) == (State.REFUSED, f"{problem.record}: {problem.what}")


def test_a_storm_is_one_report(fleet: Fleet) -> None:
    due: list[Callable[[], None]] = []
    fleet.control.reporting.report_later(due.append)
    for number in range(5):
        fleet.refuses(Node(f"edge-{number}", "edge", "gateway"), why=f"no {number}")

    assert (len(due), fleet.refusals) == (1, [])
    due.pop()()
    assert fleet.refusals == ["proxy edge-0 and others refuse Listener edge/http: no 0"]
