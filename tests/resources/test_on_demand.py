from xds_server.messages.codec import to_json
from xds_server.resources.on_demand import virtual_hosts
from xds_server.resources.route_configurations import Hosts
from xds_server.resources.virtual_hosts import too_new_body, unknown_body, withheld_body
from xds_server.snapshot import NOTHING, Resource, Resources, TypeUrl
from xds_server.traffic.style import Style

STYLE = Style(selector="", template=".p.test", serves_explicit=True, denies_explicit=False)
HOSTS = Hosts().replaced([("*", unknown_body()), ("a.test", b"a"), ("*.b.test", withheld_body("*.b.test"))])
NAMES = frozenset({"edge/http/*", "edge/http/a.test", "edge/http/*.b.test", "edge/http/xds-server.invalid"})


def made(hosts: Hosts, before: Resources = NOTHING, *domains: str) -> tuple[Resources, frozenset[str]]:
    return virtual_hosts(before, ["edge/http"], STYLE, hosts, domains or ["xds-server.invalid", *hosts.bodies])


def message(resource: Resource) -> dict[str, object]:
    return to_json(TypeUrl.VIRTUAL_HOST, resource.body)


def test_each_domain_is_a_resource_and_a_listener_has_one_that_nobody_asks_for() -> None:
    found, changed = made(HOSTS)

    assert changed == frozenset(found) == NAMES
    assert message(found["edge/http/xds-server.invalid"])["domains"] == ["xds-server.invalid"]
    assert [name for name, each in found.items() if each.refuses] == ["edge/http/*"]


def test_the_virtual_host_of_a_name_under_a_wildcard_differs_from_it_in_nothing_but_the_name() -> None:
    found, _ = made(HOSTS.needing([("*.b.test", ("v1/web",))]))
    wildcard = found["edge/http/*.b.test"]
    assert wildcard.exact is not None
    exact = wildcard.exact("edge/http/x.b.test")

    assert message(exact) == message(wildcard) | {"name": "edge/http/x.b.test", "domains": ["x.b.test"]}
    assert (exact.name, exact.needs, exact.exact, exact.refuses) == ("edge/http/x.b.test", ("v1/web",), None, False)


def test_what_a_host_needs_is_a_part_of_its_version() -> None:
    before, _ = made(HOSTS)
    after, changed = made(HOSTS.needing([("a.test", ("v1/web",))]), before, "a.test")

    assert changed == {"edge/http/a.test"}
    assert after["edge/http/a.test"].body == before["edge/http/a.test"].body


def test_what_is_the_same_as_before_has_not_changed_and_what_is_gone_has() -> None:
    before, _ = made(HOSTS)
    after, changed = made(HOSTS.replaced([("a.test", None)]), before, "a.test", "*", "xds-server.invalid")

    assert changed == NAMES - frozenset(after) == {"edge/http/a.test"}


def test_older_envoys_are_told_that_they_are_too_old_for_a_host() -> None:
    found, _ = made(HOSTS.replaced([("a.test", b"new")], {"a.test": (1, 39)}))
    older = found["edge/http/a.test"].known_to((1, 38))

    assert older is not None
    assert older.body.endswith(too_new_body("a.test"))
