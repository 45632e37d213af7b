"""What an operator hears when proxies refuse a resource: on the record that it comes from, in Envoy's own words."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from xds_server.domain import names
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason
from xds_server.domain.sidecars import Sidecar
from xds_server.domain.versions import OLDEST, written
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.extensions import extensions_of
from xds_server.records.models import AppDeployment, Gateway
from xds_server.records.wants import place_in
from xds_server.records.world import build_id
from xds_server.records.yaml import FieldPath
from xds_server.snapshot import TypeUrl, kind_of
from xds_server.traffic.domains import OfDeployment, OfNobody, OfRelease, owner_of

OF_BUILD = re.compile("transport_socket|trusted_ca|certificate|secret|tls|health_?check|dns", re.IGNORECASE)
"""What Envoy says of a cluster when it is about how the build is spoken to."""
SIDECARS_OWN = (TypeUrl.LISTENER, TypeUrl.ROUTES)
"""What no other proxy is told."""
LONGEST = 400
"""Characters of what a proxy says."""


class Refusal(NamedTuple):
    """Proxies of a gateway, or beside a build, that refuse a resource. `proxy` is one; `alone`: it is the only one."""

    fleet: Ref | Sidecar
    type_url: str
    name: str
    proxy: str
    alone: bool
    why: str


def refusal_problems(refusal: Refusal, admission: Admission) -> Iterator[Problem]:
    """One for each record in force that the resource comes from."""
    who = f"proxy {refusal.proxy} refuses" if refusal.alone else f"proxy {refusal.proxy} and others refuse"
    why = " ".join(refusal.why.split())
    what = f"{who} {kind_of(refusal.type_url)} {refusal.name}: {why[:LONGEST] or 'no reason given'}".rstrip(".")
    for key, path in _sources(refusal, admission):
        entry = admission.in_force.get(key)
        if entry is not None:
            extensions = ", ".join(extensions_of(entry.record))
            made = f". What it refuses was made by extensions: {extensions}" if extensions else ""
            yield Problem(place_in(admission, key, path), Reason.REFUSED, what, _fix(refusal) + made, str(key))


class Outdated(NamedTuple):
    """Proxies of a gateway that are too old to be told anything. `alone`: the one that is named is the only one."""

    gateway: Ref
    proxy: str
    version: str
    alone: bool


def outdated_problem(outdated: Outdated, admission: Admission) -> Problem | None:
    """Of the gateway's record, if it is in force."""
    key = Key("Gateway", outdated.gateway)
    if key not in admission.in_force:
        return None
    told = "is told nothing" if outdated.alone else "and others are told nothing"
    what = f"proxy {outdated.proxy}, Envoy {outdated.version}, {told}: it would drop fields that it does not know"
    fix = f"Run Envoy {written(OLDEST)} or later; until then it serves what it was told before, if anything"
    return Problem(place_in(admission, key, ("spec",)), Reason.OLD_ENVOY, what, fix, str(key))


def _fix(refusal: Refusal) -> str:
    kind = kind_of(refusal.type_url)
    if refusal.type_url == TypeUrl.LISTENER and isinstance(refusal.fleet, Sidecar):
        return "Free what it says is taken, or start it with other ports; it is sent this one again until it takes it"
    if refusal.type_url == TypeUrl.LISTENER:
        return (
            "Free what it says is taken, or change the record: it keeps the Listener that it had, if any, and is sent "
            "this one again until it takes it"
        )
    if refusal.type_url == TypeUrl.VIRTUAL_HOST:
        return "Change the record: until then the host stays as it was, and is not served where it was not loaded"
    if refusal.type_url == TypeUrl.ROUTES:
        return "Undo the last change of a record that has routes there: until then all of its routes stay as they were"
    return f"Change the record: until then it keeps the {kind} that it had, if any"


