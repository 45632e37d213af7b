"""What compile does with what extensions made of resources, and while they have made nothing yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.records.folder import NOON, SHOP, build, deployment, gateway, release
from xds_server.domain.names import Ref
from xds_server.domain.versions import Minor
from xds_server.messages.codec import encode
from xds_server.messages.envoy import (
    Cluster,
    CookieMatcher,
    OutlierDetection,
    Route,
    RouteMatch,
    StringMatcher,
    VirtualHost,
)
from xds_server.pipeline import EMPTY, Compilation, compile_world
from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.extensions import ANNOTATION
from xds_server.records.reading import Batch, Readable
from xds_server.resources.extensions import VIRTUAL_HOST, Call, Extensions, Failure, Outcome, Slot
from xds_server.snapshot import Delivery, Snapshot, TypeUrl

EDGE = Ref("default", "edge")
TYPES = {
    "listener": TypeUrl.LISTENER.value,
    "host": VIRTUAL_HOST,
    "cluster": TypeUrl.CLUSTER.value,
    "endpoints": TypeUrl.ENDPOINTS.value,
}
NAMES = {"listener": "edge/http", "host": "shop.test", "cluster": "v1/web", "endpoints": "shop/web@b1"}
PLAIN = {
    "listener": {"edge.yaml": gateway()},
    "host": {"shop.yaml": release("shop", "shop.test")},
    "cluster": {"v1.yaml": deployment("v1", "b1")},
    "endpoints": {"web-1.yaml": build("web-1", "b1")},
}
FILES = {**SHOP, "builds.yaml": build("web-2", "b2"), "web-1.yaml": build("web-1", "b1")}
FAILED = Failure("it", "did not want to")


def asking(files: Mapping[str, str], names: str) -> dict[str, str]:
    """The same records, which ask for extensions."""
    annotations = f'"annotations": {{"{ANNOTATION}": "{names}"}}, "name"'
    return {file: text.replace('"name"', annotations, 1) for file, text in files.items()}


@dataclass(slots=True)
class Shop:
    """A shop, its server's compilations, and extensions that answer what they are told to."""

    admission: Admission = field(default_factory=Admission)
    compiled: Compilation = EMPTY
    outcomes: dict[bytes, Outcome] = field(default_factory=dict)
    good: dict[Slot, bytes] = field(default_factory=dict)

    def hears(self, files: Mapping[str, str]) -> "Shop":
        batch = Batch({name: Readable(text) for name, text in files.items()})
        self.admission = admit(self.admission, batch, NOON, folder="records")
        return self._compiles(self.admission.touched)

    def settles(self, outcome: Outcome | None = None) -> "Shop":
        """Every call that is still open succeeds, or ends as said."""
        open_ = [call for call in self.calls if call.key not in self.outcomes]
        self.outcomes |= {call.key: changed(call) if outcome is None else outcome for call in open_}
        return self._compiles({call.app for call in open_ if call.app is not None})

    def _compiles(self, touched: set[Ref] | frozenset[Ref]) -> "Shop":
        world, before = self.admission.world, self.compiled
        extensions = Extensions(TYPES, self.outcomes, self.good)
        self.compiled = compile_world(world, before, touched, extensions)
        anew = compile_world(world, before, {*before.world.apps, *world.apps}, extensions)
        assert said(anew) == said(self.compiled)
        assert_changes_are_told(before, self.compiled)
        return self

    @property
    def snapshot(self) -> Snapshot:
        return self.compiled.gateways[EDGE].snapshot

    @property
    def calls(self) -> list[Call]:
        return list(self.compiled.calls_at(EDGE))

    def told(self, kind: str) -> bytes | None:
        """What proxies have of the resource of that kind."""
        if kind == "host":
            return self.compiled.gateways[EDGE].hosts.bodies.get("shop.test")
        found = self.snapshot.of(TypeUrl(TYPES[kind])).get(NAMES[kind])
        return found.body if found is not None else None


def changed(call: Call) -> bytes:
    return b"changed " + call.body


def said(compilation: Compilation) -> dict[tuple[Ref, Delivery], dict[TypeUrl, dict[str, str]]]:
    return {
        (ref, delivery): {kind: {name: each.version for name, each in told.of(kind).items()} for kind in TypeUrl}
        for ref, parts in compilation.gateways.items()
        for delivery, told in parts.snapshots.items()
    }


