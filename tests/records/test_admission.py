"""What is in force after each change of a folder, one story a test."""

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.conftest import Golden
from tests.records.folder import (
    NOON,
    SHOP,
    Content,
    Server,
    build,
    deployment,
    documents,
    gateway,
    record,
    release,
)
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.records.reading import Unreadable

SECOND = timedelta(seconds=1)


def reasons(server: Server) -> list[tuple[str, Reason]]:
    return [(problem.record, problem.reason) for problem in server.errors]


def test_a_shop_is_in_force() -> None:
    server = Server(SHOP)

    assert server.said == ""
    assert sorted(server.serves) == [
        "AppDeployment/default/v1",
        "AppDeployment/default/v2",
        "Build/default/web-1",
        "Build/default/web-2",
        "Gateway/default/edge",
        "Release/default/shop",
    ]
    assert server.hosts == {"shop.test": "shop"}
    assert len(server.rows) == len(server.serves)
    assert server.admission.touched == {*server.admission.world.apps}


HELD_BACK: dict[str, Mapping[str, Content]] = {
    "unknown-deployment": {"shop.yaml": release("shop", "shop.test", to="v3")},
    "misspelt-deployment": {"shop.yaml": release("shop", "shop.test", to="vv1")},
    "unknown-gateway": {"shop.yaml": release("shop", "shop.test", gateways=["egde"])},
    "gateway-held-back": {
        "inner.yaml": record(
            "Gateway", "inner", {"listeners": [{"name": "https", "port": 8443, "tls": {"secret": "a"}}]}
        ),
        "bad.yaml": release("bad", "bad.test", gateways=["inner"]),
    },
    "deployment-held-back": {
        "v3.yaml": deployment("v3", components={"web": {"build": "b1", "calls": ["cart"], "routes": [{}]}}),
        "bad.yaml": release("bad", "bad.test", to="v3"),
    },
    "deployment-of-another-app": {
        "b.yaml": build("b", app="cart"),
        "v3.yaml": deployment("v3", app="cart"),
        "shop.yaml": release("shop", "shop.test", to="v3"),
    },
    "weights": {"shop.yaml": release("shop", "shop.test", default=[{"deployment": "v1", "weight": 90}])},
    "no-routes": {
        "v3.yaml": deployment("v3", components={"web": {"build": "b1"}}),
        "shop.yaml": release("shop", "shop.test", to="v3"),
    },
    "no-endpoints": {"v3.yaml": deployment("v3", "b3"), "shop.yaml": release("shop", "shop.test", to="v3")},
    "draining-endpoints": {
        "b3.yaml": build("web-3", "b3", endpoints={"addresses": [{"address": "10.0.0.9:80", "draining": True}]}),
        "v3.yaml": deployment("v3", "b3"),
        "shop.yaml": release("shop", "shop.test", to="v3"),
    },
    "an-audience-of-an-unknown-deployment": {
        "shop.yaml": release(
            "shop", "shop.test", audiences=[{"name": "acme", "hosts": ["acme.test"], "deployment": "v4"}]
        )
    },
    "a-host-under-the-template": {
        "edge.yaml": gateway(template=".preview.test"),
        "shop.yaml": release("shop", "shop.test", "x.preview.test"),
    },
    "a-template-over-a-host": {"edge.yaml": gateway(template=".test")},
    "immutable": {"v1.yaml": deployment("v1", "b2")},
    "an-unknown-call": {
        "v3.yaml": deployment("v3", components={"web": {"build": "b1", "calls": ["cart", "webb"], "routes": [{}]}})
    },
    "two-equal-routes": {
        "v3.yaml": deployment(
            "v3",
            components={
                "a": {"build": "b1", "routes": [{"path": "/x"}, {"pathPrefix": "/"}]},
                "b": {"build": "b1", "routes": [{"path": "/x"}]},
            },
        )
    },
    "a-build-of-two-protocols": {"b.yaml": build("web-9", "b1", protocol="grpc")},
    "a-host-of-another-release": {"other.yaml": release("other", "shop.test", "other.test")},
    "a-host-of-another-release-in-an-audience": {
        "other.yaml": release(
            "other", "other.test", audiences=[{"name": "acme", "hosts": ["a.test", "shop.test"], "deployment": "v2"}]
        )
    },
    "in-use": {"v1.yaml": None, "edge.yaml": None},
    "written-twice": {"again.yaml": release("shop", "again.test")},
    "written-twice-in-a-file": {"v3.yaml": documents(deployment("v3", "b1"), deployment("v3", "b2"))},
    "not-yaml": {"shop.yaml": SHOP["shop.yaml"] + "a: ["},
    "nested-without-end": {"shop.yaml": "[" * 10_000},
    "no-record": {"shop.yaml": SHOP["shop.yaml"].replace("Release", "Realease")},
    "not-readable": {"shop.yaml": Unreadable("is not UTF-8: byte 1 is 0xff")},
    "a-renamed-app": {"v9.yaml": deployment("v9", version=None, app="cart")},
}


