"""What a gateway does with one request, and why: the intents that compile hands to Envoy, tried here in its order.

    edge       what is no request at all, and redirects
    host       whose it is at this gateway
    explicit   a selector names the deployment
    audiences  in their order
    default    by slot: of the user if the release is sticky, else of the request
    routes     of the deployment that the request was given, and of no other

What is met and what is missed is kept, with the reason.
"""

from collections.abc import Iterator
from dataclasses import replace

from xds_server.domain.addresses import Address
from xds_server.domain.names import DEFAULT_RULE, EXPLICIT_RULE
from xds_server.records.models import Audience, Gateway, Listener
from xds_server.records.world import AppWorld, World
from xds_server.traffic import conditions
from xds_server.traffic.choices import Choice, by_default
from xds_server.traffic.conditions import Verdict
from xds_server.traffic.decisions import Answer, Decision, Outcome, Step
from xds_server.traffic.destinations import bound, refused
from xds_server.traffic.domains import OfDeployment, OfNobody, OfRelease, Owner, owner_of
from xds_server.traffic.edge import closed, enter
from xds_server.traffic.intents import (
    DEPLOYMENT_UNKNOWN,
    EXPLICIT_DENIED,
    AudienceIntent,
    Refusal,
)
from xds_server.traffic.listening import lacking
from xds_server.traffic.requests import Request, Seen, decoded, host_of, parameters
from xds_server.traffic.style import INTERNAL_SELECTOR, style_of


def decide(world: World, gateway: Gateway, listener: Listener, request: Request) -> Decision:
    missing = lacking(gateway, listener, world.secrets)
    entered = closed(listener, missing) if missing else enter(gateway, listener, request)
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
    step, choices = by_default(otherwise, request)
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


def _outcome(app: AppWorld | None, choice: Choice, request: Seen) -> Outcome:
    if isinstance(choice.given, Refusal):
        found = refused(choice.rule, choice.given)
    else:
        assert app is not None
        found = bound(app, choice.rule, choice.given, request)
    sets = choice.sets_cookie if found.answer is None else ""
    return replace(found, share=choice.share, slot=choice.slot, sets_cookie=sets)
