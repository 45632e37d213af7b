"""Small worlds to publish, and words to write dialogues with."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from immutables import Map

from xds_server.protocol.channel import no_endpoints
from xds_server.protocol.sotw import version_of
from xds_server.snapshot import Resource, Resources, Snapshot, TypeUrl

CDS, EDS, LDS, RDS = TypeUrl.CLUSTER, TypeUrl.ENDPOINTS, TypeUrl.LISTENER, TypeUrl.ROUTES
SDS = TypeUrl.SECRET
RUNTIME = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
VHDS = TypeUrl.VIRTUAL_HOST


def resource(written: str) -> Resource:
    """`web=2>pods` is the resource `web` at version 2, which needs `pods`. The version is 1 unless it is written."""
    content, _, needs = written.partition(">")
    name, _, version = content.partition("=")
    return Resource(name, version or "1", f"{name}={version}".encode(), tuple(needs.split()))


def world(
    clusters: Iterable[str] = (),
    endpoints: Iterable[str] = (),
    listeners: Iterable[str] = (),
    routes: Iterable[str] = (),
    *,
    secrets: Iterable[str] = (),
    after: Snapshot | None = None,
) -> Snapshot:
    """A world with these resources. `after`: it says what changed since that one."""
    kinds = {CDS: clusters, EDS: endpoints, SDS: secrets, LDS: listeners, RDS: routes}
    return snapshot_of({kind: map(resource, written) for kind, written in kinds.items()}, after)


def snapshot_of(resources: Mapping[TypeUrl, Iterable[Resource]], after: Snapshot | None = None) -> Snapshot:
    maps: dict[TypeUrl, Resources] = {
        kind: Map({each.name: each for each in of_kind}) for kind, of_kind in resources.items()
    }
    if after is None:
        return Snapshot(maps)
    changed = {kind: _differences(after.of(kind), now) for kind, now in maps.items()}
    return Snapshot(maps, serial=after.serial + 1, since=after.serial, changed=changed)


def version(*written: str) -> str:
    """The version of a type in SotW for a client that holds exactly these; `!name` is an empty assignment."""
    return version_of(no_endpoints(each[1:]) if each.startswith("!") else resource(each) for each in written)


def _differences(before: Resources, now: Resources) -> frozenset[str]:
    names = {*before.keys(), *now.keys()}
    return frozenset(name for name in names if before.get(name) != now.get(name))


def on_demand(
    clusters: Iterable[str] = (),
    endpoints: Iterable[str] = (),
    hosts: Iterable[str] = (),
    *,
    routes: str = "e/h=1",
    after: Snapshot | None = None,
) -> Snapshot:
    """A world of a listener `l`, whose route configuration `e/h` has these virtual hosts on demand.

    `*.test` is a wildcard, `!*.test` one that refuses, as `*` always does. `-` is there for every proxy, and so is the
    cluster `a` if it is written `!a`.
    """
    everywhere = [written[1:] for written in clusters if written.startswith("!")]
    made = map(virtual_host, ("-", "!*", *hosts))
    resources = {
        CDS: [resource(written.removeprefix("!")) for written in clusters],
        EDS: [resource(written) for written in endpoints],
        LDS: [resource("l=1>e/h")],
        RDS: [resource(routes)],
        VHDS: list(made),
    }
    always = {VHDS: frozenset({"e/h/-"}), CDS: frozenset(resource(written).name for written in everywhere)}
    return replace(snapshot_of(resources, after), on_demand=True, always=always)


def virtual_host(written: str) -> Resource:
    found = resource(f"e/h/{written.removeprefix('!')}")
    if "*" not in found.name:
        return found
    return found.for_names(
        lambda name: Resource(name, f"{found.version}of{found.name}", b"made", found.needs),
        refuses=written.startswith("!"),
    )
