"""What a change of what is in force does, as lines of the log: some of it, however large the change."""

from collections.abc import Iterable, Iterator
from itertools import islice

import structlog

from xds_server.difference.history import in_percent
from xds_server.difference.releases import ReleaseShift, RuleShift
from xds_server.domain.names import Ref
from xds_server.graph import distil, shift
from xds_server.records.admitted import Admission
from xds_server.records.world import World

log = structlog.get_logger()

SHOWN = 20
"""Names in one log line; the rest are counted."""


def log_change(before: World, after: Admission, told: Iterable[Ref], shifts: Iterable[ReleaseShift]) -> None:
    """What became of builds and releases, and the gateways that are told something else."""
    gateways = frozenset(told)
    for line in _shifts(before, after.world, after.touched):
        log.info("builds shifted", **line)
    for shift_ in islice(shifts, SHOWN):
        log.info("release changed", **_release(shift_))
    if after.touched or gateways:
        log.info("world changed", apps=some_of(after.touched), gateways=some_of(gateways))


def _shifts(before: World, after: World, touched: frozenset[Ref]) -> Iterator[dict[str, object]]:
    """What deploying and deleting did to the mesh."""
    for app in islice(sorted(touched), SHOWN):
        one, two = before.app(app), after.app(app)
        if one.deployments is not two.deployments:
            found = shift(distil(one.deployments.values()), distil(two.deployments.values()))
            names = {"arrived": found.arrived, "left": found.left, "now_shared": found.shared, "now_owned": found.owned}
            yield {"app": app.word, **{name: some_of(frozenset(builds)) for name, builds in names.items() if builds}}


def _release(change: ReleaseShift) -> dict[str, object]:
    """Who gets what from now on, and got until now: weights in percent."""
    rules: dict[str, object] = {each.name: _rule(each) for each in change.rules[:SHOWN]}
    more = len(change.rules) - SHOWN
    hosts = {"hosts_came": change.came, "hosts_went": change.went}
    return {
        "app": change.app.word,
        "release": change.release.word,
        "rules": rules,
        **({"more_rules": more} if more > 0 else {}),
        **{
            name: some_of(frozenset(f"{each.host} at {each.gateway.word}" for each in found))
            for name, found in hosts.items()
            if found
        },
    }


def _rule(change: RuleShift) -> dict[str, object]:
    found = {"before": in_percent(change.before), "after": in_percent(change.after)}
    return {**found, "others": True} if change.others else {**found}


def some_of(things: frozenset[Ref] | frozenset[object]) -> list[str]:
    """Their names, as far as one line may have them."""
    words = sorted(str(getattr(thing, "word", thing)) for thing in things)
    return [*words[:SHOWN], f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else words
