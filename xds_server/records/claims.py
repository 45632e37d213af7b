"""Which release has a host: one host belongs to one release at a gateway.

Who has a host keeps it as long as it wants it. Of those that want a free one the oldest gets it: by creation time, else
by when it was first accepted, else by name. What all releases of a change want is weighed at once, so two may swap.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, NamedTuple

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.records.models import Release


class Claim(NamedTuple):
    """A host at a gateway."""

    gateway: Ref
    host: str


class Conflict(NamedTuple):
    """The claim that a release lost, and to whom."""

    claim: Claim
    winner: Ref


Wanted = Mapping[Ref, Release | None]
Claims = Map[Claim, Ref]
Age = Callable[[Ref], Any]


def claims_of(release: Release | None) -> Iterator[Claim]:
    if release is None:
        return
    for gateway in release.spec.gateways:
        for host in release.spec.all_hosts:
            yield Claim(release.refer(gateway), host)


def only_at(release: Release, kept: Set[Claim]) -> Release | None:
    """What is left of a release that has none but these claims: itself if it has no others, None if nothing is.

    An audience whose own hosts are all lost goes with them: without hosts it would hold on every host. A host that is
    kept at some of the gateways alone is lost.
    """
    claims = frozenset(claims_of(release))
    left = claims & kept
    if left == claims:
        return release
    spec = release.spec
    gateways = tuple(each for each in spec.gateways if any(claim.gateway == release.refer(each) for claim in left))
    hosts = {host for host in spec.all_hosts if all(Claim(release.refer(each), host) in left for each in gateways)}
    if not left or not hosts:
        return None
    audiences = (
        each.model_copy(update={"hosts": _of(each.hosts, hosts)})
        for each in spec.audiences
        if not each.hosts or not hosts.isdisjoint(each.hosts)
    )
    narrowed = {"gateways": gateways, "hosts": _of(spec.hosts, hosts), "audiences": tuple(audiences)}
    return release.model_copy(update={"spec": spec.model_copy(update=narrowed)})


def _of(hosts: tuple[str, ...], kept: Set[str]) -> tuple[str, ...]:
    return tuple(each for each in hosts if each in kept)


def conflicts(wanted: Wanted, owners: Claims, age: Age) -> dict[Ref, Conflict]:
    """The releases of `wanted` (None: it goes) that cannot have what they want; they keep what they had."""
    contest = _Contest(dict(wanted), owners)
    while losers := contest.losers(age):
        contest.leave(losers)
    lost = sorted(wanted.keys() - contest.standing.keys(), key=age)
    # Some lost to a release that then lost itself: the oldest that now can have what it wants stands again.
    while (spared := next((ref for ref in lost if contest.conflict(ref, wanted[ref]) is None), None)) is not None:
        lost.remove(spared)
        contest.stand(spared, wanted[spared])
    return {ref: found for ref in lost if (found := contest.conflict(ref, wanted[ref])) is not None}


class _Contest:
    """Who would have which host if all that stand get what they want."""

    def __init__(self, standing: dict[Ref, Release | None], owners: Claims) -> None:
        self.standing: dict[Ref, Release | None] = {}
        self._owners = owners
        self._claimants: defaultdict[Claim, set[Ref]] = defaultdict(set)
        for ref, release in standing.items():
            self.stand(ref, release)

    def stand(self, ref: Ref, release: Release | None) -> None:
        self.standing[ref] = release
        for claim in claims_of(release):
            self._claimants[claim].add(ref)

    def leave(self, losers: set[Ref]) -> None:
        for ref in losers:
            for claim in claims_of(self.standing.pop(ref)):
                self._claimants[claim].discard(ref)

    def losers(self, age: Age) -> set[Ref]:
        lost: set[Ref] = set()
        for claim, refs in self._claimants.items():
            keeper = self._keeper(claim)
            if keeper is not None or len(refs) > 1:
                lost |= refs - {keeper if keeper is not None else min(refs, key=age)}
        return lost

    def _keeper(self, claim: Claim) -> Ref | None:
        """Who has the host and does not give it up."""
        owner = self._owners.get(claim)
        gives_up = owner in self.standing and owner not in self._claimants.get(claim, ())
        return None if gives_up else owner

    def conflict(self, ref: Ref, release: Release | None) -> Conflict | None:
        """What keeps a release that does not stand from having all that it wants: first of all who has it already."""
        kept, contested = [], []
        for claim in claims_of(release):
            keeper, claimants = self._keeper(claim), self._claimants.get(claim, set()) - {ref}
            if keeper is not None and keeper != ref:
                kept.append(Conflict(claim, keeper))
            elif claimants:
                contested.append(Conflict(claim, min(claimants)))
        return next(iter([*kept, *contested]), None)