@pytest.mark.parametrize("edit", HELD_BACK)
def test_what_is_held_back_is_said_and_changes_nothing(edit: str, golden: Golden) -> None:
    """Last good stays, also over a restart; and every other record of the same change moves on."""
    base = {**SHOP, "v9.yaml": deployment("v9", version=None)}
    server = Server(base)
    good = server.serves

    server.hears(HELD_BACK[edit])

    golden.check("problems.txt", server.said)
    kept = {key: spec for key, spec in server.serves.items() if key in good}
    assert {**kept, "Gateway/default/edge": ...} == {**good, "Gateway/default/edge": ...}
    after = server.serves
    server.hears({"moves-on.yaml": release("extra", "moves.on.test", to="v2")})
    assert server.hosts["moves.on.test"] == "extra"
    server.hears({"moves-on.yaml": None})

    server.restarts()
    assert server.serves == after
    server.reads({name: text for name, text in {**base, **HELD_BACK[edit]}.items() if text is not None})
    assert server.serves == after
    assert not server.admission.upserts
    assert not server.admission.deletes
    assert server.admission.touched == frozenset()


FREED: dict[str, tuple[Mapping[str, Content], str]] = {
    "deploy-it": ({"v3.yaml": deployment("v3", "b1")}, "Release/default/shop"),
    "place-it": ({"b3.yaml": build("web-3", "b3"), "v3.yaml": deployment("v3", "b3")}, "Release/default/shop"),
}


@pytest.mark.parametrize("edit", FREED)
def test_a_release_is_taken_as_soon_as_what_it_lacks_is_there(edit: str) -> None:
    server = Server({**SHOP, "shop.yaml": release("shop", "shop.test", to="v3")})
    assert not server.hosts

    server.hears(FREED[edit][0])

    assert server.hosts == {"shop.test": "shop"}
    assert server.said == ""


# --- hosts: one belongs to one release at a gateway


def test_an_incumbent_keeps_its_host_and_the_loser_gets_it_when_it_is_free() -> None:
    server = Server({**SHOP, "other.yaml": release("other", "other.test")})

    server.hears({"other.yaml": release("other", "other.test", "shop.test")})
    assert server.hosts == {"shop.test": "shop", "other.test": "other"}
    assert reasons(server) == [("Release/default/other", Reason.ROUTE_CONFLICT)]
    assert "shop" in server.errors[0].what
    assert "other" in server.errors[0].what

    server.hears({"shop.yaml": release("shop", "new.test")})
    assert server.hosts == {"shop.test": "other", "other.test": "other", "new.test": "shop"}
    assert server.said == ""


