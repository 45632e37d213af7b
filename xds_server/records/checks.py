"""What a record must be true to besides its own fields: the records that are in force."""

import difflib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Reason
from xds_server.records.matches import RouteRule
from xds_server.records.models import AppDeployment, Build, Component, Gateway, Release
from xds_server.records.world import AppWorld, World, build_id
from xds_server.records.yaml import FieldPath

Written = Callable[[str, Ref], Place | None]
"""Where a record of this kind and name is written, in force or not; None: nowhere."""


class Finding(NamedTuple):
    """A fault at a field of a record."""

    path: FieldPath
    reason: Reason
    what: str
    fix: str


def build_findings(record: Build, older: Iterator[Build]) -> Iterator[Finding]:
    """`older`: the other records of the same build that have the say."""
    for other in older:
        theirs = other.spec.agreed
        for field, said in record.spec.agreed.items():
            if said != theirs[field]:
                mine, yours = (f" {each}" if isinstance(each, str) else "" for each in (said, theirs[field]))
                yield Finding(
                    ("spec", field),
                    Reason.BUILD_CONFLICT,
                    f"{field}{mine} is not that of {other.ref.word},{yours}{',' if yours else ''} "
                    f"which places the same build {build_id(record).word}",
                    f"Give both records one {field}, or another build hash",
                )
                return


def deployment_findings(record: AppDeployment, before: AppDeployment | None) -> Iterator[Finding]:
    if before is not None and before.spec != record.spec:
        if before.spec.version is not None:
            yield Finding(
                ("spec",),
                Reason.IMMUTABLE,
                f"version {before.spec.version} was accepted with another spec, and a version never changes",
                "Deploy the change as a new AppDeployment, or delete this one first",
            )
            return
        if before.refer(before.spec.app) != record.refer(record.spec.app):
            yield Finding(("spec", "app"), Reason.IMMUTABLE, "the app of a deployment never changes", "Use a new name")
    for name, component in record.spec.components.items():
        yield from _unknown_calls(record, name, component)
    yield from _equal_routes(record)


def _unknown_calls(record: AppDeployment, name: str, component: Component) -> Iterator[Finding]:
    for index, called in enumerate(component.calls or ()):
        if called not in record.spec.components:
            yield Finding(
                ("spec", "components", name, "calls", index),
                Reason.UNKNOWN_COMPONENT,
                f"component {name} calls {called!r}, which {record.ref.word} does not have",
                _closest(called, record.spec.components, "Add the component or remove the call"),
            )


def _equal_routes(record: AppDeployment) -> Iterator[Finding]:
    """Two rules that match the same requests: one of them would never be used."""
    seen: dict[RouteRule, str] = {}
    for name, component in sorted(record.spec.components.items()):
        for index, rule in enumerate(component.routes):
            here = f"components.{name}.routes.{index}"
            if rule in seen:
                yield Finding(
                    ("spec", "components", name, "routes", index),
                    Reason.INVALID_FIELD,
                    f"{here} matches exactly what {seen[rule]} matches, so it would never be used",
                    "Remove one of them, or tell them apart",
                )
            seen.setdefault(rule, here)


def gateway_findings(record: Gateway, hosts: Iterator[tuple[str, Ref]]) -> Iterator[Finding]:
    """`hosts`: what releases have at the gateway, and which release each is of."""
    suffix = template_suffix(record)
    for host, release in hosts if suffix else ():
        if host.endswith(suffix):
            yield Finding(
                ("spec", "explicit", "host"),
                Reason.ROUTE_CONFLICT,
                f"the host template covers {host}, which belongs to Release {release.word}",
                "Choose a template that covers no release's host",
            )
            return


def template_suffix(record: Gateway) -> str:
    """`.preview.example.com` of `{deployment}.preview.example.com`; empty without a template."""
    explicit = record.spec.explicit
    return (explicit.host or "").removeprefix("{deployment}") if explicit else ""


