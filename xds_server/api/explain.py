"""`POST /explain`: what a proxy does with a request, and why, by what this server has in force."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from xds_server.api.problems import Standing
from xds_server.domain.names import DEFAULT_RULE, NO_CONTEXT_RULE, record_id, ref
from xds_server.domain.problems import Problem, Severity
from xds_server.traffic.calling import caller_of, decide_call
from xds_server.traffic.calls import release_for_calls
from xds_server.traffic.decide import decide
from xds_server.traffic.decisions import Decision
from xds_server.traffic.entrances import entrance
from xds_server.traffic.intents import RefusalReason
from xds_server.traffic.requests import Request, read_request


class Question(BaseModel):
    """A request, as `curl` takes it. `gateway` and `listener` empty: found by the URL. `requestId` null: any.

    `from`: a build, as `component@build`, whose application makes the request by its sidecar.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    method: str = "GET"
    url: str
    headers: tuple[str, ...] = Field(default=(), max_length=1000)
    gateway: str = ""
    listener: str = ""
    request_id: str | None = Field(default=None, alias="requestId")
    caller: str = Field(default="", alias="from")

    def request(self) -> Request:
        """What is asked about. `NoRequest` says why it is none."""
        return read_request(self.method, self.url, self.headers, self.request_id)


LOST = (
    RefusalReason.HOST_UNKNOWN,
    RefusalReason.DEPLOYMENT_UNKNOWN,
    RefusalReason.COMPONENT_UNKNOWN,
    RefusalReason.CONTEXT_UNKNOWN,
)


EXAMPLE = '{"url": "http://shop.example.com/"}'
NO_BODY = f"the body is no JSON object with content-type: application/json; write {EXAMPLE}"
WORDS = {
    "missing": f"is missing; write {EXAMPLE}",
    "string_type": "must be a string",
    "tuple_type": "must be a list of strings",
    "too_long": "has too many items",
}


def malformed(errors: Sequence[Any]) -> str:
    """Why what came is no `Question`, by the first of pydantic's errors; it came as the body of a request."""
    kind, (_, *path) = errors[0]["type"], errors[0]["loc"]
    field = ".".join(map(str, path))
    if not path or kind == "json_invalid":
        return NO_BODY
    if kind == "extra_forbidden":
        known = ", ".join(field.alias or name for name, field in Question.model_fields.items())
        return f"{field!r} is no field of a question; there is {known}"
    return f"{field} {WORDS[kind]}"


def explained(standing: Standing, question: Question) -> Decision:
    """`CannotExplain` says what of the question has no answer."""
    request = question.request()
    if question.caller:
        decision = decide_call(standing.world, caller_of(standing.world, question.caller), request)
    else:
        found = entrance(standing.world, request, question.gateway, question.listener)
        decision = decide(standing.world, found.gateway, found.listener, request)
    problems = tuple(map(str, _concerning(decision, standing.problems)))
    return replace(decision, whence=_whence(decision, standing), problems=problems)


def _whence(decision: Decision, standing: Standing) -> str:
    """By the rule that decided, which is one. Without a context a call gets what the default of a release gives."""
    release, rule = decision.release, decision.outcomes[0].rule
    if rule == NO_CONTEXT_RULE:
        found = release_for_calls(standing.world.app(ref(decision.app)))
        release, rule = (found.ref.word, DEFAULT_RULE) if found is not None else ("", "")
    return standing.whence(ref(release)).get(rule, "") if release else ""


def _concerning(decision: Decision, problems: Iterable[Problem]) -> list[Problem]:
    """What is wrong with the records that decided; where one is missing, with every record that is held back."""
    deployments = {each.deployment for each in decision.outcomes} - {"-"}
    place = ("App", decision.app) if decision.caller else ("Gateway", decision.gateway)
    words = [place, *(("AppDeployment", word) for word in sorted(deployments))]
    words += [("Release", decision.release)] if decision.release else []
    records = {record_id(kind, ref(word)) for kind, word in words}
    lost = any(each.answer is not None and each.answer.reason in LOST for each in decision.outcomes)
    return [each for each in problems if each.record in records or (lost and each.severity is Severity.ERROR)]
