import json
from typing import Any

from tests.difference.edits import FILES, edited, header, shares, shop
from tests.records.folder import SHOP, deployment, gateway, release
from xds_server.difference.change import Change
from xds_server.difference.moves import Move, Part
from xds_server.difference.traffic import Edited, HostChange, RuleChange
from xds_server.domain.names import Ref
from xds_server.records.values import WHOLE
from xds_server.traffic.intents import RefusalReason

SHOP_RELEASE = Ref("default", "shop")
V1, V2, V3 = (Ref("default", name) for name in ("v1", "v2", "v3"))


def hosts(*edits: Any, **spec: Any) -> dict[str, HostChange]:
    return {each.host: each for each in edited(*edits, **spec).traffic}


def rules(host: HostChange) -> dict[str, RuleChange]:
    return {each.name: each for each in host.rules}


def test_a_canary_that_rises_moves_its_part_of_the_default():
    [change] = edited({"shop.yaml": shop(default=shares(v1=75, v2=25))}).traffic

    assert (change.host, change.before, change.after) == ("shop.test", SHOP_RELEASE, SHOP_RELEASE)
    [rule] = change.rules
    assert (rule.name, rule.change, rule.moves) == ("default", Change.CHANGED, (Move(V1, V2, 2500),))
    assert rule.after == (Part(V1, 7500), Part(V2, 2500))


def test_a_deployment_of_weight_0_moves_nothing():
    assert edited({"shop.yaml": shop(default=shares(v1=100, v2=0))}).traffic == ()


def test_an_audience_that_comes_takes_from_what_gave_to_its_requests_before():
    files = {**FILES, "shop.yaml": shop(default=shares(v1=90, v2=10))}
    after = shop(default=shares(v1=90, v2=10), audiences=[header("beta", "v2")])

    rule = rules(hosts({"shop.yaml": after}, files)["shop.test"])["beta"]

    assert (rule.change, rule.instead, rule.moves) == (Change.ADDED, "default", (Move(V1, V2, 9000),))


def test_an_audience_that_goes_gives_back_to_the_default():
    files = {**FILES, "shop.yaml": shop(audiences=[header("beta", "v2")])}

    rule = rules(hosts({"shop.yaml": shop()}, files)["shop.test"])["beta"]

    assert (rule.change, rule.instead, rule.moves) == (Change.REMOVED, "default", (Move(V2, V1, WHOLE),))


def test_an_audience_for_other_requests_is_a_change_though_nobody_of_its_own_moves():
    files = {**FILES, "shop.yaml": shop(audiences=[header("beta", "v2", "1")])}

    rule = rules(hosts({"shop.yaml": shop(audiences=[header("beta", "v2", "2")])}, files)["shop.test"])["beta"]

    assert (rule.change, rule.moves) == (Change.CHANGED, ())
    assert rule.match != rule.match_before


def test_an_audience_of_all_requests_takes_the_place_of_the_default():
    everyone = {"name": "everyone", "hosts": ["shop.test"], "deployment": "v2"}

    found = rules(hosts({"shop.yaml": shop(audiences=[everyone])})["shop.test"])

    assert list(found) == ["everyone"]
    assert (found["everyone"].instead, found["everyone"].moves) == ("default", (Move(V1, V2, WHOLE),))


def test_the_order_of_audiences():
    one, two = header("one", "v1"), header("two", "v2")
    files = {**FILES, "shop.yaml": shop(audiences=[one, two])}

    [change] = edited({"shop.yaml": shop(audiences=[two, one])}, files).traffic

    assert change.rules == ()
    assert change.reordered == ("two", "one", "default")


def test_hosts_come_and_go():
    found = hosts({"shop.yaml": release("shop", "new.test")})

    assert (found["new.test"].before, found["new.test"].after) == (None, SHOP_RELEASE)
    assert found["new.test"].rules[0].moves == (Move(RefusalReason.HOST_UNKNOWN, V1, WHOLE),)
    assert (found["shop.test"].before, found["shop.test"].after) == (SHOP_RELEASE, None)
    assert found["shop.test"].rules[0].moves == (Move(V1, RefusalReason.HOST_UNKNOWN, WHOLE),)