def assert_changes_are_told(before: Compilation, after: Compilation) -> None:
    """A snapshot that follows another names exactly what differs."""
    for delivery in Delivery if EDGE in before.gateways else ():
        old, new = (each.gateways[EDGE].snapshots[delivery] for each in (before, after))
        if new is old:
            continue
        assert old.serial < new.serial
        if new.since == -1:
            continue
        assert new.since == old.serial
        for kind in new.resources:
            one, two = old.of(kind), new.of(kind)
            assert new.changed[kind] == {name for name in {*one, *two} if one.get(name) != two.get(name)}


@pytest.mark.parametrize("kind", NAMES)
def test_a_resource_is_what_the_extension_made_of_it(kind: str):
    shop = Shop().hears(FILES | asking(PLAIN[kind], kind))

    assert {(call.slot.type_url, call.slot.name) for call in shop.calls} == {(TYPES[kind], NAMES[kind])}
    call, *on_demand = shop.calls
    assert [each.slot.gateway for each in on_demand] == (["edge on-demand"] if kind == "listener" else [])
    assert shop.settles().told(kind) == changed(call)
    told = shop.compiled.gateways[EDGE].snapshots[Delivery.ON_DEMAND].of(TypeUrl(TYPES[kind]))
    assert [told["edge/http"].body for _ in on_demand] == [changed(each) for each in on_demand]


@pytest.mark.parametrize("kind", NAMES)
def test_what_proxies_have_stays_until_the_extension_has_succeeded(kind: str):
    shop = Shop().hears(FILES)
    plain, snapshot = shop.told(kind), shop.snapshot

    shop.hears(asking(PLAIN[kind], kind))
    assert shop.told(kind) == plain
    shop.settles(FAILED)
    assert shop.told(kind) == plain
    assert shop.snapshot is snapshot

    shop.outcomes.clear()
    shop.settles()
    assert shop.told(kind) != plain


@pytest.mark.parametrize("kind", ["listener", "cluster", "endpoints"])
@pytest.mark.parametrize("outcome", [None, FAILED], ids=["not yet", "failed"])
def test_what_proxies_do_not_have_is_withheld(kind: str, outcome: Outcome | None):
    shop = Shop().hears(FILES | asking(PLAIN[kind], kind))
    if outcome is not None:
        shop.settles(outcome)

    assert shop.told(kind) is None


def test_a_host_that_is_withheld_is_refused_by_its_name():
    shop = Shop().hears(FILES | asking(PLAIN["host"], "host"))

    body = shop.told("host")
    assert body is not None
    assert b"Withheld" in body
    assert b"v1/web" not in body


def test_what_was_good_before_the_server_started_is_told_until_there_is_better():
    slot = Slot(TypeUrl.CLUSTER.value, "", "v1/web")
    shop = Shop(good={slot: b"good"}).hears(FILES | asking(PLAIN["cluster"], "cluster"))

    assert shop.told("cluster") == b"good"
    assert shop.settles().told("cluster") != b"good"


def test_without_the_annotation_the_resource_is_plain_again():
    plain = Shop().hears(FILES).told("cluster")
    shop = Shop().hears(FILES | asking(PLAIN["cluster"], "cluster")).settles()

    assert shop.hears(PLAIN["cluster"]).told("cluster") == plain
    assert shop.calls == []


def test_a_rollback_needs_no_new_call():
    to_v2 = {"shop.yaml": release("shop", "shop.test", to="v2")}
    shop = Shop().hears(FILES | asking(PLAIN["host"], "host")).settles()
    first = shop.told("host")
    shop.hears(asking(to_v2, "host")).settles()
    assert shop.told("host") != first

    assert shop.hears(asking(PLAIN["host"], "host")).told("host") == first


def test_a_build_in_dns_has_no_assignment_that_could_be_extended():
    in_dns = asking({"web-1.yaml": build("web-1", "b1", endpoints={"dns": "web.internal:80"})}, "endpoints")
    shop = Shop().hears(FILES | in_dns)

    assert (shop.calls, shop.told("endpoints")) == ([], None)
    assert (shop.told("cluster") or b"").count(b"web.internal") == 1

    shop.hears(asking(PLAIN["endpoints"], "endpoints"))
    [call] = shop.calls
    assert shop.settles().told("endpoints") == changed(call)


def test_what_extensions_are_given_says_where_the_resource_comes_from():
    [call] = Shop().hears(FILES | asking(PLAIN["host"], "host")).calls

    context = call.context
    assert (context.kind, context.namespace, context.name, context.gateway) == ("Release", "default", "shop", "edge")
    assert context.annotations == {ANNOTATION: "host"}
    assert call.app == Ref("default", "shop")


