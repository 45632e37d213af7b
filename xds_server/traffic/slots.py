"""Which slots a deployment owns: a user's slot, 16 bits of their id, decides their share.

The ranges are a pure function of the shares alone. Deployments own adjoining ranges in the order of their names,
whatever the order in which a record lists them. So:

- two deployments: changing their weights moves exactly the users that must move, and nobody leaves a deployment whose
  weight rises;
- n deployments: each of the n - 1 borders moves by at most the least movement that any assignment needs, so at most
  (n - 1) times that many users move; and a deployment whose weight rises while the others keep their proportions (a
  rollout) loses nobody.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from xds_server.domain.names import Ref
from xds_server.records.values import WHOLE

SLOTS = 1 << 16


@dataclass(frozen=True, slots=True)
class SlotRange:
    """The slots from `low` up to, not including, `high` belong to `deployment`."""

    deployment: Ref
    low: int
    high: int


def slot_ranges(shares: tuple[tuple[Ref, int], ...]) -> tuple[SlotRange, ...]:
    """Ranges for shares in hundredths of a percent that sum to `WHOLE`. A share of 0 owns nothing and is left out."""
    ranges = []
    below = 0
    for deployment, share in sorted(shares):
        if share:
            ranges.append(SlotRange(deployment, _border(below), _border(below + share)))
            below += share
    return tuple(ranges)


def restricted(ranges: tuple[SlotRange, ...], deployments: Container[Ref]) -> tuple[SlotRange, ...]:
    """The same for these deployments alone: each keeps its slots, and those of the others are theirs in proportion.

    So no user leaves one of them, but a deployment may own several ranges. Nothing, if none of them owns any.
    """
    kept = tuple(each for each in ranges if each.deployment in deployments)
    if len(kept) in (0, len(ranges)):
        return kept
    parts = ([each] if each.deployment in deployments else _divided(each, kept) for each in ranges)
    return tuple(_joined(chain.from_iterable(parts)))


def _divided(others: SlotRange, heirs: Iterable[SlotRange]) -> Iterator[SlotRange]:
    """A range of slots, in proportion of what the heirs have."""
    whole, size, below = sum(map(width, heirs)), width(others), 0
    for each in heirs:
        low, below = below, below + width(each)
        yield SlotRange(each.deployment, *(others.low + round(border * size / whole) for border in (low, below)))


def _joined(parts: Iterable[SlotRange]) -> Iterator[SlotRange]:
    """Adjoining ranges of one deployment are one range; those without a slot are none."""
    last: SlotRange | None = None
    for each in parts:
        if last is not None and (not width(each) or each.deployment == last.deployment):
            last = replace(last, high=each.high)
        elif width(each):
            if last is not None:
                yield last
            last = each
    if last is not None:
        yield last


def width(of: SlotRange) -> int:
    """How many slots it has."""
    return of.high - of.low


def _border(hundredths: int) -> int:
    return round(hundredths * SLOTS / WHOLE)


def rest_of(ranges: tuple[SlotRange, ...]) -> SlotRange:
    """The widest range: it gets what is in no other, so also what has no slot at all."""
    return max(ranges, key=lambda each: (width(each), each.deployment))


def hash_seed(app: Ref) -> int:
    """What makes a header's value a slot. The same users are not the first canaries of every app."""
    return int.from_bytes(hashlib.blake2b(app.word.encode(), digest_size=4).digest(), "big")
