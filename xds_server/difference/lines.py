"""A difference in lines for people: who gets what first, then what brings it about."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from xds_server.difference.builds import BuildChange, Turned
from xds_server.difference.change import Change, Line
from xds_server.difference.comparison import Difference
from xds_server.difference.explicit import ExplicitChange
from xds_server.difference.gateways import GatewayChange
from xds_server.difference.listening import listener_change
from xds_server.difference.records import FieldChange, RecordChange
from xds_server.difference.resources import ResourceChange
from xds_server.difference.traffic import Edited, HostChange, RuleChange
from xds_server.difference.words import answer, bound_words, conditions, percent, shares, words
from xds_server.domain.words import count, few
from xds_server.records.models import Access, Explicit

SIGNS = {Change.ADDED: "+", Change.CHANGED: "~", Change.REMOVED: "-"}
LISTENERS = {Change.ADDED: "open", Change.CHANGED: "change", Change.REMOVED: "close"}
FIELDS = 8
"""Fields of one record that are shown; the rest are counted."""


def sections(found: Difference) -> Mapping[str, Sequence[Line]]:
    """By title; those that have nothing to say are empty."""
    return {
        "Traffic that moves": [*_traffic(found.traffic), *map(_edited, found.edited)],
        "Gateways": [line for each in found.gateways for line in _gateway(each)],
        "Explicit access": [line for each in found.explicit for line in _explicit(each)],
        "Builds": [line for each in found.builds for line in _build(each)],
        "Records": [line for each in found.records for line in _record(each)],
        "Resources": [line for each in found.resources for line in _resources(each)],
    }


def summary(found: Difference) -> str:
    """In one line."""
    if not found.changes and not found.refused:
        return "nothing changes"
    counts = [
        _counted(len(found.records), "record", "differ"),
        *(_moving(found) or ["no traffic moves"]),
    ]
    if found.refused:
        counts.append(f"{count(len(found.refused), 'error')}: what is held back stays as it is")
    return "; ".join(counts)


def _moving(found: Difference) -> list[str]:
    """What clients may notice."""
    moved = sum(1 for each in found.traffic if _moves(each))
    listeners = [each.change for gateway in found.gateways for each in gateway.listeners]
    happens = [
        _counted(number, "listener", LISTENERS[change]) for change in Change if (number := listeners.count(change))
    ]
    settings = sum(1 for each in found.gateways if each.settings)
    selectors = sum(1 for each in found.explicit if each.before != each.after)
    calls = sum(1 for each in found.builds if _calls_move(each))
    return [
        *([f"traffic moves on {count(moved, 'host')}"] if moved else []),
        *([_counted(len(found.edited), "released deployment", "change")] if found.edited else []),
        *([", ".join(happens)] if happens else []),
        *([f"settings of {count(settings, 'gateway')} change"] if settings else []),
        *([f"explicit access changes at {count(selectors, 'gateway')}"] if selectors else []),
        *([f"calls without a context change from {count(calls, 'build')}"] if calls else []),
    ]


def _calls_move(change: BuildChange) -> bool:
    """From a build that turns shared they go where they went, unless they are refused from then on."""
    was, will_be = change.bound_before, change.bound_after
    if was is None or will_be is None:
        return False
    return change.turned is Turned.CALLS or was.refused != will_be.refused


def _counted(number: int, what: str, does: str) -> str:
    return f"{count(number, what)} {does}{'s' if number == 1 else ''}"


def _traffic(changes: Iterable[HostChange]) -> Iterator[Line]:
    """Hosts at which the same happens are said together."""
    alike: dict[tuple[object, ...], list[HostChange]] = {}
    for each in changes:
        alike.setdefault((each.gateway, each.before, each.after, each.rules, each.reordered), []).append(each)
    for hosts in sorted(alike.values(), key=lambda found: (not _moves(found[0]), found[0].gateway, found[0].host)):
        yield from _host(hosts[0], few(each.host for each in hosts))


def _moves(change: HostChange) -> bool:
    return any(rule.moves for rule in change.rules)


def _host(change: HostChange, hosts: str) -> Iterator[Line]:
    where = f"{hosts} at {change.gateway.word}:"
    if change.after is None:
        assert change.before is not None
        yield 2, "-", where, f"no host of Release {change.before.word} any more; 404 HostUnknown"
        return
    if change.before is None:
        yield 2, "+", where, f"new, of Release {change.after.word}"
    elif change.before != change.after:
        yield 2, "~", where, f"of Release {change.after.word}; before of Release {change.before.word}"
    else:
        yield 2, "~", where, f"of Release {change.after.word}"
    if change.before is None:
        yield from ((4, "", f"{rule.name}:", _who(rule)) for rule in change.rules if rule.change is Change.ADDED)
        return
    for rule in change.rules:
        yield from _rule(rule)
    if change.reordered:
        yield 4, "~", "order of rules:", ", ".join(change.reordered)


def _who(rule: RuleChange) -> str:
    return shares(rule.after) + (f" for {conditions(rule.match)}" if rule.match else "")


def _rule(rule: RuleChange) -> Iterator[Line]:
    sign = SIGNS[rule.change]
    label = f"{rule.name}:"
    for move in rule.moves:
        yield 4, sign, label, f"{percent(move.share)} moves from {answer(move.before)} to {answer(move.after)}"
        sign, label = " ", " " * len(label)
    if not rule.moves:
        yield 4, sign, label, "all users are drawn anew" if rule.redrawn else "nobody moves"
    elif rule.redrawn:
        yield 4, " ", " " * len(rule.name), " all users are drawn anew"
    for said in _details(rule):
        yield 4, " ", " " * len(rule.name), f" {said}"


def _details(rule: RuleChange) -> Iterator[str]:
    match rule.change:
        case Change.ADDED:
            yield f"new, for {conditions(rule.match)}; {rule.instead} had these"
        case Change.REMOVED:
            yield f"gone, was for {conditions(rule.match_before)}; {rule.instead} has these now"
        case Change.CHANGED if rule.match != rule.match_before:
            yield f"for {conditions(rule.match)}; was for {conditions(rule.match_before)}"
        case Change.CHANGED:
            pass
    if len(rule.before) > 1 or len(rule.after) > 1:
        yield f"then {shares(rule.after)}; before {shares(rule.before)}"


def _edited(change: Edited) -> Line:
    rules = few(f"{rule} of Release {release.word}" for release, rule in change.rules)
    return 2, "~", change.deployment.word, f"itself changes, under {rules}"


def _gateway(change: GatewayChange) -> Iterator[Line]:
    yield 2, SIGNS[change.change], change.gateway.word, ""
    for listener in change.listeners:
        sign, label = SIGNS[listener.change], f"listener {listener.name}:"
        for said in listener_change(listener):
            yield 4, sign, label, said
            sign, label = " ", " " * len(label)
    yield from _fields(change.settings)


def _explicit(change: ExplicitChange) -> Iterator[Line]:
    if change.before != change.after:
        yield 2, "~", f"at {change.gateway.word}:", f"{_selectors(change.after)}; before {_selectors(change.before)}"
    if change.came:
        yield 2, "+", words(change.came), f"can be asked for at {change.gateway.word}"
    if change.went:
        yield 2, "-", words(change.went), f"cannot be asked for any more at {change.gateway.word}{_instead(change)}"


def _instead(change: ExplicitChange) -> str:
    """What a request that asks gets; where no selector is read it does not ask."""
    if change.after is None:
        return ""
    return ": 403" if change.after.access is Access.DENIED else ": 404"


def _selectors(explicit: Explicit | None) -> str:
    if explicit is None:
        return "nothing is read"
    said = {"host": explicit.host, "header": explicit.header, "query": explicit.query}
    read = ", ".join(f"{name} {value}" for name, value in said.items() if value)
    return f"{read or 'nothing is read'} ({explicit.access.value})"


def _build(change: BuildChange) -> Iterator[Line]:
    word = change.build.word
    match change.turned:
        case Turned.ARRIVES:
            yield 2, "+", word, f"arrives with {words(change.after)}"
        case Turned.LEAVES:
            yield 2, "-", word, f"leaves with {words(change.before)}"
        case Turned.SHARED:
            yield 2, "~", word, f"turns shared: {words(change.after)}; it was {words(change.before)}'s alone"
        case Turned.OWNED:
            yield 2, "~", word, f"is {words(change.after)}'s alone; it was shared: {words(change.before)}"
        case Turned.CALLS:
            yield 2, "~", word, f"shared: {words(change.after)}"
    before, after = change.bound_before, change.bound_after
    if before is not None and after is not None and before != after:
        yield 4, "", "calls without a context:", f"{bound_words(after)}; before {bound_words(before)}"


def _record(change: RecordChange) -> Iterator[Line]:
    yield 2, SIGNS[change.change], str(change.key), ""
    yield from _fields(change.fields)


def _fields(fields: Sequence[FieldChange]) -> Iterator[Line]:
    for field in fields[:FIELDS]:
        yield 4, "", f"{field.path}:", _field(field)
    if len(fields) > FIELDS:
        yield 4, "", "", f"and {len(fields) - FIELDS} more fields"


def _field(field: FieldChange) -> str:
    if field.before is None:
        return f"{_value(field.after)} (new)"
    if field.after is None:
        return f"{_value(field.before)} (gone)"
    return f"{_value(field.before)} -> {_value(field.after)}"


def _value(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).removesuffix("...\n").strip()


def _resources(change: ResourceChange) -> Iterator[Line]:
    for sign, names in (("+", change.came), ("~", change.changed), ("-", change.went)):
        if names:
            yield 2, sign, f"{change.kind} at {change.gateway.word}:", few(names)
