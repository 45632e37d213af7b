import json

from prometheus_client import CollectorRegistry

from tests.api.test_admin import ask
from xds_server.api.admin import Readiness, admin_app
from xds_server.api.problems import Standing
from xds_server.domain.problems import Place, Problem, Reason
from xds_server.records.world import World

WRONG = Problem(Place("shop.yaml", 2, 14, "spec.default"), Reason.WEIGHTS, "a sum of 90", "Make it 100", "Release/a/b")


async def test_what_is_wrong_is_listed_as_it_is_when_asked() -> None:
    found = iter([Standing(), Standing(World(), (WRONG,))])
    app = admin_app(lambda: Readiness(ready=True, because=""), CollectorRegistry(), lambda: next(found))

    nothing, something = [(await ask(app, "/problems"))[2] for _ in range(2)]

    assert json.loads(nothing) == []
    assert json.loads(something) == [
        {
            "file": "shop.yaml",
            "document": 2,
            "line": 14,
            "path": "spec.default",
            "record": "Release/a/b",
            "severity": "error",
            "reason": "Weights",
            "what": "a sum of 90",
            "fix": "Make it 100",
        }
    ]
