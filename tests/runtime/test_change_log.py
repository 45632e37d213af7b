from tests.records.folder import SHOP, deployment, release
from tests.runtime.test_control import Server
from xds_server.runtime.change_log import SHOWN
from xds_server.state.store import Store


def test_what_a_deployment_does_to_the_mesh_is_logged(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)

    [shifted] = [each for each in server.hears({"v3.yaml": deployment("v3", "b1")}) if "app" in each]
    assert shifted["now_shared"] == ["shop/web@b1"]
    [shifted] = [each for each in server.hears({"v2.yaml": None}) if "app" in each]
    assert shifted["left"] == ["shop/web@b2"]


def test_who_gets_what_from_now_on_is_logged(store: Store) -> None:
    server = Server(store)
    came = server.hears(SHOP, complete=True)
    halves = [{"deployment": "v1", "weight": 50}, {"deployment": "v2", "weight": 50}]
    canary = server.hears({"shop.yaml": release("shop", "shop.test", default=halves)})
    sticky = server.hears({"shop.yaml": release("shop", "new.test", default=halves, sticky={"cookie": "user"})})

    released = {"app": "shop", "release": "shop"}
    assert [
        {name: said for name, said in each.items() if name not in ("event", "log_level")}
        for each in (*came, *canary, *sticky)
        if each["event"] == "release changed"
    ] == [
        {**released, "rules": {"default": {"before": {}, "after": {"v1": 100.0}}}, "hosts_came": ["shop.test at edge"]},
        {**released, "rules": {"default": {"before": {"v1": 100.0}, "after": {"v1": 50.0, "v2": 50.0}}}},
        {
            **released,
            "rules": {
                "default": {"before": {"v1": 50.0, "v2": 50.0}, "after": {"v1": 50.0, "v2": 50.0}, "others": True}
            },
            "hosts_came": ["new.test at edge"],
            "hosts_went": ["shop.test at edge"],
        },
    ]


def test_many_releases_and_rules_are_some_lines(store: Store) -> None:
    server = Server(store)
    audiences = [
        {"name": f"a{n:02}", "match": {"headers": [{"name": "x", "exact": f"{n}"}]}, "deployment": "v2"}
        for n in range(SHOWN + 5)
    ]
    many = {f"r{n:02}.yaml": release(f"r{n:02}", f"r{n:02}.test") for n in range(SHOWN + 5)}
    first = release("a", "a.test", audiences=audiences)
    logged = server.hears({**SHOP, **many, "a.yaml": first}, complete=True)

    lines = [each for each in logged if each["event"] == "release changed"]
    assert len(lines) == SHOWN
    assert (len(lines[0]["rules"]), lines[0]["more_rules"]) == (SHOWN, 6)


def test_a_storm_of_apps_is_one_short_line(store: Store) -> None:
    files = {f"{n}.yaml": deployment("v1", app=f"app{n:02}").replace('"v1"', f'"a{n}"') for n in range(SHOWN + 5)}
    [line] = [each for each in Server(store).hears(files, complete=True) if each["event"] == "world changed"]

    assert len(line["apps"]) == SHOWN + 1
    assert line["apps"][-1] == "and 5 more"