def test_a_host_that_changes_its_release():
    files = {**FILES, "other.yaml": release("other", "other.test", to="v2")}
    edits = {"shop.yaml": release("shop", "other.test"), "other.yaml": release("other", "shop.test", to="v2")}

    found = hosts(edits, files)

    assert (found["shop.test"].before, found["shop.test"].after) == (SHOP_RELEASE, Ref("default", "other"))
    assert found["shop.test"].rules[0].moves == (Move(V1, V2, WHOLE),)
    assert found["other.test"].rules[0].moves == (Move(V2, V1, WHOLE),)


def test_a_host_that_leaves_a_wildcard_is_compared_with_what_the_wildcard_gave():
    files = {**FILES, "all.yaml": release("all", "*.test", to="v2"), "shop.yaml": None}

    [change] = edited({"shop.yaml": shop()}, files).traffic

    assert (change.host, change.before, change.after) == ("shop.test", Ref("default", "all"), SHOP_RELEASE)
    assert change.rules[0].moves == (Move(V2, V1, WHOLE),)


def test_an_audience_that_has_ended_leaves_its_host_refused():
    acme = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": "2027-01-31"}
    files = {**FILES, "shop.yaml": shop(audiences=[acme])}

    found = hosts({"shop.yaml": shop(audiences=[{**acme, "until": "2026-11-01"}])}, files)

    assert found["acme.test"].rules[0].moves == (Move(V2, RefusalReason.AUDIENCE_EXPIRED, WHOLE),)


def test_users_are_drawn_anew_when_another_cookie_names_them():
    divided = shares(v1=50, v2=50)
    files = {**FILES, "shop.yaml": shop(default=divided, sticky={"cookie": "one"})}

    rule = hosts({"shop.yaml": shop(default=divided, sticky={"cookie": "two"})}, files)["shop.test"].rules[0]

    assert (rule.redrawn, rule.moves) == (True, ())


def test_a_longer_life_of_the_cookie_moves_nobody():
    divided = shares(v1=50, v2=50)
    files = {**FILES, "shop.yaml": shop(default=divided, sticky={"cookie": "one"})}

    assert not hosts({"shop.yaml": shop(default=divided, sticky={"cookie": "one", "maxAge": "1d"})}, files)


def test_every_gateway_of_a_release_is_named():
    files = {**FILES, "inner.yaml": gateway("inner"), "shop.yaml": shop(gateways=["edge", "inner"])}

    found = edited({"shop.yaml": shop(gateways=["edge", "inner"], default=[{"deployment": "v2"}])}, files).traffic

    assert [each.gateway.word for each in found] == ["edge", "inner"]


def test_a_branch_deployment_that_changes_under_a_rule_is_named():
    branch = deployment("branch", "b1", version=None)
    files = {**FILES, "branch.yaml": branch, "shop.yaml": shop(audiences=[header("beta", "branch")])}

    found = edited({"branch.yaml": deployment("branch", "b2", version=None)}, files)

    assert found.edited == (Edited(Ref("default", "branch"), ((SHOP_RELEASE, "beta"),)),)
    assert found.traffic == ()


def test_a_branch_deployment_that_no_rule_uses_is_not_traffic():
    files = {**FILES, "branch.yaml": deployment("branch", "b1", version=None)}

    assert edited({"branch.yaml": deployment("branch", "b2", version=None)}, files).edited == ()


def test_only_what_is_in_force_counts():
    """A release that is held back moves nobody."""
    assert edited({"shop.yaml": shop(default=[{"deployment": "v9"}])}, SHOP).traffic == ()


def test_records_of_another_app_are_not_looked_at():
    other = json.loads(deployment("other", "b1"))
    other["spec"]["app"] = "other"

    assert edited({"other.yaml": json.dumps(other)}).traffic == ()