def test_a_changed_annotation_is_another_call():
    shop = Shop().hears(FILES | asking(PLAIN["cluster"], "cluster"))
    [one] = shop.calls
    shop.hears(asking(PLAIN["cluster"], "cluster, cluster, "))
    [other] = shop.calls

    assert one.extensions == other.extensions == ("cluster",)
    assert one.key != other.key


def test_an_extension_is_given_only_what_it_takes_and_one_that_nobody_knows_stops_everything():
    given = {call.slot.type_url for call in Shop().hears(FILES | asking(PLAIN["cluster"], "listener")).calls}
    assert given == set()

    shop = Shop().hears(FILES | asking(PLAIN["cluster"], "cluster,unheard-of"))
    assert [call.extensions for call in shop.calls] == [("cluster", "unheard-of")]


def test_another_style_of_the_gateway_is_no_new_start():
    shop = Shop().hears(FILES | asking(PLAIN["host"], "host")).settles()
    before = shop.told("host")

    shop.hears({"edge.yaml": gateway(template=".preview.test")})
    assert shop.told("host") == before


def test_a_host_goes_with_its_release():
    shop = Shop().hears(FILES | asking(PLAIN["host"], "host")).settles()
    shop.hears({"shop.yaml": release("shop", "new.test"), "more.yaml": release("more", "more.test")})

    assert shop.told("host") is None


def test_nothing_is_extended_for_whoever_has_no_extensions():
    shop = Shop().hears(FILES | asking(PLAIN["host"], "host"))
    plain = Shop().hears(FILES)

    assert said(compile_world(shop.admission.world)) == said(plain.compiled)


COOKIE = CookieMatcher(name="a", string_match=StringMatcher(exact="b"))
BY_COOKIE = encode(VirtualHost(domains=["shop.test"], routes=[Route(match=RouteMatch(prefix="/", cookies=[COOKIE]))]))
DEGRADED = encode(Cluster(name="v1/web", outlier_detection=OutlierDetection(detect_degraded_hosts=True)))


def known_to(shop: Shop, envoy: Minor, kind: TypeUrl, name: str) -> bytes | None:
    found = shop.snapshot.known_to(envoy).of(kind).get(name)
    return found.body if found is not None else None


def test_a_host_that_older_envoys_would_widen_is_refused_by_name_there():
    shop = Shop().hears(FILES | asking(PLAIN["host"], "host")).settles(BY_COOKIE)

    new, old = (known_to(shop, envoy, TypeUrl.ROUTES, "edge/http") for envoy in ((1, 37), (1, 36)))
    assert new is not None
    assert BY_COOKIE in new
    assert old is not None
    assert BY_COOKIE not in old
    assert b"too old" in old

    shop.hears(PLAIN["host"])
    assert shop.snapshot.known_to((1, 36)) is shop.snapshot


def test_a_release_elsewhere_leaves_older_envoys_their_refusal():
    shop = Shop().hears(FILES | asking(PLAIN["host"], "host")).settles(BY_COOKIE)
    shop.hears({"other.yaml": release("other", "other.test")})

    old = known_to(shop, (1, 36), TypeUrl.ROUTES, "edge/http")
    assert old is not None
    assert b"too old" in old
    assert b"other.test" in old


def test_a_cluster_that_older_envoys_would_know_in_part_is_withheld_there():
    shop = Shop().hears(FILES | asking(PLAIN["cluster"], "cluster")).settles(DEGRADED)

    assert known_to(shop, (1, 37), TypeUrl.CLUSTER, "v1/web") is None
    assert known_to(shop, (1, 38), TypeUrl.CLUSTER, "v1/web") == DEGRADED
    assert known_to(shop, (1, 36), TypeUrl.LISTENER, "edge/http") is not None


def test_a_host_that_moves_to_another_app_is_what_its_new_release_says():
    """In one batch, while the extension of the new release has made nothing: the host may not be open to a wildcard."""
    other = {
        "build.yaml": build("other-web", "b1", app="other"),
        "other.yaml": deployment("o1", "b1", app="other"),
        "zother.yaml": release("zother", "else.test", to="o1", app="other"),
    }
    shop = Shop().hears(FILES | other)
    there = asking({"zother.yaml": release("zother", "shop.test", to="o1", app="other")}, "host")
    shop.hears({"shop.yaml": release("shop", "new.test"), **there})

    assert shop.told("host") is not None
