from tests.records.folder import SHOP, deployment, release
from tests.runtime.test_control import Server
from xds_server.state.store import Store


def test_a_problem_is_logged_when_it_comes_and_when_it_goes(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)

    came = server.hears({"bad.yaml": release("bad", "bad.test", to="v9")})
    again = server.hears({"v3.yaml": deployment("v3")})
    gone = server.hears({"bad.yaml": None})

    [problem] = [each for each in came if each["event"] == "problem"]
    assert (problem["log_level"], problem["reason"], problem["record"]) == (
        "warning",
        "UnknownDeployment",
        "Release/default/bad",
    )
    assert problem["problem"].startswith("bad.yaml:1 (document 1): error: ")
    assert not [each for each in again if each["event"].startswith("problem")]
    assert [(each["event"], each["record"]) for each in gone if "reason" in each] == [
        ("problem gone", "Release/default/bad")
    ]


def test_who_follows_problems_is_told_what_is_wrong_now_and_every_change(store: Store) -> None:
    server, told = Server(store), list[tuple[list[str], list[str]]]()
    server.hears({**SHOP, "bad.yaml": release("bad", "bad.test", to="v9")}, complete=True)

    server.control.reporting.follow(
        lambda before, after: told.append(([each.reason for each in before], [each.reason for each in after]))
    )
    server.hears({"v3.yaml": deployment("v3")})
    server.hears({"bad.yaml": None})

    assert told == [([], ["UnknownDeployment"]), (["UnknownDeployment"], [])]


def test_a_record_that_is_shown_with_a_warning_is_no_warning_in_the_log(store: Store) -> None:
    server = Server(store)
    logged = server.hears({**SHOP, "v2.yaml": deployment("v2", "b9")}, complete=True)

    assert [each["log_level"] for each in logged if each["event"] == "problem"] == ["info"]


def test_an_empty_folder_is_served_with_a_warning(store: Store) -> None:
    server = Server(store)
    logged = server.hears({}, complete=True)

    assert (server.control.waiting_for, server.snapshot()) == (None, None)
    assert [(each["event"], each["reason"]) for each in logged] == [("problem", "NoRecords")]
    assert [each.reason for each in server.control.problems] == ["NoRecords"]
    assert server.metric("xds_server_problems", severity="warning", reason="NoRecords", record="") == 1

    gone = server.hears(SHOP)
    assert [each["reason"] for each in gone if each["event"] == "problem gone"] == ["NoRecords"]
    assert server.control.problems == ()
