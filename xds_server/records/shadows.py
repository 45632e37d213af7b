"""What a record says and nobody will ever get: rules behind others, conditions that exclude each other.

Every finding is certain: what is called shadowed never wins (`overlaps`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.records.checks import Finding
from xds_server.records.matches import HeaderMatch, RouteRule
from xds_server.records.models import AppDeployment, Audience, Gateway, Release, Underscores
from xds_server.records.overlaps import Written, all_imply, exclusions, of_audience, of_route
from xds_server.records.yaml import FieldPath


class Route(NamedTuple):
    """A rule and where it is written."""

    component: str
    place: int
    rule: RouteRule

    @property
    def path(self) -> FieldPath:
        return "spec", "components", self.component, "routes", self.place

    @property
    def word(self) -> str:
        return f"components.{self.component}.routes.{self.place}"


def never_routed(deployment: AppDeployment) -> Iterator[Finding]:
    """Route rules that no request can reach."""
    rules = [rule for component in deployment.spec.components.values() for rule in component.routes]
    if len(rules) < 2 and not any(rule.headers or rule.query for rule in rules):
        return  # nearly every deployment: what follows would find nothing
    alike: defaultdict[tuple[str | None, ...], list[Route]] = defaultdict(list)
    for name, component in sorted(deployment.spec.components.items()):
        for index, rule in enumerate(component.routes):
            route = Route(name, index, rule)
            if rule.headers or rule.query:
                yield from _exclusions(route.path, route.word, of_route(rule))
            # Only rules of equal paths can stand in each other's way: a longer prefix comes before a shorter one.
            alike[rule.path, rule.path_regex, _prefix(rule)].append(route)
    for routes in alike.values():
        if len(routes) > 1:
            yield from _behind(sorted(routes, key=lambda route: route.rule.precedence))


def _prefix(rule: RouteRule) -> str | None:
    """No path at all means every path, as `/` does."""
    return rule.path_prefix or ("/" if rule.path is None and rule.path_regex is None else None)


def _behind(routes: list[Route]) -> Iterator[Finding]:
    for place, route in enumerate(routes):
        first = next((each for each in routes[:place] if _takes_all(each.rule, route.rule)), None)
        if first is not None:
            what = f"{route.word} is never used: {first.word} is tried before it and takes all of its requests"
            fix = "Remove it, or give it a condition that sets it apart and makes it come first"
            yield Finding(route.path, Reason.SHADOWED_RULE, what, fix)


def _takes_all(first: RouteRule, second: RouteRule) -> bool:
    methods = not first.methods or (bool(second.methods) and set(second.methods) <= set(first.methods))
    return methods and all_imply(of_route(second), of_route(first))


def _exclusions(path: FieldPath, word: str, written: list[Written]) -> Iterator[Finding]:
    for here, there, name in exclusions(written):
        what = f"{word} matches no request: its {here} and {there} exclude each other on {name!r}"
        yield Finding(path, Reason.CONTRADICTION, what, "Remove one of the two conditions")
        return


def never_given(release: Release, gateways: Map[Ref, Gateway], expired: Set[tuple[Ref, str]]) -> Iterator[Finding]:
    """Audiences, and a default, that no request can be given."""
    spec = release.spec
    live = [each for each in enumerate(spec.audiences) if (release.ref, each[1].name) not in expired]
    at = [found for name in spec.gateways if (found := gateways.get(release.refer(name))) is not None]
    for index, audience in enumerate(spec.audiences):
        path: FieldPath = ("spec", "audiences", index)
        if (release.ref, audience.name) in expired:
            yield _ended(path, audience)
            continue
        alone = [*_exclusions(path, f"audience {audience.name}", of_audience(audience.match))]
        alone = alone or [*_unseen(path, audience, at)]
        earlier = [each for place, each in live if place < index]
        yield from alone or _behind_audiences(path, audience, earlier, spec.all_hosts)
    yield from _unreached_default(release, [audience for _, audience in live])


def _ended(path: FieldPath, audience: Audience) -> Finding:
    until = f"{audience.until:%Y-%m-%d %H:%M}" if audience.until else ""
    what = f"audience {audience.name} ended {until} UTC; a host that only it had is answered 404"
    return Finding((*path, "until"), Reason.AUDIENCE_ENDED, what, "Remove the audience, or move its end")


def _unseen(path: FieldPath, audience: Audience, gateways: list[Gateway]) -> Iterator[Finding]:
    """Conditions on headers that no request has when its audience is looked for, at any of the gateways."""
    for index, condition in enumerate(audience.match.headers if audience.match else ()):
        here = (*path, "match", "headers", index)
        header = f"audience {audience.name} matches no request: header {condition.name}"
        if gateways and _needs_a_value(condition) and all(_selects(each, condition.name) for each in gateways):
            what = f"{header} is the gateway's selector, and a request with it is explicit"
            yield Finding(here, Reason.SELECTOR_WINS, what, "Match another header, or name the deployment by selector")
        elif gateways and _needs_presence(condition) and all(_takes_off(each, condition.name) for each in gateways):
            what = f"{header} has an underscore, and the gateway lets no such header through"
            fix = "Write the header with '-', or set the gateway's http.underscores to allow"
            yield Finding(here, Reason.STRIPPED_HEADER, what, fix)


def _needs_presence(condition: HeaderMatch) -> bool:
    if condition.present is not None:
        return condition.present != condition.invert
    return not condition.invert


def _needs_a_value(condition: HeaderMatch) -> bool:
    """An empty selector is none, so a condition that an empty value may meet is not lost."""
    asked = condition.exact or condition.prefix or condition.suffix or condition.contains
    return bool(asked) and not condition.invert


def _selects(gateway: Gateway, header: str) -> bool:
    return gateway.spec.explicit is not None and gateway.spec.explicit.header == header


def _takes_off(gateway: Gateway, header: str) -> bool:
    return "_" in header and gateway.spec.http.underscores is not Underscores.ALLOW


def _behind_audiences(
    path: FieldPath, audience: Audience, earlier: Iterable[Audience], hosts: tuple[str, ...]
) -> Iterator[Finding]:
    """On some of its hosts: a fault if it names them. On all of them: a fault in any case."""
    asked = set(audience.hosts or hosts)
    takers = _takers(audience, list(earlier), asked)
    everywhere = len(takers) == len(asked)
    if not takers or not (everywhere or audience.hosts):
        return
    where = "" if everywhere else f" on {', '.join(sorted(takers))}"
    names = ", ".join(sorted(set(takers.values())))
    what = f"audience {audience.name} gets no request{where}: all of them go to {names}, which comes before it"
    fix = "Move it up, or remove it" if everywhere else "Move it up, or take these hosts out of it"
    yield Finding(path, Reason.SHADOWED_AUDIENCE, what, fix)


def _takers(audience: Audience, earlier: list[Audience], hosts: Iterable[str]) -> Mapping[str, str]:
    """The hosts on which another audience has all of its requests, and which."""
    asked = of_audience(audience.match)
    wider = [each for each in earlier if each.match is None or all_imply(asked, of_audience(each.match))]
    found = {}
    for host in hosts:
        taker = next((each for each in wider if not each.hosts or host in each.hosts), None)
        if taker is not None:
            found[host] = taker.name
    return found


def _unreached_default(release: Release, live: list[Audience]) -> Iterator[Finding]:
    takers = {host: audience.name for audience in live if audience.match is None for host in audience.hosts}
    if release.spec.hosts and all(host in takers for host in release.spec.hosts):
        names = ", ".join(sorted({takers[host] for host in release.spec.hosts}))
        what = f"the default gets no request: on every host all of them go to {names}"
        fix = "Give the audience a match, or remove the hosts and the default"
        yield Finding(("spec", "default"), Reason.UNREACHED_DEFAULT, what, fix)
