import pytest
from pydantic import ValidationError

from tests.records import order
from tests.records.folder import SHOP, Server, release
from xds_server.api.explain import Question, explained
from xds_server.api.problems import Standing
from xds_server.domain.names import Ref
from xds_server.traffic.requests import CannotExplain


def standing(server: Server) -> Standing:
    return Standing(server.admission.world, server.admission.problems)


def test_a_question_is_answered_by_what_is_in_force() -> None:
    question = Question.model_validate({"url": "http://shop.test/", "headers": ["x-a: 1"], "requestId": "0001"})
    decision = explained(standing(Server(SHOP)), question)

    assert (decision.method, decision.gateway, decision.listener) == ("GET", "edge", "http")
    assert [each.deployment for each in decision.outcomes] == ["v1"]


def test_what_has_no_answer_says_why() -> None:
    with pytest.raises(CannotExplain, match="no gateway 'inner'"):
        explained(standing(Server(SHOP)), Question(url="http://shop.test/", gateway="inner"))


def test_what_is_wrong_with_the_records_that_decided_is_said_beside_it() -> None:
    server = Server(SHOP)
    server.hears({"shop.yaml": release("shop", "shop.test", to="v9"), "bad.yaml": release("bad", "bad.test", to="v8")})

    [problem] = explained(standing(server), Question(url="http://shop.test/")).problems
    assert "Release/default/shop: app shop has no deployment 'v9'" in problem
    assert len(explained(standing(server), Question(url="http://bad.test/")).problems) == 2


def test_why_a_rule_gives_what_its_record_does_not_say_is_said_where_that_rule_decides() -> None:
    asked: list[Ref] = []

    def pinned(release: Ref) -> dict[str, str]:
        asked.append(release)
        return {"default": "pinned by ada"}

    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    shop = standing(Server({**SHOP, "shop.yaml": release("shop", "shop.test", audiences=[early])}))
    shop = shop._replace(whence=pinned)
    assert explained(shop, Question(url="http://shop.test/")).whence == "pinned by ada"
    assert explained(shop, Question(url="http://early.test/")).whence == ""
    assert explained(shop, Question(url="http://nobody.test/")).whence == ""
    assert set(asked) == {Ref("default", "shop")}


def test_a_call_without_a_context_gets_what_a_default_gives_and_why() -> None:
    server = order.server()
    question = Question.model_validate({"url": "http://api/", "from": "worker@w1"})
    decision = explained(standing(server)._replace(whence=lambda each: {"default": f"{each.word} is pinned"}), question)
    assert [each.rule for each in decision.outcomes] == ["no-context"]
    assert decision.whence == "order is pinned"


@pytest.mark.parametrize("wrong", [{}, {"url": 1}, {"url": "http://a/", "path": "/"}, {"url": "/", "headers": "x"}])
def test_a_question_of_another_form_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Question.model_validate(wrong)


def test_a_call_is_decided_at_its_sidecar_and_concerns_the_app() -> None:
    server = order.server(app=order.settings({"release": "gone"}))
    question = Question.model_validate({"url": "http://api/", "from": "worker@w1"})
    decision = explained(standing(server), question)

    assert (decision.caller, decision.arrives) == ("order/worker@w1", False)
    assert any("[NoCallsRelease]" in each for each in decision.problems)
