"""Who may write, and what is answered."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from typing_extensions import override

from tests.api.test_admin import ask
from tests.records.folder import NOON
from xds_server.api.admin import Readiness, admin_app
from xds_server.api.writing import Writing, writing_api
from xds_server.difference.applying import Application, Faulty
from xds_server.difference.comparison import Difference
from xds_server.difference.history import Event, Word
from xds_server.difference.planning import Planned
from xds_server.difference.steering import CannotSteer, NoSuchRelease
from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason

WHO = {"who": "ada"}
APPLY = {**WHO, "files": {"shop.yaml": "..."}}
PLAN = {"files": APPLY["files"]}
SHARES = {**WHO, "shares": {"v2": 10, "prod.v3": 0.5}}


class Folder(Writing):
    """What is asked for, and why it is not done."""

    def __init__(self, error: CannotSteer | None = None) -> None:
        self.error = error
        self.asked: list[object] = []

    @override
    async def apply(
        self, files: Mapping[str, str], word: Word, expected: Mapping[Ref, str], *, dry_run: bool
    ) -> Application:
        self._note(files, word, expected, dry_run)
        return Application(NOON, (), ())

    @override
    async def plan(self, files: Mapping[str, str]) -> Planned:
        self._note(files)
        return Planned(Difference(*[()] * 10), (), ())

    @override
    async def set(
        self, release: Ref, shares: Mapping[Ref, int], word: Word, expected: str, *, stop_rollout: bool
    ) -> Event:
        self._note(release, shares, word, expected, stop_rollout)
        return Event(release, NOON, word, "nothing moves")

    def _note(self, *said: object) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append(said)

    @override
    def content(self, release: Ref) -> str:
        return "0123abcd"


async def post(folder: Folder, path: str, said: object, host: str = "127.0.0.1") -> tuple[int, Any]:
    """Status and answer, to somebody on this host."""
    app = admin_app(lambda: Readiness(ready=True, because=""), CollectorRegistry(), more=[writing_api(folder)])
    status, _, body = await ask(app, path, "POST", json.dumps(said).encode(), client=(host, 50000))
    return status, json.loads(body)


async def test_what_is_asked_for_is_understood() -> None:
    folder = Folder()
    status, found = await post(folder, "/releases/prod.shop/set", {**SHARES, "why": "so", "stopRollout": True})
    assert (status, found["content"]) == (200, "0123abcd")
    await post(folder, "/records/apply", {**APPLY, "expect": {"shop": "0123abcd"}, "dryRun": True})

    shares = {Ref("prod", "v2"): 1000, Ref("prod", "v3"): 50}
    assert folder.asked == [
        (Ref("prod", "shop"), shares, Word("ada", "so"), "", True),
        ({"shop.yaml": "..."}, Word("ada"), {Ref("default", "shop"): "0123abcd"}, True),
    ]


@pytest.mark.parametrize(("path", "said"), [("/records/apply", APPLY), ("/releases/shop/set", SHARES)])
async def test_only_who_is_on_this_machine_writes(path: str, said: object) -> None:
    folder = Folder()

    assert (await post(folder, path, said, "10.0.0.7"))[0] == 403
    assert folder.asked == []
    assert (await post(folder, path, said, "::1"))[0] == 200


PROBLEM = Problem(Place("a.yaml", 1, 2, "spec"), Reason.WEIGHTS, "has weights", "Correct them", "Release/default/shop")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(CannotSteer("it is pinned"), 409, id="not-done"),
        pytest.param(NoSuchRelease("no Release shop"), 404, id="unknown"),
        pytest.param(Faulty([PROBLEM]), 400, id="wrong"),
    ],
)
@pytest.mark.parametrize(
    ("path", "asked"), [("/records/apply", APPLY), ("/records/plan", PLAN), ("/releases/shop/set", SHARES)]
)
async def test_why_nothing_is_done_is_answered(path: str, asked: object, error: CannotSteer, status: int) -> None:
    code, found = await post(Folder(error), path, asked)

    assert (code, found["error"]) == (status, str(error))
    assert [each["line"] for each in found.get("problems", [])] == ([2] if isinstance(error, Faulty) else [])


async def test_anybody_may_ask_what_would_be() -> None:
    status, found = await post(Folder(), "/records/plan", PLAN, "10.0.0.7")

    assert (status, found["summary"], found["plan"]["changes"]) == (200, "nothing changes", False)


@pytest.mark.parametrize(
    "said",
    [{}, {**APPLY, "files": {}}, {**APPLY, "expect": {"shop": "so"}}, {**APPLY, "other": 1}, {**APPLY, "who": ""}],
)
async def test_a_wrong_question_is_answered_400(said: object) -> None:
    assert (await post(Folder(), "/records/apply", said))[0] == 400


async def test_the_answers_are_described() -> None:
    app = admin_app(lambda: Readiness(ready=True, because=""), CollectorRegistry(), more=[writing_api(Folder())])

    answers = app.openapi()["paths"]["/records/apply"]["post"]["responses"]
    assert set(answers) == {"200", "400", "403", "409", "503"}
