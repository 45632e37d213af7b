"""What a gateway should do with a request, as frozen values: the deployment first, then its routes."""

from dataclasses import dataclass
from enum import StrEnum

from xds_server.domain.names import Ref
from xds_server.records.matches import AudienceMatch, RouteRule
from xds_server.records.models import Sticky, TrafficPolicy
from xds_server.traffic.slots import SlotRange


class RefusalReason(StrEnum):
    """Why this server, and no application, answered a request. Machine-readable, in the JSON body."""

    HOST_UNKNOWN = "HostUnknown"
    DEPLOYMENT_UNKNOWN = "DeploymentUnknown"
    EXPLICIT_DENIED = "ExplicitDenied"
    NO_ROUTE = "NoRoute"
    NO_DEFAULT = "NoDefault"
    AUDIENCE_EXPIRED = "AudienceExpired"
    WITHHELD = "Withheld"
    PROXY_TOO_OLD = "ProxyTooOld"
    COMPONENT_UNKNOWN = "ComponentUnknown"
    COMPONENT_ABSENT = "ComponentAbsent"
    CALL_UNDECLARED = "CallUndeclared"
    CONTEXT_UNKNOWN = "ContextUnknown"
    NO_CONTEXT = "NoContext"
    BUILD_UNKNOWN = "BuildUnknown"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that carries its reason."""

    reason: RefusalReason
    message: str
    status: int = 404


HOST_UNKNOWN = Refusal(RefusalReason.HOST_UNKNOWN, "no release at this gateway has this host")
DEPLOYMENT_UNKNOWN = Refusal(RefusalReason.DEPLOYMENT_UNKNOWN, "no deployment that may be asked for here has this name")
EXPLICIT_DENIED = Refusal(RefusalReason.EXPLICIT_DENIED, "this gateway does not serve deployments by name", status=403)
WITHHELD = Refusal(RefusalReason.WITHHELD, "an extension that this host needs has not succeeded", status=503)
TOO_OLD = Refusal(
    RefusalReason.PROXY_TOO_OLD, "this proxy is too old for what an extension made of this host", status=503
)
NO_ROUTE = Refusal(RefusalReason.NO_ROUTE, "no route of this deployment matches")


COMPONENT_UNKNOWN = Refusal(
    RefusalReason.COMPONENT_UNKNOWN,
    "no component that the calling build may reach has this name; another app is reached by its gateway's host",
    status=502,
)
COMPONENT_ABSENT = Refusal(
    RefusalReason.COMPONENT_ABSENT, "the deployment of this request has no such component", status=502
)
CALL_UNDECLARED = Refusal(
    RefusalReason.CALL_UNDECLARED, "the calling component does not declare this call in `calls`", status=502
)
CONTEXT_UNKNOWN = Refusal(
    RefusalReason.CONTEXT_UNKNOWN,
    "this build is in no deployment of the name that the request carries (x-deployment, or xds.deployment in baggage)",
    status=502,
)
NO_CONTEXT = Refusal(
    RefusalReason.NO_CONTEXT, "a request to or from a build that deployments share must carry its context", status=400
)
BUILD_UNKNOWN = Refusal(
    RefusalReason.BUILD_UNKNOWN, "no deployment contains the build that this sidecar is beside", status=502
)


@dataclass(frozen=True, slots=True)
class RouteIntent:
    """Requests like `rule` go to `component`. `id` names the route within its deployment."""

    id: str
    rule: RouteRule
    component: str
    policy: TrafficPolicy


@dataclass(frozen=True, slots=True)
class DeploymentRoutes:
    """Everything that a request bound to `deployment` may reach, in the order it is tried. No match is a 404."""

    deployment: Ref
    routes: tuple[RouteIntent, ...]


@dataclass(frozen=True, slots=True)
class AudienceIntent:
    """Requests that `match` (None: all on this host) get this deployment."""

    name: str
    match: AudienceMatch | None
    deployment: Ref


@dataclass(frozen=True, slots=True)
class DefaultIntent:
    """Everybody else, by slot: the user's if `sticky`, else the request's own."""

    app: Ref
    ranges: tuple[SlotRange, ...]
    sticky: Sticky | None


@dataclass(frozen=True, slots=True)
class ReleasedHost:
    """A host of a release. Explicit requests first (where the gateway reads them), then audiences, then the default."""

    host: str
    app: Ref
    audiences: tuple[AudienceIntent, ...]
    otherwise: DefaultIntent | Refusal
