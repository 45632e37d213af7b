"""`POST /explain`: what a gateway does with a request, and why, by what this server has in force."""

from collections.abc import Iterable
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from xds_server.api.problems import Standing
from xds_server.domain.names import record_id, ref
from xds_server.domain.problems import Problem, Severity
from xds_server.traffic.decide import decide
from xds_server.traffic.decisions import Decision
from xds_server.traffic.entrances import entrance
from xds_server.traffic.intents import RefusalReason
from xds_server.traffic.requests import read_request


class Question(BaseModel):
    """A request, as `curl` takes it. `gateway` and `listener` empty: found by the URL. `requestId` null: any."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    method: str = "GET"
    url: str
    headers: tuple[str, ...] = Field(default=(), max_length=1000)
    gateway: str = ""
    listener: str = ""
    request_id: str | None = Field(default=None, alias="requestId")


LOST = (RefusalReason.HOST_UNKNOWN, RefusalReason.DEPLOYMENT_UNKNOWN)


def explained(standing: Standing, question: Question) -> Decision:
    """`CannotExplain` says what of the question has no answer."""
    request = read_request(question.method, question.url, question.headers, question.request_id)
    found = entrance(standing.world, request, question.gateway, question.listener)
    decision = decide(standing.world, found.gateway, found.listener, request)
    return replace(decision, problems=tuple(map(str, _concerning(decision, standing.problems))))


def _concerning(decision: Decision, problems: Iterable[Problem]) -> list[Problem]:
    """What is wrong with the records that decided; where one is missing, with every record that is held back."""
    deployments = {each.deployment for each in decision.outcomes} - {"-"}
    words = [("Gateway", decision.gateway), *(("AppDeployment", word) for word in sorted(deployments))]
    words += [("Release", decision.release)] if decision.release else []
    records = {record_id(kind, ref(word)) for kind, word in words}
    lost = any(each.answer is not None and each.answer.reason in LOST for each in decision.outcomes)
    return [each for each in problems if each.record in records or (lost and each.severity is Severity.ERROR)]
