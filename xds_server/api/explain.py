"""`POST /explain`: what a gateway does with a request, and why, by what this server has in force."""

from pydantic import BaseModel, ConfigDict, Field

from xds_server.records.world import World
from xds_server.traffic.decide import decide
from xds_server.traffic.decisions import Decision
from xds_server.traffic.entrances import entrance
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


def explained(world: World, question: Question) -> Decision:
    """`CannotExplain` says what of the question has no answer."""
    request = read_request(question.method, question.url, question.headers, question.request_id)
    found = entrance(world, request, question.gateway, question.listener)
    return decide(world, found.gateway, found.listener, request)
