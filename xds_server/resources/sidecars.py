"""What the Envoy beside one build is told: how its calls find their deployment, and who may call it.

    outbound   a virtual host for each component that the build may name; in it one lookup of the context, however many
               deployments there are
    inbound    the same lookup, in front of the application: nobody reaches it in a deployment that does not contain it

What a call gets is decided in `traffic.calls`; a request that nothing is for is answered with the reason.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from xds_server.domain import names
from xds_server.domain.builds import BuildId
from xds_server.domain.names import CONTEXT_HEADER, CONTEXT_RULE, NO_CONTEXT_RULE, OWNER_RULE, PROBE_RULE, Ref
from xds_server.domain.sidecars import Sidecar
from xds_server.messages.codec import decode, encode, pack
from xds_server.messages.envoy import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    Route,
    RouteAction,
    RouteActionUpgradeConfig,
    RouteConfiguration,
    RouteMatch,
)
from xds_server.messages.envoy import HttpProtocolOptions as CommonOptions
from xds_server.messages.extensions import HttpProtocolOptions, HttpProtocolOptionsExplicitHttpConfig
from xds_server.messages.fields import message_field
from xds_server.records.matches import RouteRule
from xds_server.records.models import Protocol
from xds_server.resources import branches, predicates
from xds_server.resources.access_logs import access_log_clusters
from xds_server.resources.actions import NO_TIME, WEBSOCKET, usual_policy, usual_retries
from xds_server.resources.apps import AppParts
from xds_server.resources.branches import Branch, Try
from xds_server.resources.clusters import CONNECT_TIMEOUT, HTTP_OPTIONS, cluster
from xds_server.resources.content import resource
from xds_server.resources.draws import Choice, draw
from xds_server.resources.endpoints import resolved
from xds_server.resources.route_configurations import BETWEEN_PROXIES, VIRTUAL_HOSTS
from xds_server.resources.routes import EncodedRoutes, call_list, encoded_routes, refusals
from xds_server.resources.sidecar_listeners import sidecar_listeners
from xds_server.resources.upstream_tls import secrets_of
from xds_server.resources.upstreams import UNPLACED
from xds_server.resources.virtual_hosts import named
from xds_server.snapshot import NOTHING, Resource, Resources, TypeUrl
from xds_server.traffic.calls import Callee, Calls, Oldest, Target, Without, calls_of
from xds_server.traffic.intents import (
    CONTEXT_UNKNOWN,
    DefaultIntent,
    DeploymentRoutes,
    Refusal,
    RouteIntent,
)

EVERYTHING = RouteRule()
MOST = 2**32 - 1
UNLIMITED = CircuitBreakers(
    thresholds=[
        CircuitBreakersThresholds(max_connections=MOST, max_pending_requests=MOST, max_requests=MOST, max_retries=MOST)
    ]
)
"""How much an application may be asked at once is what its callers' records say; Envoy's defaults would be less."""
APPLICATION_IDLE_TIMEOUT = timedelta(seconds=4)
"""Of a connection to the application: less than most servers keep one open (5 s), so that it is not they who close."""
GRPC_HEALTH = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True, slots=True, eq=False)
class SidecarParts:
    """All that is told to the sidecars of one kind but endpoints and secrets.

    `probes` is what it asks of `Build` records; `secrets` names those that its clusters need.
    """

    probes: tuple[str, ...]
    secrets: frozenset[str]
    resources: Mapping[TypeUrl, Resources]


def sidecar_parts(app: AppParts, sidecar: Sidecar) -> SidecarParts:
    calls, asked = calls_of(app.world, sidecar.build), probes(app, sidecar.build)
    log = app.world.settings.spec.access_log if app.world.settings is not None else None
    listeners = sidecar_listeners(sidecar.build, sidecar.ports, log)
    routes = [_outbound(app, calls)]
    clusters = [*_called(app, calls), *access_log_clusters(log).values()]
    if sidecar.ports.application is not None:
        routes.append(_inbound(calls, asked))
        clusters.append(_application(app, sidecar))
    found = {TypeUrl.CLUSTER: clusters, TypeUrl.LISTENER: listeners, TypeUrl.ROUTES: routes}
    secrets = frozenset(_secrets(app, calls))
    return SidecarParts(
        asked, secrets, {kind: NOTHING.update({each.name: each for each in of}) for kind, of in found.items()}
    )


def _called(app: AppParts, calls: Calls) -> Iterator[Resource]:
    """The clusters of what may be called, and of nothing else."""
    for target in _targets(calls):
        yield cluster(target.record, target.component, app.upstreams)


def _secrets(app: AppParts, calls: Calls) -> Iterator[str]:
    for target in _targets(calls):
        yield from secrets_of(app.upstreams.get(_build(app, target), UNPLACED))


def _targets(calls: Calls) -> Iterator[Target]:
    found = (target for callee in calls.callees for target in callee.contexts.values())
    return (each for each in found if isinstance(each, Target))


def _outbound(app: AppParts, calls: Calls) -> Resource:
    name = names.outbound(calls.build.word)
    hosts = [_callee_host(app, calls, name, callee) for callee in calls.callees]
    nobody = branches.virtual_host("*", branches.routes(refusals(calls.to_nobody)))
    return _configuration(name, [*hosts, named(names.virtual_host(name, "*"), nobody)])


def _callee_host(app: AppParts, calls: Calls, configuration: str, callee: Callee) -> bytes:
    targets = [target for target in callee.contexts.values() if isinstance(target, Target)]
    usual = usual_retries(target.policy for target in targets)
    encoded = {target.deployment: encoded_routes(_to(target), _grpc(app, target), usual) for target in targets}

    def branch(rule: str, deployment: Ref) -> Branch:
        found = callee.contexts[deployment]
        if isinstance(found, Refusal):
            return branches.routes(refusals(found, rule, deployment.word))
        return branches.routes(call_list(rule, encoded[deployment]))

    then = _by_context(calls, branch)
    first, *others = callee.hosts
    again = encode(usual_policy(usual)) if usual is not None else b""
    return named(
        names.virtual_host(configuration, callee.component), branches.virtual_host(first, then, "", again, *others)
    )


def _to(target: Target) -> DeploymentRoutes:
    intent = RouteIntent(f"{target.component}.0", EVERYTHING, target.component, target.policy)
    return DeploymentRoutes(target.deployment, (intent,))


def _grpc(app: AppParts, target: Target) -> tuple[str, ...]:
    return (target.component,) if _build(app, target) in app.grpc else ()


def _build(app: AppParts, target: Target) -> BuildId:
    build = target.record.spec.components[target.component].build
    return BuildId(app.world.app, target.component, build)


def _by_context(calls: Calls, branch: Callable[[str, Ref], Branch], probes: Iterable[Try] = ()) -> Branch:
    """`branch`: what a request sees that is given a deployment under a rule."""
    known = {ref.word: branch(CONTEXT_RULE, ref) for ref in calls.contexts}
    unknown = branches.routes(refusals(CONTEXT_UNKNOWN, CONTEXT_RULE))
    found = branches.lookup(CONTEXT_HEADER, known, unknown) if known else unknown
    carries = predicates.header_regex(CONTEXT_HEADER, predicates.ANYTHING), found
    tries, last = _without(calls.without, branch)
    return branches.choice([carries, *probes, *tries], last)


def _without(given: Without, branch: Callable[[str, Ref], Branch]) -> Choice:
    match given:
        case Refusal():
            return Choice([], branches.routes(refusals(given, NO_CONTEXT_RULE)))
        case DefaultIntent():
            return draw(given, {each.deployment: branch(NO_CONTEXT_RULE, each.deployment) for each in given.ranges})
        case Oldest():
            return Choice([], branch(NO_CONTEXT_RULE, given.deployment))
        case _:
            return Choice([], branch(OWNER_RULE, given))


def _inbound(calls: Calls, paths: tuple[str, ...]) -> Resource:
    """`paths` are answered without a context."""
    name = names.inbound(calls.build.word)
    called = replace(calls, contexts=calls.inbound)
    route = encode(
        Route(
            match=RouteMatch(prefix="/"),
            route=RouteAction(
                cluster=names.application(calls.build.word),
                timeout=NO_TIME,
                idle_timeout=NO_TIME,
                upgrade_configs=[RouteActionUpgradeConfig(upgrade_type=each) for each in _upgrades(calls)],
            ),
        )
    )
    own = f"{calls.build.component}.0"

    def branch(rule: str, deployment: Ref) -> Branch:
        listed = EncodedRoutes(deployment, ((own, route),))
        return branches.routes(call_list(rule, listed, counted=False))

    unbound = EncodedRoutes(Ref("default", "-"), ((own, route),))
    probed = branches.routes(call_list(PROBE_RULE, unbound, counted=False))
    asks = [(predicates.header_regex(":path", _any_of(paths)), probed)] if paths else []
    then = _by_context(called, branch, asks)
    return _configuration(name, [named(names.virtual_host(name, "*"), branches.virtual_host("*", then))])


def _upgrades(calls: Calls) -> list[str]:
    """What callers may switch to, besides WebSockets, in any deployment of the build."""
    allowed = {
        each for record in calls.records for each in record.spec.components[calls.build.component].policy.upgrades
    }
    return sorted(allowed - {WEBSOCKET})


def probes(app: AppParts, build: BuildId) -> tuple[str, ...]:
    """Paths that are answered without a context: how the records that place the build ask for its health, and more."""
    found: set[str] = set()
    for record in app.placed.get(build, ()):
        found.update(record.spec.probes)
        check = record.spec.health_check
        if check is not None:
            found.add(GRPC_HEALTH if record.spec.protocol is Protocol.GRPC else check.path)
    return tuple(sorted(found))


def _any_of(paths: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, paths))})(?:\\?\\C*)?"


def _application(app: AppParts, sidecar: Sidecar) -> Resource:
    """The instance beside which it is. It is asked for nothing: whether it is well is the callers' question."""
    name = names.application(sidecar.build.word)
    http2 = sidecar.build in app.upstreams and app.upstreams[sidecar.build].http2
    return resource(
        name,
        Cluster(
            name=name,
            type=ClusterDiscoveryType.STATIC,
            connect_timeout=CONNECT_TIMEOUT,
            load_assignment=resolved(name, [f"127.0.0.1:{sidecar.ports.application}"]),
            circuit_breakers=UNLIMITED,
            alt_stat_name=names.cluster_stat(name),
            typed_extension_protocol_options={HTTP_OPTIONS: pack(_spoken(http2=http2))},
        ),
    )


def _spoken(*, http2: bool) -> HttpProtocolOptions:
    return HttpProtocolOptions(
        common_http_protocol_options=CommonOptions(idle_timeout=APPLICATION_IDLE_TIMEOUT),
        explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(
            http_protocol_options=None if http2 else Http1ProtocolOptions(),
            http2_protocol_options=Http2ProtocolOptions() if http2 else None,
        ),
    )


def _configuration(name: str, hosts: Iterable[bytes]) -> Resource:
    """A port in a request's host says nothing: a component is found by its name."""
    begins = encode(
        RouteConfiguration(name=name, ignore_port_in_host_matching=True, response_headers_to_remove=BETWEEN_PROXIES)
    )
    body = begins + b"".join(message_field(VIRTUAL_HOSTS, host) for host in hosts)
    return resource(name, decode(RouteConfiguration, body))
