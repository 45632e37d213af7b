"""What applying records would do, said before it is done."""

from collections.abc import Mapping
from typing import Any

from tests.difference.edits import BUILDS, EXPLICIT
from tests.difference.test_rollouts import COOKIE, GUARD, STEPS
from tests.records.folder import SHOP, Server, deployment, documents, release
from tests.records.test_steering import AT_TEN, Rolling, at
from xds_server.difference.applying import applied, homes, rewritten
from xds_server.difference.comparison import served
from xds_server.difference.planning import Planned, plan_sections, plan_summary, planned

FILES = {**SHOP, "edge.yaml": EXPLICIT, "builds.yaml": BUILDS}


def plan(files: Mapping[str, str], folder: Mapping[str, str] | None = None) -> Planned:
    texts = FILES if folder is None else folder
    server = Server(texts)
    before = served(server.admission)
    records = applied(server.admission, files)
    changes = rewritten(server.admission, records, files, {home: texts.get(home) for home in homes(records)})
    server.hears({each.name: each.after for each in changes})
    return planned(before, served(server.admission, before), records)


def said(found: Planned) -> dict[str, list[str]]:
    """By title, what is not in the difference of two folders."""
    lines = plan_sections(found)
    return {
        title: [" ".join(map(str, each[1:])).strip() for each in lines[title]] for title in ("Sticky users", "Rollouts")
    }


def rolling(v2: int = 0, **spec: Any) -> str:
    default = [{"deployment": "v1", "weight": 100 - v2}, {"deployment": "v2", "weight": v2}]
    said: dict[str, Any] = {"default": default, "sticky": COOKIE, "hosts": ["shop.test"], **spec}
    return release("shop", **said)


def test_users_that_move_and_the_steps_of_a_rollout_are_said() -> None:
    folder = {**FILES, "shop.yaml": rolling(rollout={"steps": STEPS, "guard": GUARD})}
    found = plan({"new.yaml": rolling(10, rollout={"steps": STEPS[2:], "guard": GUARD})}, folder)

    assert said(found) == {
        "Sticky users": ["~ shop: users of 6554 of 65536 slots (10%) get another deployment"],
        "Rollouts": [
            "~ shop: its rollout begins anew, because its default and rollout change: v2 rises",
            "step 1: waits for the word of release manager",
            "step 2: v2 goes to 100%; users of 58982 of 65536 slots (90%) move",
        ],
    }
    assert list(plan_sections(found))[:3] == ["Traffic that moves", "Sticky users", "Rollouts"]


def test_a_step_that_is_passed_over_is_said() -> None:
    found = plan({"new.yaml": rolling(10, rollout={"steps": STEPS, "guard": GUARD})})

    assert said(found)["Rollouts"][1:3] == [
        "step 1: passed over: v2 has more than 5% already",
        "step 2: v2 goes to 25%; users of 9830 of 65536 slots (15%) move; waits until it is safe",
    ]


def test_what_becomes_of_a_rollout_is_said() -> None:
    rollout = {"steps": STEPS, "guard": GUARD}
    folder = {**FILES, "shop.yaml": rolling(rollout=rollout)}

    assert said(plan({"new.yaml": rolling(rollout=rollout, hosts=["new.test"])}, folder))["Rollouts"][0] == (
        "shop: its rollout goes on, and keeps its progress: v2 rises"
    )
    assert said(plan({"new.yaml": rolling()}, folder))["Rollouts"] == ["- shop: its rollout is no more"]
    assert said(plan({"new.yaml": rolling(rollout=rollout)}))["Rollouts"][0] == ("+ shop: its rollout begins: v2 rises")


def test_a_rollout_that_has_ended_is_not_said_to_go_on() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    shop.ends()
    text = str(at(100, 0)["shop.yaml"])
    found = planned(served(shop.admission), served(shop.admission), applied(shop.admission, {"shop.yaml": text}))

    [line] = said(found)["Rollouts"]
    assert line.startswith("shop: its rollout does not go on: it has finished: as long as")


def test_users_that_are_known_by_something_else_are_drawn_anew() -> None:
    found = plan({"new.yaml": rolling(10, sticky={"cookie": "other"})}, {**FILES, "shop.yaml": rolling(10)})

    assert said(found)["Sticky users"] == ["~ shop: users are drawn anew"]


def test_what_is_refused_is_what_would_not_be_applied() -> None:
    found = plan({"new.yaml": documents(deployment("v3", "b3"), release("shop", "shop.test", to="v9"))})

    [problem] = found.difference.refused
    assert (str(problem.where), problem.record) == ("new.yaml:3 (document 2)", "Release/default/shop")
    assert [str(each.key) for each in found.difference.records] == ["AppDeployment/default/v3"]


def test_a_rollout_that_begins_is_in_the_summary_for_it_moves_what_the_record_does_not() -> None:
    rollout = {"steps": STEPS, "guard": GUARD}
    folder = {**FILES, "shop.yaml": rolling(rollout=rollout)}

    assert plan_summary(plan({"new.yaml": rolling(rollout=rollout)})) == (
        "1 record differs; no traffic moves; 1 rollout begins"
    )
    hosts = plan({"new.yaml": rolling(rollout=rollout, hosts=["new.test"])}, folder)
    assert plan_summary(hosts) == "1 record differs; traffic moves on 2 hosts"
    assert plan_summary(plan({"new.yaml": SHOP["shop.yaml"]})) == "nothing changes"


def test_of_a_record_that_is_refused_no_rollout_is_told() -> None:
    default = [{"deployment": "v1", "weight": 100}, {"deployment": "v9", "weight": 0}]
    found = plan({"new.yaml": rolling(default=default, rollout={"steps": STEPS, "guard": GUARD})})

    assert found.difference.refused
    assert said(found)["Rollouts"] == []
    assert plan_summary(found) == "0 records differ; no traffic moves; 1 error: what is held back stays as it is"


def test_nothing_is_said_of_what_is_unchanged() -> None:
    found = plan({"new.yaml": SHOP["shop.yaml"]})

    assert not found.difference.changes
    assert said(found) == {"Sticky users": [], "Rollouts": []}
