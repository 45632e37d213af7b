"""Which deployment a request gets by default, as matchers: by the slot of its user if that is sticky, else its own."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.resources import branches, predicates
from xds_server.resources.branches import Branch, Try
from xds_server.traffic import expressions
from xds_server.traffic.intents import DefaultIntent
from xds_server.traffic.slots import SlotRange, hash_seed, rest_of

Owners = Mapping[Ref, Branch]
"""What requests see that are given a deployment."""


class Choice(NamedTuple):
    """The first of `tries` that holds, else `last`. Put into one list: Envoy pays for every matcher inside another."""

    tries: list[Try]
    last: Branch


def draw(intent: DefaultIntent, owners: Owners, new: Owners | None = None) -> Choice:
    """`new`: what users see who have no cookie yet, in place of `owners`."""
    sticky = intent.sticky
    if sticky is not None and sticky.cookie is not None:
        return _by_cookie(intent, sticky.cookie, owners, new or owners)
    if len(intent.ranges) == 1:
        return Choice([], owners[intent.ranges[0].deployment])
    drawn = _by_regex(intent.ranges, owners, "x-request-id", expressions.request_slot)
    if sticky is None or sticky.header is None:
        return drawn
    hashed = branches.choice(*_by_hash(intent, sticky.header, owners))
    return Choice([(predicates.header_regex(sticky.header, predicates.ANYTHING), hashed), *drawn.tries], drawn.last)


def _by_cookie(intent: DefaultIntent, cookie: str, owners: Owners, new: Owners) -> Choice:
    """Who has no cookie is drawn, and only there it is set; its id is then this request's."""
    known = _by_regex(intent.ranges, owners, "cookie", lambda digits: expressions.cookie_user(cookie, digits))
    drawn = _by_regex(intent.ranges, new, "x-request-id", expressions.request_slot)
    rest = predicates.header_regex("cookie", expressions.cookie_user(cookie)), known.last
    return Choice([*known.tries, rest, *drawn.tries], drawn.last)


def _by_regex(ranges: tuple[SlotRange, ...], owners: Owners, header: str, expression: Callable[[str], str]) -> Choice:
    rest = rest_of(ranges)
    tries = [
        (predicates.header_regex(header, expression(expressions.slots(each.low, each.high))), owners[each.deployment])
        for each in ranges
        if each is not rest
    ]
    return Choice(tries, owners[rest.deployment])


def _by_hash(intent: DefaultIntent, header: str, owners: Owners) -> Choice:
    seed = hash_seed(intent.app)
    tries = [
        (predicates.hash_at_least(header, each.low, seed), owners[each.deployment])
        for each in reversed(intent.ranges)
        if each.low
    ]
    return Choice(tries, owners[intent.ranges[0].deployment])
