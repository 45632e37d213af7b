"""Record `AppDeployment`: one version of an app."""

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from xds_server.records.matches import RouteRule
from xds_server.records.record import RecordBase
from xds_server.records.values import (
    Duration,
    Interval,
    Label,
    Model,
    Quoted,
    Text,
    Whole,
    Word,
)


class RetryOn(StrEnum):
    """When a request is tried again, in Envoy's words (`x-envoy-retry-on`, `x-envoy-retry-grpc-on`)."""

    SERVER_ERROR = "5xx"
    GATEWAY_ERROR = "gateway-error"
    RESET = "reset"
    RESET_BEFORE_REQUEST = "reset-before-request"
    CONNECT_FAILURE = "connect-failure"
    REFUSED_STREAM = "refused-stream"
    RETRIABLE_4XX = "retriable-4xx"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    INTERNAL = "internal"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    UNAVAILABLE = "unavailable"


class Retries(Model):
    """How often and when a failed request is tried again on another instance."""

    attempts: Whole = Field(default=2, ge=0, le=10)
    on: tuple[RetryOn, ...] = (RetryOn.CONNECT_FAILURE, RetryOn.REFUSED_STREAM)
    per_try_timeout: Duration | None = Field(default=None, alias="perTryTimeout")


class Outlier(Model):
    """When an instance that fails is taken out for a while."""

    consecutive_5xx: Whole = Field(default=5, alias="consecutive5xx", ge=1)
    interval: Interval = timedelta(seconds=10)
    base_ejection: Interval = Field(default=timedelta(seconds=30), alias="baseEjection")
    max_ejection_percent: Whole = Field(default=50, alias="maxEjectionPercent", ge=0, le=100)


class CircuitBreaker(Model):
    """How much of a component one proxy may use at once. Absent fields are Envoy's defaults (1024, 3 retries)."""

    max_connections: Whole | None = Field(default=None, alias="maxConnections", ge=1)
    max_pending_requests: Whole | None = Field(default=None, alias="maxPendingRequests", ge=1)
    max_requests: Whole | None = Field(default=None, alias="maxRequests", ge=1)
    max_retries: Whole | None = Field(default=None, alias="maxRetries", ge=0)


class LoadBalancer(StrEnum):
    """How an instance is chosen, in Envoy's words."""

    ROUND_ROBIN = "round_robin"
    LEAST_REQUEST = "least_request"
    RANDOM = "random"
    RING_HASH = "ring_hash"
    MAGLEV = "maglev"


class TrafficPolicy(Model):
    """How requests to a component are carried."""

    timeout: Duration = timedelta(seconds=15)
    retries: Retries | None = None
    outlier: Outlier | None = None
    circuit_breaker: CircuitBreaker | None = Field(default=None, alias="circuitBreaker")
    load_balancer: LoadBalancer = Field(default=LoadBalancer.ROUND_ROBIN, alias="loadBalancer")


class Component(Model):
    """One component of a deployment: at which build, what a gateway sends to it, whom it calls."""

    build: Quoted
    image: Text | None = None
    routes: tuple[RouteRule, ...] = ()
    calls: tuple[Label, ...] | None = None
    policy: TrafficPolicy = TrafficPolicy()


class AppDeploymentSpec(Model):
    """A complete map from component to build. With `version` it never changes."""

    app: Word
    version: Quoted | None = None
    components: dict[Label, Component] = Field(min_length=1)

    @property
    def entries(self) -> tuple[str, ...]:
        """The components that a gateway sends requests to."""
        return tuple(sorted(name for name, component in self.components.items() if component.routes))


class AppDeployment(RecordBase):
    """Record: one version of an app."""

    kind: Literal["AppDeployment"]
    spec: AppDeploymentSpec
