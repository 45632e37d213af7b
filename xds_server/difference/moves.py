"""Which part of a rule's requests goes from one answer to another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xds_server.domain.names import Ref
from xds_server.traffic.intents import RefusalReason

Answer = Ref | RefusalReason
"""A deployment, or why there is none."""


@dataclass(frozen=True, slots=True)
class Part:
    """Of a rule's requests, `share` hundredths of a percent get `answer`."""

    answer: Answer
    share: int


@dataclass(frozen=True, slots=True)
class Move:
    """Of a rule's requests, `share` hundredths of a percent go from one answer to another."""

    before: Answer
    after: Answer
    share: int


Parts = tuple[Part, ...]


def moves(before: Parts, after: Parts, *, users_stay: bool) -> tuple[Move, ...]:
    """`users_stay`: both divide the same users by slot, so each user's part is known; else the least that must move."""
    found = _by_slot(before, after) if users_stay else _least(before, after)
    shares: dict[tuple[Answer, Answer], int] = {}
    for move in found:
        pair = move.before, move.after
        shares[pair] = shares.get(pair, 0) + move.share
    return tuple(Move(*pair, share) for pair, share in sorted(shares.items(), key=lambda each: (-each[1], str(each))))


def _by_slot(before: Parts, after: Parts) -> Iterator[Move]:
    """Deployments own adjoining ranges of slots in the order of their names (`traffic/slots.py`)."""
    one, two = _ranges(before), _ranges(after)
    for old, low, high in one:
        for new, from_, to in two:
            share = min(high, to) - max(low, from_)
            if share > 0 and old != new:
                yield Move(old, new, share)


def _ranges(parts: Parts) -> list[tuple[Answer, int, int]]:
    ranges, low = [], 0
    for part in sorted(parts, key=lambda each: _order(each.answer)):
        ranges.append((part.answer, low, low + part.share))
        low += part.share
    return ranges


def _order(answer: Answer) -> tuple[bool, Answer]:
    return isinstance(answer, RefusalReason), answer


def _least(before: Parts, after: Parts) -> Iterator[Move]:
    """Who has more than before takes it from those who have less."""
    one, two = _shares(before), _shares(after)
    losing = [(each, share - two.get(each, 0)) for each, share in one.items() if share > two.get(each, 0)]
    gaining = [(each, share - one.get(each, 0)) for each, share in two.items() if share > one.get(each, 0)]
    while losing and gaining:
        (old, less), (new, more) = losing.pop(0), gaining.pop(0)
        share = min(less, more)
        yield Move(old, new, share)
        losing[:0] = [(old, less - share)] if less > share else []
        gaining[:0] = [(new, more - share)] if more > share else []


def _shares(parts: Parts) -> Mapping[Answer, int]:
    return {part.answer: part.share for part in parts}
