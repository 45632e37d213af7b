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
from dataclasses import dataclass

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


def _border(hundredths: int) -> int:
    return round(hundredths * SLOTS / WHOLE)


def rest_of(ranges: tuple[SlotRange, ...]) -> SlotRange:
    """The widest range: it gets what is in no other, so also what has no slot at all."""
    return max(ranges, key=lambda each: (each.high - each.low, each.deployment))


def hash_seed(app: Ref) -> int:
    """What makes a header's value a slot. The same users are not the first canaries of every app."""
    return int.from_bytes(hashlib.blake2b(app.word.encode(), digest_size=4).digest(), "big")