@pytest.mark.parametrize(
    ("one", "other", "winner"),
    [
        pytest.param({}, {}, "a", id="the-first-by-name"),
        pytest.param(
            {"creationTimestamp": "2026-02-01T00:00:00Z"},
            {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "b",
            id="the-first-created",
        ),
        pytest.param({}, {"creationTimestamp": "2026-01-01T00:00:00Z"}, "b", id="created-before-it-was-accepted"),
    ],
)
def test_of_two_new_releases_the_older_gets_the_host(
    one: Mapping[str, str], other: Mapping[str, str], winner: str
) -> None:
    new = {
        "a.yaml": release("a", "x.test", metadata=one),
        "b.yaml": release("b", "x.test", metadata=other),
    }
    server = Server({**SHOP, **new})

    assert server.hosts["x.test"] == winner


def test_two_releases_swap_their_hosts_in_one_change() -> None:
    server = Server({**SHOP, "other.yaml": release("other", "other.test")})

    server.hears({"other.yaml": release("other", "shop.test"), "shop.yaml": release("shop", "other.test")})

    assert server.hosts == {"shop.test": "other", "other.test": "shop"}
    assert server.said == ""


def test_an_exact_host_and_a_wildcard_are_two() -> None:
    server = Server({**SHOP, "other.yaml": release("other", "*.test")})

    assert server.hosts == {"shop.test": "shop", "*.test": "other"}


def test_one_host_at_two_gateways_belongs_to_two() -> None:
    server = Server(
        {**SHOP, "inner.yaml": gateway("inner"), "other.yaml": release("other", "shop.test", gateways=["inner"])}
    )

    assert server.said == ""


def test_a_release_leaves_its_gateway_with_the_gateway() -> None:
    """Both in one change: the gateway is not in use any more."""
    server = Server(
        {**SHOP, "inner.yaml": gateway("inner"), "other.yaml": release("other", "x.test", gateways=["inner"])}
    )

    server.hears({"inner.yaml": None, "other.yaml": release("other", "x.test")})

    assert server.said == ""
    assert "Gateway/default/inner" not in server.serves


# --- builds and deployments


def test_two_records_of_a_build_change_their_protocol_together() -> None:
    server = Server({**SHOP, "again.yaml": build("web-9", "b1", "10.0.0.9:80")})

    server.hears({"again.yaml": build("web-9", "b1", protocol="http2")})
    assert reasons(server) == [("Build/default/web-9", Reason.BUILD_CONFLICT)]

    server.hears({"builds.yaml": documents(build("web-1", "b1", protocol="http2"), build("web-2", "b2"))})
    assert server.said == ""
    assert server.serves["Build/default/web-1"]["protocol"] == "http2"
    assert server.serves["Build/default/web-9"]["protocol"] == "http2"


def test_of_two_new_records_of_a_build_the_older_has_the_say() -> None:
    server = Server({**SHOP, "b3.yaml": documents(build("z", "b3", protocol="http2"), build("y", "b3"))})

    assert reasons(server) == [("Build/default/z", Reason.BUILD_CONFLICT)]


def test_a_branch_deployment_may_change_and_is_released_with_a_warning() -> None:
    server = Server({**SHOP, "v1.yaml": deployment("v1", "b1", version=None)})
    assert [(each.record, each.reason) for each in server.warnings] == [
        ("Release/default/shop", Reason.MUTABLE_RELEASED)
    ]

    server.hears({"v1.yaml": deployment("v1", "b2", version=None)})

    assert server.serves["AppDeployment/default/v1"]["components"]["web"]["build"] == "b2"
    assert server.errors == []


@pytest.mark.parametrize("broken", [deployment("v3", routes="none"), deployment("v3", app=7)])
def test_a_release_hears_of_a_deployment_that_comes_and_is_held_back(broken: str) -> None:
    server = Server(SHOP)
    server.hears({"bad.yaml": release("bad", "bad.test", to="v3")})
    assert "has no deployment 'v3'" in str(server.errors[0])

    server.hears({"v3.yaml": broken})
    [said] = [str(each) for each in server.errors if each.record == "Release/default/bad"]
    assert "deployment v3 is written, but held back. Correct what is said of it at v3.yaml:1" in said

    server.hears({"b3.yaml": build("b3", "b3"), "v3.yaml": deployment("v3", "b3")})
    assert server.errors == []


def test_a_deployment_is_created_anew_under_its_name_once_it_is_gone() -> None:
    server = Server(SHOP)

    server.hears({"v2.yaml": None})
    server.hears({"v2.yaml": deployment("v2", "b1")})

    assert server.said == ""
    assert server.serves["AppDeployment/default/v2"]["components"]["web"]["build"] == "b1"


def test_a_deployment_goes_with_the_release_that_used_it() -> None:
    server = Server({**SHOP, "other.yaml": release("other", "other.test", to="v2")})

    server.hears({"v2.yaml": None, "other.yaml": None})

    assert server.said == ""
    assert "AppDeployment/default/v2" not in server.serves
    assert server.hosts == {"shop.test": "shop"}


def test_a_deployment_that_a_pending_release_names_cannot_go() -> None:
    server = Server(SHOP)
    server.hears({"next.yaml": release("next", "shop.test", to="v2")})

    server.hears({"v2.yaml": None})

    assert ("AppDeployment/default/v2", Reason.IN_USE) in reasons(server)
    server.hears({"next.yaml": None})
    assert "AppDeployment/default/v2" not in server.serves
    assert server.said == ""


def test_endpoints_that_go_later_are_warned_of_and_the_release_stays() -> None:
    server = Server(SHOP)

    server.hears({"builds.yaml": build("web-2", "b2")})

    assert server.hosts == {"shop.test": "shop"}
    assert {(each.record, each.reason) for each in server.warnings} == {
        ("Release/default/shop", Reason.NO_ENDPOINTS),
        ("AppDeployment/default/v1", Reason.UNPLACED_BUILD),
    }
    server.hears({"shop.yaml": release("shop", "shop.test", "more.test")})
    assert server.hosts == {"shop.test": "shop", "more.test": "shop"}, "it is no new deployment to this release"


def test_a_warning_follows_its_record_to_another_file() -> None:
    server = Server({**SHOP, "v1.yaml": deployment("v1", "b1", version=None)})

    server.hears({"shop.yaml": None, "renamed.yaml": "---\n\n" + SHOP["shop.yaml"]})

    [warning] = server.warnings
    assert (warning.where.file, warning.where.line) == ("renamed.yaml", 3)
    assert server.admission.touched == frozenset()


def test_namespaces_keep_names_apart() -> None:
    prod = {"namespace": "prod"}
    server = Server(
        {
            **SHOP,
            "prod.yaml": documents(
                record(
                    "AppDeployment",
                    "v1",
                    {"app": "shop", "components": {"web": {"build": "b1", "routes": [{}]}}},
                    **prod,
                ),
                build("web-1").replace('"name": "web-1"', '"name": "web-1", "namespace": "prod"'),
                release("shop", "prod.test", to="v1", gateways=["default.edge"], metadata=prod),
                release("cross", "cross.test", to="prod.v1", app="prod.shop"),
                release("lost", "lost.test", to="v1", metadata=prod),
            ),
        }
    )

    assert server.hosts == {"shop.test": "shop", "prod.test": "prod.shop", "cross.test": "cross"}
    assert reasons(server) == [("Release/prod/lost", Reason.UNKNOWN_GATEWAY)]


# --- files


def test_records_move_to_another_file_in_one_change() -> None:
    server = Server(SHOP)
    good = server.serves

    server.hears(dict.fromkeys(SHOP) | {f"0-{name}": text for name, text in SHOP.items()})

    assert server.serves == good
    assert server.said == ""
    assert server.admission.touched == frozenset()


def test_of_a_record_written_twice_what_was_in_force_stays_until_one_is_gone() -> None:
    server = Server(SHOP)

    server.hears({"again.yaml": release("shop", "again.test")})
    assert server.hosts == {"shop.test": "shop"}
    assert reasons(server) == [("Release/default/shop", Reason.DUPLICATE_RECORD)] * 2

    server.hears({"shop.yaml": None})
    assert server.hosts == {"again.test": "shop"}
    assert server.said == ""


def test_a_file_that_cannot_be_read_keeps_its_records_also_after_a_restart() -> None:
    server = Server(SHOP)

    for broken in ("a: [", Unreadable("cannot be opened"), SHOP["shop.yaml"].replace("v1alpha1", "v2")):
        server.hears({"shop.yaml": broken})
        assert server.hosts == {"shop.test": "shop"}
        server.restarts()
        server.reads({**SHOP, "shop.yaml": broken})
        assert server.hosts == {"shop.test": "shop"}
        assert len(server.errors) == 1

    server.hears({"shop.yaml": None, "other.yaml": release("other", "other.test")})
    assert server.hosts == {"other.test": "other"}
    assert server.said == ""


def test_a_record_that_moves_out_of_a_broken_file_is_taken() -> None:
    server = Server(SHOP)

    server.hears({"shop.yaml": "a: [", "other.yaml": release("shop", "moved.test")})
    assert sorted(reasons(server)) == [("", Reason.MALFORMED), *[("Release/default/shop", Reason.DUPLICATE_RECORD)] * 2]

    server.hears({"shop.yaml": None})
    assert server.hosts == {"moved.test": "shop"}


# --- the source as a whole


LEFT: dict[str, Mapping[str, Content]] = {
    "nothing": {},
    "all-but-its-releases": {name: text for name, text in SHOP.items() if name != "shop.yaml"},
    "a-broken-file": {"notes.yaml": "a: ["},
}


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("change", ["at-once", "file-by-file", "while-it-was-down"])
def test_a_folder_that_loses_every_release_is_not_believed(left: str, change: str) -> None:
    server = Server(SHOP)
    good = server.serves

    if change == "file-by-file":
        server.hears({**dict.fromkeys(SHOP), **LEFT[left]})
    else:
        if change == "while-it-was-down":
            server.restarts()
        server.reads(LEFT[left])

    assert server.serves == good
    assert reasons(server)[-1][1] in (Reason.SOURCE_UNREADABLE, Reason.MALFORMED)
    server.waits(SECOND)
    assert server.serves == good

    server.reads(SHOP)
    assert server.serves == good
    assert server.said == ""


def test_a_folder_may_lose_every_release_if_that_is_allowed() -> None:
    server = Server(SHOP, allow_empty=True)

    server.reads({})

    assert server.serves == {}
    assert server.rows == {}


@pytest.mark.parametrize(
    "files",
    [{}, {"a.yaml": "# later\n"}, {"edge.pem": "no record"}],
    ids=["empty", "only-comments", "only-certificates"],
)
def test_a_folder_without_a_record_is_a_warning_until_the_first_one_comes(files: Mapping[str, str]) -> None:
    server = Server(files)

    assert server.said == (
        "records: warning: no record was found, so nothing is in force. Records are in files that end in .yaml, .yml"
        " or .json: is records the right folder? [NoRecords]\n"
    )
    server.waits(SECOND)
    assert [each.reason for each in server.warnings] == [Reason.NO_RECORDS]

    server.hears({"edge.yaml": gateway()})
    assert server.said == ""
    assert list(server.serves) == ["Gateway/default/edge"]


def test_what_is_wrong_with_the_only_record_is_said_and_not_that_there_is_none() -> None:
    assert [each.reason for each in Server({"a.yaml": "a: ["}).admission.problems] == [Reason.MALFORMED]
    assert [each.reason for each in Server({"a.yaml": "a: 1"}).admission.problems] == [Reason.INVALID_FIELD]

    server = Server({"shop.yaml": SHOP["shop.yaml"]})
    assert server.serves == {}
    assert server.warnings == []


def test_a_folder_that_was_away_and_is_empty_now_is_a_warning() -> None:
    server = Server({})
    server.cannot_read("records is no folder")
    assert [each.reason for each in server.admission.problems] == [Reason.SOURCE_UNREADABLE]

    server.reads({})
    assert [each.reason for each in server.admission.problems] == [Reason.NO_RECORDS]


def test_an_empty_folder_that_is_meant_is_no_problem() -> None:
    assert Server({}, allow_empty=True).said == ""


def test_a_folder_in_which_nothing_was_released_may_become_empty_but_not_for_nothing() -> None:
    server = Server({"edge.yaml": gateway(), "b.yaml": build("b")})

    server.hears({"edge.yaml": None})
    assert list(server.serves) == ["Build/default/b"]

    server.hears({"b.yaml": None})
    assert list(server.serves) == ["Build/default/b"]
    assert reasons(server) == [("", Reason.SOURCE_UNREADABLE)]


def test_a_folder_that_fills_again_file_by_file_loses_nothing_meanwhile() -> None:
    server = Server({**SHOP, "other.yaml": release("other", "other.test")})
    good = server.serves
    server.reads({})

    for name, text in reversed(SHOP.items()):
        server.hears({name: text})
        assert server.serves == good

    server.waits(SECOND / 2)
    assert server.serves == good
    server.waits(SECOND)
    assert server.hosts == {"shop.test": "shop"}, "what did not come back in time is gone"
    assert server.said == ""
    assert server.admission.wake_at is None


def test_an_audience_that_ends_while_the_folder_is_away_ends_and_the_folder_may_return() -> None:
    until = (NOON + SECOND).isoformat()
    audience = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": until}
    files = {**SHOP, "shop.yaml": release("shop", "shop.test", audiences=[audience])}
    server = Server(files)
    server.reads({})

    server.waits(SECOND)
    [app] = server.admission.world.apps.values()
    assert len(app.expired) == 1

    server.reads({**files, "v2.yaml": documents(deployment("v2", "b2"), deployment("v3", "b2"))})
    assert "AppDeployment/default/v3" in server.serves
    assert [each.reason for each in server.admission.problems] == [Reason.AUDIENCE_ENDED]


def test_a_source_that_cannot_be_read_changes_nothing() -> None:
    server = Server(SHOP)
    good = server.serves

    server.cannot_read("cannot be listed: Permission denied")
    assert server.serves == good
    assert "records: error: cannot be listed: Permission denied." in server.said

    server.reads(SHOP)
    assert server.said == ""


# --- audiences that end


def test_an_audience_ends_at_its_instant_and_the_next_one_is_waited_for() -> None:
    first, second = NOON + SECOND, NOON + 3 * SECOND
    audiences = [
        {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": second.isoformat()},
        {
            "name": "beta",
            "match": {"headers": [{"name": "x", "present": True}]},
            "deployment": "v2",
            "until": first.isoformat(),
        },
        {"name": "ever", "hosts": ["ever.test"], "deployment": "v2"},
    ]
    server = Server({**SHOP, "shop.yaml": release("shop", "shop.test", audiences=audiences)})

    def over() -> set[str]:
        [app] = server.admission.world.apps.values()
        return {name for _, name in app.expired}

    assert over() == set()
    assert server.admission.wake_at == first
    server.waits(SECOND - timedelta(microseconds=1))
    assert over() == set()
    assert server.admission.touched == frozenset()
    server.waits(timedelta(microseconds=1))
    assert over() == {"beta"}
    assert server.admission.wake_at == second
    assert len(server.admission.touched) == 1
    assert server.admission.upserts == ()
    server.restarts()
    assert over() == {"beta"}
    server.waits(5 * SECOND)
    assert over() == {"acme", "beta"}
    assert server.admission.wake_at is None


@pytest.mark.parametrize(
    ("until", "past"),
    [
        pytest.param("2026-11-22", True, id="yesterday"),
        pytest.param("2026-11-23", False, id="a-date-means-its-end"),
        pytest.param("2026-11-23T12:00:00Z", True, id="this-instant"),
        pytest.param("2026-11-23T12:00:00.000001Z", False, id="the-next-instant"),
        pytest.param("2026-11-23T14:00:00+02:00", True, id="this-instant-elsewhere"),
        pytest.param("0001-01-01T00:00:00+14:00", True, id="the-first-of-all"),
        pytest.param("9999-12-31", False, id="the-last-of-all"),
    ],
)
def test_until(until: str, past: bool) -> None:
    audience = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": until}
    server = Server({**SHOP, "shop.yaml": release("shop", "shop.test", audiences=[audience])})

    [app] = server.admission.world.apps.values()
    assert bool(app.expired) == past


# --- the memory of what was


def test_when_a_record_was_first_accepted_is_kept() -> None:
    server = Server(SHOP)
    server.now += SECOND
    server.hears({"shop.yaml": release("shop", "new.test")})
    server.restarts()
    server.now += SECOND
    server.reads({**SHOP, "shop.yaml": release("shop", "newer.test"), "v3.yaml": deployment("v3")})

    accepted = {key.ref.name: entry.first_accepted for key, entry in server.admission.in_force.items()}
    assert accepted["shop"] == NOON
    assert accepted["v3"] == NOON + 2 * SECOND


def test_the_world_knows_how_old_deployments_are() -> None:
    server, shop = Server(SHOP), Ref("default", "shop")
    server.now += SECOND
    before = server.admission.world.app(shop)
    server.hears({"shop.yaml": release("shop", "new.test")})
    released = server.admission.world.app(shop)
    server.restarts()
    server.now += SECOND
    made = json.loads(deployment("v4"))
    made["metadata"]["creationTimestamp"] = "2026-11-01T00:00:00Z"
    server.reads({**SHOP, "v2.yaml": None, "v3.yaml": deployment("v3"), "v4.yaml": json.dumps(made)})

    since = {ref.name: since for ref, since in server.admission.world.app(shop).since.items()}
    assert since == {"v1": NOON, "v3": NOON + 2 * SECOND, "v4": NOON.replace(day=1, hour=0)}
    assert before.since is released.since, "the same deployments have the same age"


def test_saved_rows_that_are_no_record_any_more_are_left_out() -> None:
    server = Server(SHOP)
    server.rows["Gizmo", "default", "a"] = server.rows["Release", "default", "shop"]._replace(kind="Gizmo", name="a")
    server.rows["App", "default", "shop"] = server.rows["Release", "default", "shop"]._replace(kind="App")

    server.restarts()

    assert len(server.serves) == 6


def test_after_a_restart_a_record_that_is_gone_leaves() -> None:
    server = Server({**SHOP, "other.yaml": release("other", "other.test")})
    server.restarts()

    server.reads({name: text for name, text in SHOP.items() if name != "v2.yaml"})

    assert server.hosts == {"shop.test": "shop"}
    assert "AppDeployment/default/v2" not in server.serves
    assert len(server.rows) == 5


def test_a_release_whose_deployment_todays_rules_refuse_is_left_out_with_it() -> None:
    """Rules may become stricter with a new version of the server. It starts, and says what is wrong."""
    server = Server({**SHOP, "other.yaml": release("other", "other.test", to="v2")})
    row = server.rows["AppDeployment", "default", "v1"]
    stricter = row.document.replace('"pathPrefix":"/"', '"pathRegex":"a{1001}"')
    server.rows["AppDeployment", "default", "v1"] = row._replace(document=stricter)

    server.restarts()
    assert server.hosts == {"other.test": "other"}

    server.reads({**SHOP, "other.yaml": release("other", "other.test", to="v2"), "v1.yaml": stricter})
    assert server.hosts == {"other.test": "other"}
    assert "spec.components.web.routes.0.pathRegex is not a regular expression" in server.said


def test_after_a_restart_a_record_that_its_file_still_says_is_not_made_again() -> None:
    server = Server(SHOP)
    server.restarts()
    restored = {key: entry.record for key, entry in server.admission.in_force.items()}
    server.reads({**SHOP, "v1.yaml": deployment("v1", "b1") + "# the same\n", "v3.yaml": deployment("v3", "b1")})

    said = {document.key: document.record for found in server.admission.wanted.values() for document in found}
    assert all(said[key] is record for key, record in restored.items())
    assert len(said) == len(restored) + 1
