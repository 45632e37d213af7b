import json
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, Counter

from tests.records.folder import SHOP, Server
from xds_server.api.admin import Readiness, admin_app, misread
from xds_server.api.problems import Standing
from xds_server.domain.errors import StateUnwritable


async def ask(
    app: FastAPI, path: str, method: str = "GET", sent_body: bytes = b"", kind: bytes = b"application/json", **more: Any
) -> tuple[int, str, str]:
    """Status, content type and body, straight from the application. `more`: what else it is told of the request."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent_body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    headers = [(b"content-type", kind)] if sent_body else []
    here = {
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "client": ("127.0.0.1", 50000),
    }
    await app({**scope, **here, **more}, receive, send)
    start, *bodies = sent
    told = {key.decode(): value.decode() for key, value in start["headers"]}
    return start["status"], told.get("content-type", ""), b"".join(each.get("body", b"") for each in bodies).decode()


def app(registry: CollectorRegistry | None = None, *, ready: bool = True, because: str = "") -> FastAPI:
    return admin_app(lambda: Readiness(ready=ready, because=because), registry or CollectorRegistry())


async def test_a_process_that_answers_is_alive_whether_ready_or_not() -> None:
    assert await ask(app(ready=False), "/healthz") == (200, "application/json", '{"alive":true}')


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_says_what_is_waited_for(ready: bool, status: int) -> None:
    code, kind, body = await ask(app(ready=ready, because="waiting for records"), "/readyz")

    assert (code, kind) == (status, "application/json")
    assert json.loads(body) == {"ready": ready, "because": "waiting for records"}


async def test_readiness_is_asked_anew_each_time() -> None:
    answers = iter([False, True])
    changing = admin_app(lambda: Readiness(ready=next(answers), because=""), CollectorRegistry())

    assert [(await ask(changing, "/readyz"))[0] for _ in range(2)] == [503, 200]


async def test_metrics_are_those_of_the_registry_in_prometheus_format() -> None:
    registry = CollectorRegistry()
    Counter("xds_server_acks", "Responses accepted.", ["type"], registry=registry).labels("Cluster").inc(3)

    code, kind, body = await ask(app(registry), "/metrics")

    assert code == 200
    assert kind.startswith("text/plain")
    assert 'xds_server_acks_total{type="Cluster"} 3.0' in body


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/metrics/"])
async def test_there_is_nothing_else(path: str) -> None:
    assert (await ask(app(), path))[0] in (307, 404)


@pytest.mark.parametrize(
    ("question", "status", "said"),
    [
        ({"url": "http://shop.test/"}, 200, '"deployment":"v1"'),
        ({"url": "shop.test"}, 400, "is not an absolute URL"),
    ],
)
async def test_a_request_is_explained_by_what_is_in_force(question: dict[str, str], status: int, said: str) -> None:
    standing = Standing(Server(SHOP).admission.world)
    explaining = admin_app(lambda: Readiness(ready=True, because=""), CollectorRegistry(), lambda: standing)

    code, kind, body = await ask(explaining, "/explain", "POST", json.dumps(question).encode())

    assert (code, kind) == (status, "application/json")
    assert said in body


URL = "http://shop.test/"
NO_OBJECT = "the body is no JSON object with content-type: application/json; write {"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"method": "GET"}, "url is missing; write {"),
        ({}, "url is missing; write {"),
        (
            {"uri": URL, "url": URL},
            "'uri' is no field of a question; there is method, url, headers, gateway, listener, req",
        ),
        ({"url": 1}, "url must be a string"),
        ({"url": URL, "headers": "x-a: 1"}, "headers must be a list of strings"),
        ({"url": URL, "headers": [1]}, "headers.0 must be a string"),
        ({"url": URL, "headers": ["x-a: 1"] * 1001}, "headers has too many items"),
        ({"url": URL, "requestId": 12}, "requestId must be a string"),
        ([], NO_OBJECT),
        (None, NO_OBJECT),
    ],
    ids=str,
)
async def test_a_question_of_another_form_is_refused_in_plain_words(body: object, said: str) -> None:
    code, kind, answer = await ask(app(), "/explain", "POST", json.dumps(body).encode())

    assert (code, kind) == (400, "application/json")
    assert list(json.loads(answer)) == ["error"]
    assert json.loads(answer)["error"].startswith(said)


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{", b"application/json"), (b"", b""), (b'{"url": "http://a/"}', b"application/x-www-form-urlencoded")],
)
async def test_a_body_that_is_no_json_is_refused_in_plain_words(body: bytes, kind: bytes) -> None:
    code, _, answer = await ask(app(), "/explain", "POST", body, kind)

    assert code == 400
    assert json.loads(answer)["error"].startswith(NO_OBJECT)


@pytest.mark.parametrize(
    ("said", "what"),
    [("Input should be greater than 0", "input should be greater than 0"), ("Value error, no UTC", "no UTC")],
)
def test_what_is_wrong_with_a_parameter_keeps_its_words(said: str, what: str) -> None:
    found = misread([{"loc": ("body", "until"), "msg": said, "input": 0}])
    assert found == f"body until: {what}, and it is 0; /openapi.json says what it may be"


async def test_what_cannot_be_written_down_now_is_no_fault_of_who_asks() -> None:
    more = APIRouter()

    @more.post("/move")
    async def move() -> None:
        raise StateUnwritable("state.db cannot be used: disk full")

    made = admin_app(lambda: Readiness(ready=True, because=""), CollectorRegistry(), more=[more])
    code, _, body = await ask(made, "/move", "POST")
    assert (code, json.loads(body)) == (503, {"error": "not now: state.db cannot be used: disk full"})
