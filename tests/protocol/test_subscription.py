"""What is wanted, after any request."""

import pytest

from xds_server.protocol.subscription import Asked, Change, Choice, Subscription

LEGACY, PLAIN = True, False


def described(subscription: Subscription) -> str:
    return " ".join([*(["*"] if subscription.everything else []), *sorted(subscription.names)])


@pytest.mark.parametrize(
    ("legacy", "requests", "wanted"),
    [
        pytest.param(LEGACY, [""], "*", id="no-names-at-first-are-everything"),
        pytest.param(LEGACY, ["", ""], "*", id="and-still-are-in-every-acknowledgement"),
        pytest.param(PLAIN, [""], "", id="but-not-for-endpoints"),
        pytest.param(LEGACY, ["", "a"], "a", id="a-name-ends-that"),
        pytest.param(LEGACY, ["a", ""], "", id="after-a-name-no-names-are-nothing"),
        pytest.param(LEGACY, ["*", ""], "", id="the-star-counts-as-a-name"),
        pytest.param(PLAIN, ["* a"], "* a", id="the-star-goes-with-names"),
        pytest.param(PLAIN, ["* a", "a"], "a", id="and-goes-while-they-stay"),
        pytest.param(PLAIN, ["a b", "b c"], "b c", id="names-are-replaced"),
    ],
)
def test_sotw_requests_replace(legacy: bool, requests: list[str], wanted: str) -> None:  # R25, R26, R27
    subscription = Subscription(legacy=legacy)
    for names in requests:
        subscription.replace(tuple(names.split()))
    assert described(subscription) == wanted


@pytest.mark.parametrize(
    ("legacy", "edits", "wanted"),
    [
        pytest.param(LEGACY, [("", "")], "*", id="no-names-at-first-are-everything"),
        pytest.param(PLAIN, [("", "")], "", id="but-not-for-endpoints"),
        pytest.param(LEGACY, [("", ""), ("a", "")], "* a", id="a-name-does-not-end-that"),
        pytest.param(LEGACY, [("", ""), ("", "*")], "", id="taking-the-star-away-does"),
        pytest.param(LEGACY, [("a", ""), ("", "")], "a", id="a-name-at-first-is-only-a-name"),
        pytest.param(LEGACY, [("a", ""), ("", "a"), ("", "")], "", id="after-a-name-no-names-are-nothing"),
        pytest.param(LEGACY, [("*", "*")], "", id="one-can-subscribe-to-nothing"),
        pytest.param(LEGACY, [("* a", ""), ("", "*")], "a", id="the-star-goes-while-names-stay"),
        pytest.param(PLAIN, [("a b", ""), ("c", "b d")], "a c", id="names-come-and-go"),
    ],
)
def test_delta_requests_edit(legacy: bool, edits: list[tuple[str, str]], wanted: str) -> None:  # R17, R25, R26, R27
    subscription = Subscription(legacy=legacy)
    for subscribe, unsubscribe in edits:
        subscription.edit(tuple(subscribe.split()), tuple(unsubscribe.split()))
    assert described(subscription) == wanted


@pytest.mark.parametrize(
    ("edits", "wanted"),
    [
        pytest.param([("", "")], "*", id="no-names-at-first-leave-it-to-the-server"),
        pytest.param([("", ""), ("a", "")], "* a", id="a-name-does-not-end-that"),
        pytest.param([("a", ""), ("", "")], "a", id="a-name-at-first-is-only-a-name"),
        pytest.param([("* a", ""), ("", "*")], "a", id="the-star-goes-while-names-stay"),
        pytest.param([("* a", ""), ("", "a z")], "*", id="the-star-stays-while-names-go"),
        pytest.param([("*", "*")], "", id="one-can-subscribe-to-nothing"),
    ],
)
def test_clusters_on_demand_are_chosen_and_named(edits: list[tuple[str, str]], wanted: str) -> None:  # R25, R39
    choice = Choice()
    for subscribe, unsubscribe in edits:
        choice.edit(tuple(subscribe.split()), tuple(unsubscribe.split()))
    assert " ".join([*(["*"] if choice.left_to_us else []), *sorted(choice.asked)]) == wanted
    assert not choice.everything
    choice.pick(["picked"])
    assert "picked" in choice.names - choice.asked


def test_virtual_hosts_on_demand_are_known_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:  # R38
    monkeypatch.setattr("xds_server.protocol.subscription.REMEMBERED", 2)
    asked = Asked()
    assert asked.edit(("*", "a", "b"), ("c",)) == Change(asked=frozenset("ab"), dropped=frozenset("c"))
    asked.pick(["a"])
    assert [asked.miss(name) for name in "bcbd"] == [True, True, True, False]
    assert asked.forgetful
    assert [name for name in "abcd" if asked.covers(name)] == ["a", "b", "c"]
    asked.pick(["b"])
    assert asked.miss("a"), "there is room again"
    asked.edit((), ("a", "b"))
    assert [name for name in "abcd" if asked.covers(name)] == ["c"]
