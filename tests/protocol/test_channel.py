"""Who is at fault when a response is refused."""

from itertools import count

import pytest

from tests.protocol.worlds import CDS, EDS, LDS, resource, snapshot_of, world
from xds_server.protocol.channel import Channel, Response
from xds_server.snapshot import Resource

NAMES = ["prod.shop-v2/web", "shop-v2/web", "shop-v2/web-2", "web"]


@pytest.mark.parametrize(
    ("reason", "culprits"),
    [
        pytest.param("Error adding/updating cluster(s) shop-v2/web: bad port", ["shop-v2/web"], id="one"),
        pytest.param("cluster(s) web: bad, shop-v2/web-2: worse", ["shop-v2/web-2", "web"], id="two"),
        pytest.param("cannot add prod.shop-v2/web.", ["prod.shop-v2/web"], id="end-of-a-sentence"),
        pytest.param("'shop-v2/web' (see web.internal)", ["shop-v2/web"], id="quoted-and-part-of-another-word"),
    ],
)
def test_names_in_the_reason_are_at_fault(reason: str, culprits: list[str]) -> None:  # R12, section 6
    channel = Channel(CDS, deniable=True)
    channel.publish(world(clusters=NAMES), follows=False)
    channel.sent(Response("1", {name: resource(name) for name in NAMES}))
    assert list(channel.refuse(reason)) == culprits
    assert channel.due == set(NAMES) - set(culprits)


@pytest.mark.parametrize("bad", [{0}, {63}, {99}, {0, 99}, {31, 32, 33}, set(range(0, 100, 10)), set(range(100))])
@pytest.mark.parametrize("reason", ["Proto constraint validation failed", ""])
def test_if_nobody_is_named_the_bad_ones_are_found_and_the_rest_moves_on(
    bad: set[int], reason: str
) -> None:  # R12, R22
    names = [f"c{number:02}" for number in range(100)]
    culprits = {names[number] for number in bad}
    channel = Channel(CDS, deniable=True)
    channel.publish(world(clusters=names), follows=False)
    channel.look(names)
    for nonce in count(1):
        if not channel.due:
            break
        sent = sorted(channel.due)[: channel.room]
        channel.sent(Response(str(nonce), {name: channel.content(name) for name in sent}))
        if culprits.isdisjoint(sent):
            channel.accept()
        else:
            channel.refuse(reason)
    assert channel.refused.keys() == culprits
    assert {*channel.held} == set(names) - culprits
    assert nonce <= 10 + 20 * len(bad)


def accepted(channel: Channel) -> Channel:
    channel.sent(Response("1", {name: channel.content(name) for name in channel.due}))
    channel.accept()
    return channel


def test_clients_that_hold_all_there_is_share_one_map() -> None:
    first = world(clusters=["web", "cart"])
    after = world(clusters=["web=2", "cart"], after=first)
    channel = Channel(CDS, deniable=True)
    channel.publish(first, follows=False)
    channel.look(["web"])
    assert accepted(channel).held is not first.of(CDS), "it lacks one"
    channel.look(["cart"])
    assert accepted(channel).held is first.of(CDS)

    channel.publish(after, follows=False)
    assert channel.held is first.of(CDS)
    assert accepted(channel).held is after.of(CDS)

    refusing = Channel(CDS, deniable=True)
    refusing.publish(first, follows=False)
    refusing.look(["web", "cart"])
    accepted(refusing).publish(after, follows=False)
    refusing.sent(Response("2", {"web": refusing.content("web")}))
    refusing.refuse("web: bad")
    assert {name: each.version for name, each in refusing.held.items()} == {"web": "1", "cart": "1"}


def test_who_was_sent_an_assignment_that_there_is_not_does_not_hold_what_the_world_has() -> None:
    channel = Channel(EDS, deniable=True)
    channel.publish(there := world(endpoints=["pods", "more"]), follows=False)
    channel.ask(["pods", "nowhere"])
    assert {*accepted(channel).held} == {"pods", "nowhere"}
    assert len(channel.held) == len(there.of(EDS))


def listening(**addresses: str) -> dict[str, Resource]:
    return {name: Resource(name, each, b"", (), (each,)) for name, each in addresses.items()}


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        pytest.param({"l": "2", "m": "1", "n": "3"}, ["l"], id="two-that-swap"),
        pytest.param({"l": "2", "m": "3", "n": "1"}, ["l"], id="three-in-a-circle"),
        pytest.param({"l": "2", "m": "3", "n": "4"}, [], id="a-chain-has-an-order-that-works"),
        pytest.param({"l": "4", "m": "5", "n": "6"}, [], id="nobody-is-in-the-way"),
    ],
)
def test_listeners_that_want_each_others_addresses_need_one_to_let_go(wanted: dict[str, str], gone: list[str]) -> None:
    before, after = listening(l="1", m="2", n="3"), listening(**wanted)
    channel = Channel(LDS, deniable=True)
    for each in before.values():
        channel.claim(each)
    channel.publish(snapshot_of({LDS: after.values()}), follows=False)
    channel.look(after)
    news: dict[str, Resource | None] = dict(after)
    channel.sent(Response("1", news))
    channel.refuse("l, m, n: duplicate address")
    assert sorted(channel.leaving) == gone
    assert not channel.due
    if gone:
        channel.sent(Response("2", dict.fromkeys(gone)))
        channel.accept()
        assert channel.due == set(after)