def _sources(refusal: Refusal, admission: Admission) -> Iterator[tuple[Key, FieldPath]]:
    if not isinstance(refusal.fleet, Sidecar):
        yield from _sources_at_a_gateway(refusal, refusal.fleet, admission)
    elif refusal.type_url == TypeUrl.CLUSTER and refusal.name == names.ACCESS_LOG_CLUSTER:
        yield Key("App", refusal.fleet.build.app), ("spec", "accessLog")
    elif refusal.type_url in SIDECARS_OWN or refusal.name == names.application(refusal.fleet.word):
        yield from _builds(refusal.fleet.word, admission, ("spec",))
    else:
        yield from _shared_sources(refusal, admission)


def _sources_at_a_gateway(refusal: Refusal, fleet: Ref, admission: Admission) -> Iterator[tuple[Key, FieldPath]]:
    gateway = Key("Gateway", fleet)
    match refusal.type_url:
        case TypeUrl.CLUSTER if refusal.name == names.ACCESS_LOG_CLUSTER:
            yield gateway, ("spec", "accessLog")
        case TypeUrl.CLUSTER | TypeUrl.ENDPOINTS | TypeUrl.SECRET:
            yield from _shared_sources(refusal, admission)
        case TypeUrl.VIRTUAL_HOST:
            yield _host_source(refusal, gateway, admission) or (gateway, ("spec",))
        case _:
            yield gateway, _listener_path(refusal, gateway, admission)


def _shared_sources(refusal: Refusal, admission: Admission) -> Iterator[tuple[Key, FieldPath]]:
    """Of what gateways and sidecars are told alike."""
    match refusal.type_url:
        case TypeUrl.CLUSTER:
            yield from _cluster_sources(refusal, admission)
        case TypeUrl.ENDPOINTS:
            yield from _builds(refusal.name, admission, ("spec", "endpoints"))
        case _:
            for key, uses in sorted(admission.keeping.uses.items()):
                yield from ((key, use.path) for use in uses if use.name == refusal.name)


def _cluster_sources(refusal: Refusal, admission: Admission) -> Iterator[tuple[Key, FieldPath]]:
    """A cluster comes from its component, and from the build: what is about TLS and health checks from that alone."""
    deployment, component = names.owner(refusal.name)
    key = Key("AppDeployment", deployment)
    entry = admission.in_force.get(key)
    if not OF_BUILD.search(refusal.why):
        yield key, ("spec", "components", component)
    if entry is not None and isinstance(entry.record, AppDeployment):
        record = entry.record
        app = admission.world.app(record.refer(record.spec.app))
        placed = app.placed(component, record.spec.components[component].build)
        yield from ((Key("Build", build), ("spec",)) for build in sorted(each.ref for each in placed))


def _host_source(refusal: Refusal, gateway: Key, admission: Admission) -> tuple[Key, FieldPath] | None:
    """A release's host comes from the release, a deployment's own host from the deployment."""
    entry = admission.in_force.get(gateway)
    if entry is None or not isinstance(entry.record, Gateway):
        return None
    match owner_of(admission.world, entry.record, refusal.name.rpartition("/")[2])[1]:
        case OfRelease(release=release):
            return Key("Release", release.ref), ("spec",)
        case OfDeployment(deployment=deployment):
            return Key("AppDeployment", deployment), ("spec",)
        case OfNobody():
            return None


def _builds(word: str, admission: Admission, path: FieldPath) -> Iterator[tuple[Key, FieldPath]]:
    """The records that place the build of this name."""
    app, _ = names.owner(word)
    for ref, record in sorted(admission.world.app(app).builds.items()):
        if build_id(record).word == word:
            yield Key("Build", ref), path


def _listener_path(refusal: Refusal, gateway: Key, admission: Admission) -> FieldPath:
    """Listeners and their route configurations have the same name."""
    entry = admission.in_force.get(gateway)
    _, name = names.owner(refusal.name)
    listeners = entry.record.spec.listeners if entry and isinstance(entry.record, Gateway) else ()
    found = [index for index, each in enumerate(listeners) if each.name == name]
    return ("spec", "listeners", *found[:1])
