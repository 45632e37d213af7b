"""The five records, as operators write them. Frozen; nobody above asks whether a field exists."""

from xds_server.records.apps import App, AppSpec, FromRelease, WithoutContext
from xds_server.records.builds import Build, BuildSpec, Endpoint, Endpoints, HealthCheck, Protocol, UpstreamTls
from xds_server.records.deployments import AppDeployment, AppDeploymentSpec, Component
from xds_server.records.gateways import (
    Access,
    AccessLog,
    Delivery,
    Explicit,
    Gateway,
    GatewaySpec,
    Http,
    Reveal,
    SecretFiles,
    Underscores,
)
from xds_server.records.listeners import Listener, ListenerTls, Redirect, RedirectPort
from xds_server.records.policies import (
    BackOff,
    CircuitBreaker,
    Hash,
    HashCookie,
    LoadBalancer,
    Outlier,
    Retries,
    RetryBudget,
    RetryMethods,
    RetryOn,
    TrafficPolicy,
)
from xds_server.records.record import API_VERSION, Metadata, RecordBase
from xds_server.records.releases import Audience, Release, ReleasePolicy, ReleaseSpec, Share, Sticky

__all__ = [
    "API_VERSION",
    "KINDS",
    "Access",
    "AccessLog",
    "App",
    "AppDeployment",
    "AppDeploymentSpec",
    "AppSpec",
    "Audience",
    "BackOff",
    "Build",
    "BuildSpec",
    "CircuitBreaker",
    "Component",
    "Delivery",
    "Endpoint",
    "Endpoints",
    "Explicit",
    "FromRelease",
    "Gateway",
    "GatewaySpec",
    "Hash",
    "HashCookie",
    "HealthCheck",
    "Http",
    "Listener",
    "ListenerTls",
    "LoadBalancer",
    "Metadata",
    "Outlier",
    "Protocol",
    "Record",
    "RecordBase",
    "Redirect",
    "RedirectPort",
    "Release",
    "ReleasePolicy",
    "ReleaseSpec",
    "Retries",
    "RetryBudget",
    "RetryMethods",
    "RetryOn",
    "Reveal",
    "SecretFiles",
    "Share",
    "Sticky",
    "TrafficPolicy",
    "Underscores",
    "UpstreamTls",
    "WithoutContext",
]

Record = Build | AppDeployment | Release | Gateway | App
KINDS: dict[str, type[Record]] = {
    "Build": Build,
    "AppDeployment": AppDeployment,
    "Release": Release,
    "Gateway": Gateway,
    "App": App,
}
