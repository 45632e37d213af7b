"""A difference, and a plan, as data for scripts: the same names as in the records, shares in percent."""

from collections.abc import Iterable
from typing import Any

from xds_server.api.problems import problem_report
from xds_server.difference.builds import Bound, BuildChange
from xds_server.difference.comparison import Difference
from xds_server.difference.explicit import ExplicitChange
from xds_server.difference.gateways import GatewayChange, Listening
from xds_server.difference.history import in_percent
from xds_server.difference.moves import Answer, Move, Part
from xds_server.difference.planning import Planned
from xds_server.difference.records import FieldChange, RecordChange
from xds_server.difference.resources import ResourceChange
from xds_server.difference.rollouts import RolloutChange, StepShown, UsersMove
from xds_server.difference.traffic import Edited, HostChange, RuleChange
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.records.values import Model
from xds_server.traffic.intents import RefusalReason
from xds_server.traffic.slots import SLOTS


def difference_data(found: Difference) -> dict[str, Any]:
    return {
        "changes": found.changes,
        "traffic": [_host(each) for each in found.traffic],
        "edited": [_edited(each) for each in found.edited],
        "gateways": [_gateway(each) for each in found.gateways],
        "explicit": [_explicit(each) for each in found.explicit],
        "builds": [_build(each) for each in found.builds],
        "records": [_record(each) for each in found.records],
        "resources": [_resources(each) for each in found.resources],
        "heldBack": _problems(found.refused),
        "warnings": _problems(found.warned),
        "solved": _problems(found.solved),
    }


def plan_data(plan: Planned) -> dict[str, Any]:
    return {
        **difference_data(plan.difference),
        "users": [_users(each) for each in plan.users],
        "rollouts": [_rollout(each) for each in plan.rollouts],
    }


def _users(users: UsersMove) -> dict[str, Any]:
    return {"release": users.release.word, "moves": _slots(users.slots), "drawnAnew": users.drawn_anew}


def _slots(slots: int | None) -> dict[str, float] | None:
    return None if slots is None else {"slots": slots, "of": SLOTS, "percent": round(100 * slots / SLOTS, 2)}


def _rollout(change: RolloutChange) -> dict[str, Any]:
    return {
        "release": change.release.word,
        "course": change.course.value,
        "because": change.because,
        "standing": change.standing,
        "deployment": change.deployment.word,
        "steps": [_step(each) for each in change.steps],
    }


def _step(step: StepShown) -> dict[str, Any]:
    return {
        "percent": None if step.share is None else step.share / 100,
        "waits": step.waits,
        "weights": in_percent(step.weights),
        "moves": _slots(step.moves),
        "passed": step.passed,
    }


def _host(change: HostChange) -> dict[str, Any]:
    return {
        "gateway": change.gateway.word,
        "host": change.host,
        "release": {"before": _word(change.before), "after": _word(change.after)},
        "rules": [_rule(each) for each in change.rules],
        "order": list(change.reordered),
    }


def _rule(change: RuleChange) -> dict[str, Any]:
    return {
        "rule": change.name,
        "change": change.change.value,
        "instead": change.instead,
        "match": {"before": _written(change.match_before), "after": _written(change.match)},
        "before": [_part(each) for each in change.before],
        "after": [_part(each) for each in change.after],
        "moves": [_move(each) for each in change.moves],
        "drawnAnew": change.redrawn,
    }


def _part(part: Part) -> dict[str, Any]:
    return {**_answer(part.answer), "percent": part.share / 100}


def _move(move: Move) -> dict[str, Any]:
    return {"from": _answer(move.before), "to": _answer(move.after), "percent": move.share / 100}


def _answer(answer: Answer) -> dict[str, str]:
    return {"refused": answer.value} if isinstance(answer, RefusalReason) else {"deployment": answer.word}


def _edited(change: Edited) -> dict[str, Any]:
    rules = [{"release": release.word, "rule": rule} for release, rule in change.rules]
    return {"deployment": change.deployment.word, "rules": rules}


def _gateway(change: GatewayChange) -> dict[str, Any]:
    return {
        "gateway": change.gateway.word,
        "change": change.change.value,
        "listeners": [
            {"listener": each.name, "change": each.change.value, **_sides(each.before, each.after)}
            for each in change.listeners
        ],
        "settings": [_field(each) for each in change.settings],
    }


def _sides(before: Listening | None, after: Listening | None) -> dict[str, Any]:
    return {"before": _listening(before), "after": _listening(after)}


def _listening(said: Listening | None) -> dict[str, Any] | None:
    """As a record says it in full: the ports are those that clients are told."""
    if said is None:
        return None
    return {
        "name": said.name,
        "address": said.address,
        "port": said.port,
        "tls": {"secrets": list(said.certificates)} if said.certificates else None,
        "http3": _port(said.http3),
        "redirect": _port(said.redirect),
        "closed": said.closed,
    }


def _port(port: int | None) -> dict[str, int] | None:
    return None if port is None else {"port": port}


def _explicit(change: ExplicitChange) -> dict[str, Any]:
    return {
        "gateway": change.gateway.word,
        "before": _written(change.before),
        "after": _written(change.after),
        "came": _words(change.came),
        "went": _words(change.went),
    }


def _build(change: BuildChange) -> dict[str, Any]:
    return {
        "build": change.build.word,
        "turned": change.turned.value,
        "deployments": {"before": _words(change.before), "after": _words(change.after)},
        "withoutContext": {"before": bound_data(change.bound_before), "after": bound_data(change.bound_after)},
    }


def _record(change: RecordChange) -> dict[str, Any]:
    fields = [_field(each) for each in change.fields]
    return {"record": str(change.key), "change": change.change.value, "fields": fields}


def _field(change: FieldChange) -> dict[str, Any]:
    return {"path": change.path, "before": change.before, "after": change.after}


def _resources(change: ResourceChange) -> dict[str, Any]:
    return {
        "gateway": change.gateway.word,
        "type": change.kind,
        "came": list(change.came),
        "changed": list(change.changed),
        "went": list(change.went),
    }


def _written(said: Model | None) -> dict[str, Any] | None:
    """As a record says it."""
    return said.model_dump(mode="json", by_alias=True, exclude_defaults=True) if said is not None else None


def _word(ref: Ref | None) -> str | None:
    return ref.word if ref is not None else None


def _words(refs: Iterable[Ref]) -> list[str]:
    return [each.word for each in refs]


def _problems(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [problem_report(each).model_dump(mode="json") for each in problems]


def bound_data(bound: Bound | None) -> dict[str, Any] | None:
    if bound is None:
        return None
    if bound.deployment is not None:
        because = {"because": bound.because} if bound.because else {}
        return {"deployment": bound.deployment.word, **because}
    if bound.release is not None:
        lacking = {"never": [each.word for each in bound.lacking]} if bound.lacking else {}
        return {"release": bound.release.word, **lacking}
    return {"refused": bound.refused}
