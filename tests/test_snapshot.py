"""A snapshot as proxies of different ages know it."""

from collections.abc import Mapping

import pytest

from xds_server.domain.versions import Minor
from xds_server.snapshot import NOTHING, Resource, Snapshot, TypeUrl

LDS = TypeUrl.LISTENER

OLD, MIDDLE, NEW = (1, 36), (1, 38), (1, 40)
PLAIN = Resource("plain", "1", b"")
WITHHELD = Resource("withheld", "1", b"").for_envoys(NEW)
CHAIN = Resource("chain", "3", b"").for_envoys(
    (1, 39), Resource("chain", "2", b"").for_envoys((1, 37), Resource("chain", "1", b""))
)


def snapshot(*resources: Resource) -> Snapshot:
    found = NOTHING.update({each.name: each for each in resources})
    before = Snapshot({LDS: NOTHING}, 6)
    return before.followed_by({LDS: found}, 7, {LDS: frozenset(found)})


@pytest.mark.parametrize(
    ("envoy", "known"),
    [
        (OLD, {"plain": "1", "chain": "1"}),
        (MIDDLE, {"plain": "1", "chain": "2"}),
        ((1, 39), {"plain": "1", "chain": "3"}),
        (NEW, {"plain": "1", "chain": "3", "withheld": "1"}),
        ((2, 0), {"plain": "1", "chain": "3", "withheld": "1"}),
    ],
)
def test_a_proxy_is_told_what_it_knows_whole(envoy: Minor, known: Mapping[str, str]) -> None:
    found = snapshot(PLAIN, WITHHELD, CHAIN).known_to(envoy)

    assert {name: each.version for name, each in found.of(LDS).items()} == known
    assert (found.serial, found.since, found.changed) == (7, 6, {LDS: frozenset({"plain", "chain", "withheld"})})


def test_what_everybody_knows_is_one_snapshot_for_all() -> None:
    whole, mixed = snapshot(PLAIN), snapshot(PLAIN, CHAIN)

    assert whole.known_to(OLD) is whole
    assert mixed.known_to(OLD) is mixed.known_to(OLD), "all streams of one version share it"
    assert mixed.known_to((1, 39)) is mixed, "an Envoy that knows the newest of it knows all"


def test_what_older_proxies_are_told_next_is_made_of_what_changed() -> None:
    """The same as if it were made anew, whether anybody of that age was there before or not."""
    steps = [
        (PLAIN, CHAIN),
        (PLAIN, CHAIN, WITHHELD),
        (PLAIN,),
        (CHAIN, WITHHELD),
        (Resource("chain", "4", b""), PLAIN),
    ]
    snapshot = Snapshot({LDS: NOTHING})
    for number, step in enumerate(steps):
        found = NOTHING.update({each.name: each for each in step})
        before = snapshot.of(LDS)
        changed = frozenset(name for name in {*before, *found} if before.get(name) != found.get(name))
        snapshot = snapshot.followed_by({LDS: found}, number + 1, {LDS: changed})
        for envoy in (OLD, MIDDLE, NEW) if number != 1 else ():
            expected = {each.name: known for each in step if (known := each.known_to(envoy)) is not None}
            assert snapshot.known_to(envoy).of(LDS) == NOTHING.update(expected)
