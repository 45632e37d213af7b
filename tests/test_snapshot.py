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


HOSTS = TypeUrl.VIRTUAL_HOST
WILDCARD = Resource("edge/http/*.test", "1", b"").for_names(lambda name: Resource(name, "1", b""))


def test_older_proxies_get_every_virtual_host_unasked_that_does_more_than_refuse() -> None:
    exact, sentinel = Resource("edge/http/a.test", "1", b""), frozenset({"edge/http/sentinel"})
    refusing = Resource("edge/http/*", "1", b"").for_names(lambda name: Resource(name, "1", b""), refuses=True)
    found = NOTHING.update({each.name: each for each in (exact, WILDCARD, refusing)})
    before = Snapshot({HOSTS: NOTHING}, on_demand=True, always={HOSTS: sentinel}, unasked_before=NEW)
    assert not before.known_to(OLD).always[HOSTS]
    after = before.followed_by({HOSTS: found}, 1, {HOSTS: frozenset(found)})
    unasked = after.known_to(OLD).always[HOSTS]

    assert after.known_to(NEW) is after
    assert after.always[HOSTS] == sentinel
    assert (set(unasked), len(unasked)) == ({"edge/http/a.test", "edge/http/*.test"}, 2)
    assert [each in unasked for each in ("edge/http/*.test", "edge/http/*", "edge/http/b.test", 7)] == [
        True,
        *[False] * 3,
    ]


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        (HOSTS, "edge/http/*.test", "edge/http/*.test"),
        (HOSTS, "edge/http/a.b.test", "edge/http/*.test"),
        (HOSTS, "edge/http/.test", "edge/http/*"),
        (HOSTS, "edge/https/a.test", None),
        (LDS, "edge/http/a.test", None),
    ],
)
def test_what_is_made_of_a_wildcard_is_found_by_it(kind: TypeUrl, name: str, found: str | None) -> None:
    resources = NOTHING.update({each.name: each for each in (WILDCARD, Resource("edge/http/*", "1", b""))})
    resource = Snapshot({HOSTS: resources}).find(kind, name)

    assert (resource and resource.name) == found