def release_findings(record: Release, world: World, written: Written) -> Iterator[Finding]:
    yield from _gateways(record, world, written)
    app = world.app(record.refer(record.spec.app))
    for path, name in named(record):
        deployment = app.deployments.get(record.refer(name))
        if deployment is None:
            yield _unknown_deployment(path, record, name, world, written)
        elif not deployment.spec.entries:
            what = f"deployment {name} has no component with routes, so no request could reach it"
            yield Finding(path, Reason.NO_ENDPOINTS, what, "Give one of its components routes")


def named(record: Release) -> Iterator[tuple[FieldPath, str]]:
    """Each deployment that the release names, where it first does."""
    seen = set()
    for index, share in enumerate(record.spec.default):
        if share.deployment not in seen:
            seen.add(share.deployment)
            yield ("spec", "default", index, "deployment"), share.deployment
    for index, audience in enumerate(record.spec.audiences):
        if audience.deployment not in seen:
            seen.add(audience.deployment)
            yield ("spec", "audiences", index, "deployment"), audience.deployment


def _gateways(record: Release, world: World, written: Written) -> Iterator[Finding]:
    for index, name in enumerate(record.spec.gateways):
        gateway = world.gateways.get(record.refer(name))
        if gateway is not None:
            yield from _under_template(record, gateway)
            continue
        what = f"there is no gateway {name!r}"
        fix = _closest(name, [ref.word for ref in world.gateways], "Add a Gateway record with this name")
        if (place := written("Gateway", record.refer(name))) is not None:
            what, fix = _held_back(f"gateway {name}", place)
        yield Finding(("spec", "gateways", index), Reason.UNKNOWN_GATEWAY, what, fix)


def _held_back(what: str, place: Place) -> tuple[str, str]:
    """Of a record that is there: nobody is told to write it."""
    return f"{what} is written, but held back", f"Correct what is said of it at {place}; this one is taken then"


def _under_template(record: Release, gateway: Gateway) -> Iterator[Finding]:
    suffix = template_suffix(gateway)
    for host in record.spec.all_hosts if suffix else ():
        if host.endswith(suffix):
            yield Finding(
                host_path(record, host),
                Reason.ROUTE_CONFLICT,
                f"host {host} is one of gateway {gateway.ref.word}'s own for deployments, {{deployment}}{suffix}",
                "Choose a host outside the template",
            )


def host_path(record: Release, host: str) -> FieldPath:
    if host in record.spec.hosts:
        return ("spec", "hosts", record.spec.hosts.index(host))
    index, hosts = next((index, each.hosts) for index, each in enumerate(record.spec.audiences) if host in each.hosts)
    return ("spec", "audiences", index, "hosts", hosts.index(host))


def _unknown_deployment(path: FieldPath, record: Release, name: str, world: World, written: Written) -> Finding:
    app = record.refer(record.spec.app)
    wanted = record.refer(name)
    for other in world.apps.values():
        if wanted in other.deployments:
            what = f"deployment {name} is one of app {other.app.word}, not of {app.word}"
            return Finding(path, Reason.WRONG_APP, what, f"Name a deployment of {app.word}")
    if (place := written("AppDeployment", wanted)) is not None:
        return Finding(path, Reason.UNKNOWN_DEPLOYMENT, *_held_back(f"deployment {name}", place))
    names = [ref.word for ref in world.app(app).deployments]
    fix = _closest(name, names, "Deploy it with an AppDeployment record")
    return Finding(path, Reason.UNKNOWN_DEPLOYMENT, f"app {app.word} has no deployment {name!r}", fix)


def entries_without_endpoints(deployment: AppDeployment, app: AppWorld) -> Iterator[str]:
    for name in deployment.spec.entries:
        placed = app.placed(name, deployment.spec.components[name].build)
        if not any(record.spec.endpoints.take_requests for record in placed):
            yield name


def _closest(name: str, known: object, otherwise: str) -> str:
    names = sorted(known) if isinstance(known, dict | list) else []
    close = difflib.get_close_matches(name, names, 1)
    return f"Did you mean {close[0]}?" if close else otherwise
