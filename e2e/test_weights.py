"""Shares hold, and a sticky user keeps what they got."""

import math

import pytest

from e2e.support.client import Headers, Reply
from e2e.support.processes import wait_until
from e2e.support.world import V1, V2, App, World

pytestmark = pytest.mark.e2e

USERS = 400
WEIGHTS = (10, 25, 50, 0, 25)


def near(count: int, total: int, percent: float) -> bool:
    """Within five standard deviations of what so many independent draws give: chance fails this once in a million."""
    share = percent / 100
    return abs(count - total * share) <= 5 * math.sqrt(total * share * (1 - share))


@pytest.fixture
def versions(world: World) -> tuple[App, str, str]:
    app = world.app("shares")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    return app, v1, v2


def set_weight(app: App, percent: int, sticky: dict[str, str]) -> None:
    """Release and wait for it: only what was pushed last knows the header of this weight's own audience."""
    v1, v2 = f"{app.name}-v1", f"{app.name}-v2"
    rule = f"weight-{percent}-{app.world.updates()['routes']}"
    probe = [{"name": rule, "match": {"headers": [{"name": "x-probe", "present": True}]}, "deployment": v1}]
    app.release(weights={v1: 100 - percent, v2: percent}, sticky=sticky, audiences=probe)
    wait_until(lambda: app.get(headers=[("x-probe", "1")]).header("x-served-rule") == rule, f"{percent} is live")


def test_90_and_10_hold_over_5000_requests(versions: tuple[App, str, str]) -> None:
    app, v1, v2 = versions
    app.release(weights={v1: 90, v2: 10})
    app.wait_served(v2)
    served = [app.get().served for _ in range(5000)]
    assert near(served.count(v2), 5000, 10), served.count(v2)
    assert served.count(v1) + served.count(v2) == 5000


def judge(ramp: list[frozenset[int]]) -> None:
    """What every ramp must keep, whatever makes it sticky; `ramp` has the canary's users at each weight."""
    for weight, canary in zip(WEIGHTS, ramp, strict=True):
        assert near(len(canary), USERS, weight), (weight, len(canary))
    ten, quarter, half, nobody, again = ramp
    assert ten < quarter < half
    assert not nobody
    assert again == quarter


def test_users_known_by_cookie_keep_their_version_while_it_ramps(versions: tuple[App, str, str]) -> None:
    app, _, v2 = versions
    set_weight(app, WEIGHTS[0], {"cookie": "shop-user"})
    firsts = [app.get() for _ in range(USERS)]
    cookies = [cookie_of(first) for first in firsts]
    assert len(set(cookies)) == USERS
    ramp = []
    for weight in WEIGHTS:
        set_weight(app, weight, {"cookie": "shop-user"})
        answers = [app.get(headers=[("cookie", cookie)]) for cookie in cookies]
        assert [answer.header("set-cookie") for answer in answers] == [None] * USERS
        ramp.append(frozenset(user for user, answer in enumerate(answers) if answer.served == v2))
    judge(ramp)
    assert ramp[0] == {user for user, first in enumerate(firsts) if first.served == v2}


def test_users_known_by_header_keep_their_version_while_it_ramps(versions: tuple[App, str, str]) -> None:
    app, _, v2 = versions
    ramp = []
    for weight in WEIGHTS:
        set_weight(app, weight, {"header": "x-user-id"})
        served = [app.get(headers=[("x-user-id", f"user-{user}")]).served for user in range(USERS)]
        ramp.append(frozenset(user for user, each in enumerate(served) if each == v2))
    judge(ramp)


@pytest.mark.parametrize("percent", [10, 50])
def test_the_first_and_the_second_answer_agree(versions: tuple[App, str, str], percent: int) -> None:
    app, _, _ = versions
    set_weight(app, percent, {"cookie": "shop-user"})
    for _ in range(200):
        first = app.get()
        cookie = cookie_of(first)
        for headers in ways_to_send(cookie):
            second = app.get(headers=headers)
            assert (second.served, second.header("set-cookie")) == (first.served, None), headers


def ways_to_send(cookie: str) -> list[Headers]:
    return [
        [("cookie", cookie)],
        [("cookie", f"a=b; {cookie}; c=d")],
        [("cookie", "a=b; x=y"), ("cookie", cookie)],
        [("cookie", cookie), ("cookie", "a=b")],
    ]


def cookie_of(first: Reply) -> str:
    """The pair that a browser would send back; it is set exactly once."""
    (line,) = first.all("set-cookie")
    pair = line.partition(";")[0]
    assert pair.startswith("shop-user=")
    return pair
