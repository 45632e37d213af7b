"""What a sidecar does with one call of its application, and why: what `calls` hands to Envoy, tried here in its order.

    host       which component it names
    context    the deployment that the call carries, or that its build is in, or that the release gives it
    component  of that deployment

What is met and what is missed is kept, with the reason.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from xds_server.domain.builds import BuildId
from xds_server.domain.names import (
    BAGGAGE_KEY,
    CONTEXT_HEADER,
    CONTEXT_RULE,
    NO_CONTEXT_RULE,
    OWNER_RULE,
    ref,
)
from xds_server.graph import distil
from xds_server.records.world import AppWorld, World
from xds_server.traffic.calls import Callee, Calls, Oldest, Target, calls_of
from xds_server.traffic.choices import Choice, by_default
from xds_server.traffic.decisions import Decision, Outcome, Step
from xds_server.traffic.destinations import called, refused
from xds_server.traffic.expressions import ANY_SLOT
from xds_server.traffic.intents import (
    CONTEXT_UNKNOWN,
    DefaultIntent,
    Refusal,
)
from xds_server.traffic.requests import CannotExplain, Request, Seen, decoded, host_of, seen

BLANK = " \t\n\r\v\f"
CALLER = re.compile(r"(?:(?P<app>[^/@]+)/)?(?P<component>[^/@]+)@(?P<build>[^/@]+)")


def caller_of(world: World, word: str) -> BuildId:
    """The build that is meant by `COMPONENT@BUILD`, or by `APP/COMPONENT@BUILD` where several apps have it."""
    parts = CALLER.fullmatch(word)
    if parts is None:
        raise CannotExplain(f"{word!r} is no build: write COMPONENT@BUILD, or APP/COMPONENT@BUILD")
    apps = [ref(parts["app"])] if parts["app"] else sorted(world.apps)
    found = [BuildId(app, parts["component"], parts["build"]) for app in apps]
    live = [each for each in found if each in distil(world.app(each.app).deployments.values())]
    if len(live) == 1:
        return live[0]
    if live:
        raise CannotExplain(f"several apps have {word}; write one of: {', '.join(each.word for each in live)}")
    raise CannotExplain(f"no deployment in force contains {word}")


def decide_call(world: World, caller: BuildId, request: Request) -> Decision:
    """Of an application that calls by the sidecar of its build, in the way that its sidecar's listener sees it."""
    app, asked = world.app(caller.app), _as_it_comes(request)
    calls = calls_of(app, caller)
    host = host_of(request.authority)
    callee = next((each for each in calls.callees if host in each.hosts), None)
    if callee is None:
        steps = [Step(f"host {host}", False, calls.to_nobody.message)]
        outcomes = [refused("-", calls.to_nobody)]
    else:
        step, choices = _chosen(calls, asked)
        given = [_given(app, calls, callee, each) for each in choices]
        outcomes = [outcome for _, outcome in given]
        whose = f"it names component {callee.component} of app {caller.app.word}"
        steps = [Step(f"host {host}", True, whose), step, *(made for made, _ in given if made is not None)]
    return Decision(
        method=request.method,
        url=f"{request.scheme}://{request.authority}{request.path}",
        gateway="",
        listener="outbound",
        address="",
        app=caller.app.word,
        release="",
        steps=tuple(steps),
        outcomes=tuple(outcomes),
        caller=caller.word,
    )


def _as_it_comes(request: Request) -> Seen:
    """A sidecar keeps the id that a request has already."""
    found = seen(request)
    ids = [value for name, value in request.headers if name == "x-request-id"]
    own = request.request_id is None and len(ids) == 1 and re.match(ANY_SLOT, ids[0])
    return replace(found, request_id=ids[0]) if own else found


def _chosen(calls: Calls, request: Seen) -> tuple[Step, list[Choice]]:
    word, where = context_of(request)
    if word:
        given = next((each for each in calls.contexts if each.word == word), None)
        if given is None:
            return Step("context", True, f"{where} is {word!r}"), [Choice(CONTEXT_RULE, CONTEXT_UNKNOWN)]
        return Step("context", True, f"{where} is {word!r}"), [Choice(CONTEXT_RULE, given)]
    return _without(calls, request, where)


def _without(calls: Calls, request: Seen, where: str) -> tuple[Step, list[Choice]]:
    match calls.without:
        case Refusal() as refusal:
            why = f"{where}; {_sharing(calls)}"
            return Step("context", False, why), [Choice(NO_CONTEXT_RULE, refusal)]
        case DefaultIntent() as intent:
            step, choices = by_default(intent, request)
            drawn = any(each.sets_cookie for each in choices)
            because = "no cookie of the release's user: it is drawn" if drawn else step.because
            why = f"{where}; {_sharing(calls)}, so the release decides among them: {because}"
            return Step("context", False, why), [
                replace(each, rule=NO_CONTEXT_RULE, sets_cookie="") for each in choices
            ]
        case Oldest() as oldest:
            why = f"{where}; {_sharing(calls)}, and {oldest.because}: {oldest.deployment.word} is the oldest of them"
            return Step("context", False, why), [Choice(NO_CONTEXT_RULE, oldest.deployment)]
        case owner:
            why = f"{where}; the build is in {owner.word} alone"
            return Step("context", False, why), [Choice(OWNER_RULE, owner)]


def _sharing(calls: Calls) -> str:
    return f"{', '.join(each.word for each in calls.contexts)} share the build"


def context_of(request: Seen) -> tuple[str, str]:
    """The context that a request carries, and where; or none, and where it was looked for. The header wins."""
    header = _agreed(request.header(CONTEXT_HEADER) or "")
    if header:
        return header, f"header {CONTEXT_HEADER}"
    found = next((value for line in request.lines.get("baggage", ()) for value in _members(line) if value), "")
    if found:
        return found, f"member {BAGGAGE_KEY} of baggage"
    return "", f"header {CONTEXT_HEADER} and member {BAGGAGE_KEY} of baggage are absent or empty"


def _agreed(header: str) -> str:
    """What a header says that came several times, which arrives as one with commas; as it is if they differ."""
    if "," not in header:
        return header
    said = {each.strip(BLANK) for each in header.split(",")} - {""}
    return header if len(said) > 1 else next(iter(said), "")


def _members(line: str) -> Iterator[str]:
    """What the members of our name say, in order."""
    for member in line.split(","):
        key, equals, value = member.partition(";")[0].partition("=")
        if equals and decoded(key.replace("+", " ")).strip(BLANK) == BAGGAGE_KEY:
            yield decoded(value.strip(BLANK))


def _given(app: AppWorld, calls: Calls, callee: Callee, choice: Choice) -> tuple[Step | None, Outcome]:
    if isinstance(choice.given, Refusal):
        return None, _shared(refused(choice.rule, choice.given), choice)
    found = callee.contexts[choice.given]
    what = f"{choice.given.word} calls {callee.component}"
    if isinstance(found, Refusal):
        said = Step(what, False, found.message)
        return said, _shared(refused(choice.rule, found, choice.given.word), choice)
    return Step(what, True, _declared(app, calls, found)), _shared(called(app, choice.rule, found), choice)


def _shared(outcome: Outcome, choice: Choice) -> Outcome:
    return replace(outcome, share=choice.share, slot=choice.slot)


def _declared(app: AppWorld, calls: Calls, target: Target) -> str:
    declared = app.deployments[target.deployment].spec.components[calls.build.component].calls
    words = "declares no calls: it may call every component" if declared is None else "declares the call"
    return f"{calls.build.component} {words}"
