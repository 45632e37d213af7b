"""A slot decides, as branches: the user's where the release is sticky, else the request's own."""

import pytest

from tests.resources.matching import routes_for
from xds_server.domain.names import Ref
from xds_server.messages.codec import encode, to_json
from xds_server.messages.envoy import Route, RouteList
from xds_server.records.releases import Sticky
from xds_server.resources import branches
from xds_server.resources.draws import Choice, draw
from xds_server.snapshot import TypeUrl
from xds_server.traffic.intents import DefaultIntent
from xds_server.traffic.slots import slot_ranges

V1, V2 = Ref("default", "v1"), Ref("default", "v2")
COOKIE = Sticky.model_validate({"cookie": "user", "maxAge": "1d"})


def owner(name: str) -> branches.Branch:
    return branches.routes(encode(RouteList(routes=[Route(name=name)])))


OWNERS = {V1: owner("v1"), V2: owner("v2")}
NEW = {V1: owner("v1, new"), V2: owner("v2, new")}


def intent(sticky: Sticky | None = None, **weights: int) -> DefaultIntent:
    shares = tuple((Ref("default", name), weight * 100) for name, weight in weights.items())
    return DefaultIntent(Ref("default", "shop"), slot_ranges(shares), sticky)


def gets(choice: Choice, **headers: str) -> str:
    host = branches.virtual_host("*", branches.choice(choice.tries, choice.last))
    said = to_json(TypeUrl.VIRTUAL_HOST, host)
    return str(routes_for(said, {name.replace("_", "-"): value for name, value in headers.items()})[0]["name"])


def id_of(slot: int) -> str:
    return f"{slot:04x}0000-1111-4222-8333-444455556666"


@pytest.mark.parametrize(("slot", "expected"), [(0, "v1"), (0xBFFF, "v1"), (0xC000, "v2"), (0xFFFF, "v2")])
def test_a_request_is_drawn_by_its_own_id(slot: int, expected: str) -> None:
    assert gets(draw(intent(v1=75, v2=25), OWNERS), x_request_id=id_of(slot)) == expected


def test_what_has_no_slot_goes_to_the_widest() -> None:
    assert gets(draw(intent(v1=25, v2=75), OWNERS), x_request_id="odd") == "v2"


def test_one_that_has_all_of_it_needs_no_draw() -> None:
    assert draw(intent(v2=100), OWNERS) == ([], OWNERS[V2])


@pytest.mark.parametrize(("slot", "expected"), [(0xBFFF, "v1"), (0xC000, "v2")])
def test_a_user_is_known_by_their_cookie(slot: int, expected: str) -> None:
    by_cookie = draw(intent(COOKIE, v1=75, v2=25), OWNERS, NEW)

    assert gets(by_cookie, x_request_id=id_of(0), cookie=f"a=b; user={id_of(slot)}") == expected


@pytest.mark.parametrize(("slot", "expected"), [(0xBFFF, "v1"), (0xC000, "v2")])
def test_a_user_without_one_is_drawn_as_somebody_new(slot: int, expected: str) -> None:
    choice = intent(COOKIE, v1=75, v2=25)

    assert gets(draw(choice, OWNERS, NEW), x_request_id=id_of(slot), cookie="a=b") == f"{expected}, new"
    assert gets(draw(choice, OWNERS), x_request_id=id_of(slot)) == expected, "where nobody is given a cookie"


def test_who_has_no_header_is_drawn_anew() -> None:
    by_header = draw(intent(Sticky.model_validate({"header": "x-user"}), v1=75, v2=25), OWNERS)

    assert gets(by_header, x_request_id=id_of(0xFFFF)) == "v2"
    assert len(by_header.tries) == 2, "first whether it has one"
