"""What a gateway does with one request, and why: the intents that compile hands to Envoy, tried here in its order.

host       whose it is at this gateway
explicit   a selector names the deployment
audiences  in their order
default    by slot: of the user if the release is sticky, else of the request
routes     of the deployment that the request was given, and of no other
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import xxhash

from xds_server.domain.addresses import Address
from xds_server.domain.names import DEFAULT_RULE, EXPLICIT_RULE, Ref
from xds_server.records.models import Audience, Gateway, Listener
from xds_server.records.world import AppWorld, World
from xds_server.traffic import conditions, expressions
from xds_server.traffic.conditions import Verdict
from xds_server.traffic.decisions import Answer, Decision, Outcome, Step
from xds_server.traffic.destinations import bound, refused
from xds_server.traffic.domains import OfDeployment, OfNobody, OfRelease, Owner, owner_of
from xds_server.traffic.edge import enter
from xds_server.traffic.intents import (
    DEPLOYMENT_UNKNOWN,
    EXPLICIT_DENIED,
    AudienceIntent,
    DefaultIntent,
    Refusal,
)
from xds_server.traffic.requests import Request, Seen, decoded, host_of, parameters
from xds_server.traffic.slots import SLOTS, SlotRange, hash_seed, rest_of
from xds_server.traffic.style import INTERNAL_SELECTOR, style_of


@dataclass(frozen=True, slots=True)
class Choice:
    """The deployment that `share` percent of such requests are given, or why they are given none."""

    rule: str
    given: Ref | Refusal
    share: float = 100.0
    slot: int | None = None
    sets_cookie: str = ""


def decide(world: World, gateway: Gateway, listener: Listener, request: Request) -> Decision:
    entered = enter(gateway, listener, request)
    if isinstance(entered, Answer):
        return _decision(gateway, listener, request, (), (Outcome(100.0, "-", "-", answer=entered),))
    domain, owner = owner_of(world, gateway, host_of(request.authority))
    steps, choices, app = _chosen(gateway, owner, entered)
    outcomes = tuple(_outcome(app, choice, entered) for choice in choices)
    host = Step(f"host {host_of(request.authority)}", not isinstance(owner, OfNobody), _whose(domain, owner))
    read = [Step("path", True, f"it is read as {entered.path}")] if entered.path != request.path else []
    made = _decision(gateway, listener, request, (*read, host, *steps), outcomes)
    if app is None:
        return made
    return replace(made, app=app.app.word, release=owner.release.ref.word if isinstance(owner, OfRelease) else "")


def _decision(
    gateway: Gateway, listener: Listener, request: Request, steps: tuple[Step, ...], outcomes: tuple[Outcome, ...]
) -> Decision:
    return Decision(
        method=request.method,
        url=f"{request.scheme}://{request.authority}{request.path}",
        gateway=gateway.ref.word,
        listener=listener.name,
        address=str(Address(listener.address, listener.port)),
        app="",
        release="",
        steps=steps,
        outcomes=outcomes,
    )


def _whose(domain: str, owner: Owner) -> str:
    match owner:
        case OfRelease():
            return f"{domain} is a host of release {owner.release.ref.word}, app {owner.app.app.word}"
        case OfDeployment():
            return f"it is the own host of deployment {owner.deployment.word}, app {owner.app.app.word}"
        case OfNobody():
            return owner.refusal.message


def _chosen(gateway: Gateway, owner: Owner, request: Seen) -> tuple[list[Step], list[Choice], AppWorld | None]:
    match owner:
        case OfNobody():
            return [], [Choice(owner.rule, owner.refusal)], None
        case OfDeployment():
            return [], [Choice(EXPLICIT_RULE, owner.deployment)], owner.app
        case OfRelease():
            steps, choices = _on_host(gateway, owner, request)
            return steps, choices, owner.app


def _on_host(gateway: Gateway, owner: OfRelease, request: Seen) -> tuple[list[Step], list[Choice]]:
    steps: list[Step] = []
    for step, choice in _before_the_default(gateway, owner, request):
        steps.append(step)
        if choice is not None:
            return steps, [choice]
    otherwise = owner.host.otherwise
    if isinstance(otherwise, Refusal):
        return [*steps, Step("default", False, otherwise.message)], [Choice(DEFAULT_RULE, otherwise)]
    step, choices = _default(otherwise, request)
    return [*steps, step], choices


def _before_the_default(gateway: Gateway, owner: OfRelease, request: Seen) -> Iterator[tuple[Step, Choice | None]]:
    yield _explicit(gateway, owner.app, request)
    live = {intent.name: intent for intent in owner.host.audiences}
    for audience in owner.release.spec.audiences:
        if audience.name in live:
            yield _audience(live[audience.name], request)
        else:
            yield Step(f"audience {audience.name}", False, _why_not_here(owner, audience)), None


def _why_not_here(owner: OfRelease, audience: Audience) -> str:
    if audience.hosts and owner.host.host not in audience.hosts:
        return f"it is for {', '.join(audience.hosts)} only"
    if (owner.release.ref, audience.name) in owner.app.expired and audience.until is not None:
        return f"it has ended: until {audience.until.isoformat(timespec='seconds')}"
    return "this host was for an audience that has ended, and is for nobody else"


def _explicit(gateway: Gateway, app: AppWorld, request: Seen) -> tuple[Step, Choice | None]:
    style = style_of(gateway)
    name, where = _selector(gateway, request)
    if not name:
        return Step("explicit", False, where), None
    given = next((ref for ref in app.deployments if ref.word == name), None)
    if style.denies_explicit:
        return Step("explicit", True, f"{where} is {name!r}"), Choice(EXPLICIT_RULE, EXPLICIT_DENIED)
    if given is None:
        words = f"{where} is {name!r}, which is no deployment of app {app.app.word}"
        return Step("explicit", True, words), Choice(EXPLICIT_RULE, DEPLOYMENT_UNKNOWN)
    return Step("explicit", True, f"{where} is {name!r}"), Choice(EXPLICIT_RULE, given)


def _selector(gateway: Gateway, request: Seen) -> tuple[str, str]:
    """What names a deployment, and where it was found; or nothing, and where it was looked for."""
    explicit, style = gateway.spec.explicit, style_of(gateway)
    if explicit is None or not style.selector:
        return "", f"gateway {gateway.ref.word} reads no selector on a release's host"
    looked = []
    if explicit.query:
        pairs = ((decoded(name), decoded(value)) for name, value in parameters(request.path))
        value = next((value for name, value in pairs if name == explicit.query), "")
        if value:
            return value, f"query parameter {explicit.query}"
        looked.append(f"query parameter {explicit.query}")
    if style.selector != INTERNAL_SELECTOR:
        value = request.header(style.selector) or ""
        if value:
            return value, f"header {style.selector}"
        looked.append(f"header {style.selector}")
    return "", f"{' and '.join(looked)} {'are' if len(looked) > 1 else 'is'} absent or empty"


def _audience(intent: AudienceIntent, request: Seen) -> tuple[Step, Choice | None]:
    everyone = Verdict(True, "everyone on this host is in it")
    verdict = everyone if intent.match is None else conditions.audience(intent.match, request)
    choice = Choice(intent.name, intent.deployment) if verdict.holds else None
    return Step(f"audience {intent.name}", verdict.holds, verdict.because), choice


def _default(intent: DefaultIntent, request: Seen) -> tuple[Step, list[Choice]]:
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
        shares = [Choice(DEFAULT_RULE, each.deployment, _percent(each)) for each in intent.ranges]
        return Step("default", True, why), shares
    rest = rest_of(intent.ranges)
    owner = next((each for each in intent.ranges if each is not rest and _drew(each, request.request_id)), rest)
    digits = request.request_id[: expressions.SLOT_DIGITS]
    slot = int(digits, 16) if re.fullmatch(expressions.ANY_SLOT, digits) else None
    step, choices = _sticky("the request id", owner, slot)
    return replace(step, because=f"{why}; {step.because}"), choices


def _drew(owner: SlotRange, request_id: str) -> bool:
    return conditions.matches(expressions.request_slot(expressions.slots(owner.low, owner.high)), request_id)


def _percent(owner: SlotRange) -> float:
    return round((owner.high - owner.low) * 100 / SLOTS, 2)


def _outcome(app: AppWorld | None, choice: Choice, request: Seen) -> Outcome:
    if isinstance(choice.given, Refusal):
        found = refused(choice.rule, choice.given)
    else:
        assert app is not None
        found = bound(app, choice.rule, choice.given, request)
    sets = choice.sets_cookie if found.answer is None else ""
    return replace(found, share=choice.share, slot=choice.slot, sets_cookie=sets)
