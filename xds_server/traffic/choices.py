"""Which deployment a request is given by default: by the slot of its user, or its own.

Every test of a slot is the expression that Envoy is given, so that what has no slot at all goes where Envoy sends it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import xxhash

from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.traffic import conditions, expressions
from xds_server.traffic.decisions import Step
from xds_server.traffic.intents import DefaultIntent, Refusal
from xds_server.traffic.requests import Seen
from xds_server.traffic.slots import SLOTS, SlotRange, hash_seed, rest_of, width


@dataclass(frozen=True, slots=True)
class Choice:
    """The deployment that `share` percent of such requests are given, or why they are given none."""

    rule: str
    given: Ref | Refusal
    share: float = 100.0
    slot: int | None = None
    sets_cookie: str = ""


def by_default(intent: DefaultIntent, request: Seen) -> tuple[Step, list[Choice]]:
    sticky = intent.sticky
    if sticky is not None and sticky.cookie is not None:
        return _by_cookie(intent, sticky.cookie, request)
    if len(intent.ranges) == 1:
        only = intent.ranges[0].deployment
        return Step("default", True, f"{only.word} has all of it"), [Choice(DEFAULT_RULE, only)]
    if sticky is not None and sticky.header is not None:
        value = request.header(sticky.header) or ""
        if value:
            return _by_hash(intent, sticky.header, value)
        return _drawn(intent, request, f"header {sticky.header} is absent or empty, so it is drawn anew")
    return _drawn(intent, request, "the release is not sticky: every request is drawn anew")


def _by_cookie(intent: DefaultIntent, cookie: str, request: Seen) -> tuple[Step, list[Choice]]:
    cookies = request.header("cookie")
    if not conditions.matches(expressions.cookie_user(cookie), cookies):
        step, choices = _drawn(intent, request, f"cookie {cookie} has no user id yet: the answer sets it")
        return step, [replace(choice, sets_cookie=cookie) for choice in choices]
    rest = rest_of(intent.ranges)
    owner = next((each for each in intent.ranges if each is not rest and _has_user(cookie, each, cookies)), rest)
    slot = next((slot for slot in _user_slots(cookie, cookies or "") if owner.low <= slot < owner.high), None)
    return _sticky(f"the user's cookie {cookie}", owner, slot)


def _has_user(cookie: str, owner: SlotRange, cookies: str | None) -> bool:
    return conditions.matches(expressions.cookie_user(cookie, expressions.slots(owner.low, owner.high)), cookies)


def _user_slots(cookie: str, cookies: str) -> Iterator[int]:
    for each in re.split("[;,]", cookies):
        name, _, user = each.strip().partition("=")
        if name == cookie and re.match(expressions.ANY_SLOT, user):
            yield int(user[: expressions.SLOT_DIGITS], 16)


def _by_hash(intent: DefaultIntent, header: str, value: str) -> tuple[Step, list[Choice]]:
    slot = xxhash.xxh64_intdigest(value.encode("utf-8", "surrogateescape"), hash_seed(intent.app)) % SLOTS
    owner = next(each for each in reversed(intent.ranges) if slot >= each.low)
    return _sticky(f"header {header} is {value!r}: the user", owner, slot)


def _sticky(who: str, owner: SlotRange, slot: int | None) -> tuple[Step, list[Choice]]:
    words = f"{who} has slot {slot}, one of {owner.deployment.word}'s ({owner.low} to {owner.high - 1})"
    return Step("default", True, words), [Choice(DEFAULT_RULE, owner.deployment, slot=slot)]


def _drawn(intent: DefaultIntent, request: Seen, why: str) -> tuple[Step, list[Choice]]:
    if request.request_id is None:
        return Step("default", True, why), list(_shares(intent.ranges))
    rest = rest_of(intent.ranges)
    owner = next((each for each in intent.ranges if each is not rest and _drew(each, request.request_id)), rest)
    slot = int(request.request_id[: expressions.SLOT_DIGITS], 16)
    step, choices = _sticky("the request id", owner, slot)
    return replace(step, because=f"{why}; {step.because}"), choices


def _drew(owner: SlotRange, request_id: str) -> bool:
    return conditions.matches(expressions.request_slot(expressions.slots(owner.low, owner.high)), request_id)


def _shares(ranges: tuple[SlotRange, ...]) -> Iterator[Choice]:
    owned: Counter[Ref] = Counter()
    for each in ranges:
        owned[each.deployment] += width(each)
    for deployment, slots in owned.items():
        yield Choice(DEFAULT_RULE, deployment, round(slots * 100 / SLOTS, 2))
