"""What a client says about its context changes nothing: the gateway alone binds a request to a deployment."""

from urllib.parse import unquote

import pytest

from e2e.support.client import Echo, Headers, echo
from e2e.support.world import V1, V2, App, World

pytestmark = pytest.mark.e2e

KEY = "xds.deployment"


@pytest.fixture
def app(world: World) -> App:
    """v1 is released; early adopters get v2."""
    app = world.app("context")
    v1 = app.deploy("v1", V1)
    v2 = app.deploy("v2", V2)
    early = {"headers": [{"name": "x-early", "exact": "true"}]}
    app.released(v1, audiences=[{"name": "early", "match": early, "deployment": v2}])
    return app


def members(received: Echo) -> list[str]:
    """The members of all baggage lines, without the spaces around their commas."""
    return [member.strip(" \t") for line in received.all("baggage") for member in line.split(",")]


def claims(received: Echo) -> list[str]:
    """What the baggage says the deployment is, read as liberally as any library would."""
    pairs = (unquote(member).partition(";")[0].partition("=") for member in members(received))
    return [value.strip() for key, _, value in pairs if key.strip().lower() == KEY]


def check(app: App, headers: Headers, kept: list[str]) -> None:
    """By default, explicitly and as an early adopter, the request is bound as if it had not claimed anything."""
    v1, v2 = f"{app.name}-v1", f"{app.name}-v2"
    explicit = app.explicit(v2, headers=headers)
    early = app.get(headers=[*headers, ("x-early", "true")])
    for reply, deployment in ((app.get(headers=headers), v1), (explicit, v2), (early, v2)):
        received = echo(reply.body)
        assert reply.served == deployment
        assert received.all("x-deployment") == [deployment]
        assert claims(received) == [deployment]
        assert [each for each in members(received) if each != f"{KEY}={deployment}"] == kept


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("x-deployment", "context-v2")], id="once"),
        pytest.param([("X-Deployment", "context-v2"), ("x-deployment", "context-v1")], id="twice"),
        pytest.param([("x-deployment", "context-v2,context-v1")], id="joined"),
        pytest.param([("x-deployment", "")], id="empty"),
        pytest.param([("x-deployment", "nothing-v9"), ("x-deployment", "")], id="unknown"),
    ],
)
def test_a_forged_context_header_is_overwritten(app: App, headers: list[tuple[str, str]]) -> None:
    check(app, headers, kept=[])


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        pytest.param([], [], id="none"),
        pytest.param([f"{KEY}=context-v2"], [], id="only-forged"),
        pytest.param([f"a=1,{KEY}=context-v2,b=2"], ["a=1", "b=2"], id="in-the-middle"),
        pytest.param([f"{KEY}=x", f"a=1, {KEY}=y ", "b=2"], ["a=1", "b=2"], id="on-many-lines"),
        pytest.param([f"{KEY} = context-v2 ; p=1,a=1"], ["a=1"], id="with-spaces-and-properties"),
        pytest.param([f"\t{KEY}\t=context-v2,a=1"], ["a=1"], id="with-tabs"),
        pytest.param(["xds%2Edeployment=context-v2,a=1"], ["a=1"], id="encoded-dot"),
        pytest.param(["%78ds%2edeploymen%74=context-v2,a=1"], ["a=1"], id="encoded-letters"),
        pytest.param([f"a=1,{KEY}=context%2Dv2,{KEY}"], ["a=1"], id="encoded-value-and-no-value"),
        pytest.param(
            ["a=%22x%22;p=1;q, b = two ,c=,d=a=b,e=%E2%82%AC"],
            ["a=%22x%22;p=1;q", "b = two", "c=", "d=a=b", "e=%E2%82%AC"],
            id="others-as-they-were",
        ),
        pytest.param(
            [f"my.{KEY}=1,{KEY}.x=2,xds-deployment=3,a={KEY}=4"],
            [f"my.{KEY}=1", f"{KEY}.x=2", "xds-deployment=3", f"a={KEY}=4"],
            id="names-that-are-only-similar",
        ),
    ],
)
def test_forged_baggage_is_removed_and_the_rest_kept(app: App, lines: list[str], kept: list[str]) -> None:
    check(app, [("baggage", line) for line in lines], kept)


def test_baggage_of_8_kib_arrives_without_what_is_forged(app: App) -> None:
    kept = [f"key{number}={'v' * 40}" for number in range(160)]
    forged = [f"{KEY}=context-v2", "xds%2edeployment=context-v2"]
    line = ",".join([forged[0], *kept[:80], forged[1], *kept[80:], forged[0]])
    padding = "p=" + "x" * (8192 - len(line) - 3)
    check(app, [("baggage", f"{line},{padding}")], [*kept, padding])


def test_one_value_of_8_kib_arrives_whole(app: App) -> None:
    check(app, [("baggage", "a=" + "%41" * 2730)], ["a=" + "%41" * 2730])
