"""How requests to a component are carried: its `policy`. Each default has its reason in `docs/upstreams.md`."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from xds_server.records.values import (
    Duration,
    HeaderName,
    Interval,
    Model,
    Number,
    OneOf,
    Text,
    Token,
    Upgrade,
    Whole,
    means,
)

TIMEOUT = timedelta(seconds=15)
"""Where none is written, but for gRPC."""


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


UNSEEN = frozenset({RetryOn.CONNECT_FAILURE, RetryOn.REFUSED_STREAM, RetryOn.RESET_BEFORE_REQUEST})
"""Conditions that prove that no application saw the request: trying again repeats nothing."""
GRPC_STATUS = frozenset(
    {
        RetryOn.CANCELLED,
        RetryOn.DEADLINE_EXCEEDED,
        RetryOn.INTERNAL,
        RetryOn.RESOURCE_EXHAUSTED,
        RetryOn.UNAVAILABLE,
    }
)
"""Conditions on the status of a gRPC call, which is always a POST."""


class RetryMethods(StrEnum):
    """Which requests are tried again although an application may have seen them."""

    IDEMPOTENT = "idempotent"
    ANY = "any"


class BackOff(Model):
    """How long is waited before a retry: a random time up to `base`, then up to twice it, and so on up to `max`."""

    base: Annotated[
        Interval, means("The longest wait before the first retry.", "25ms", "RetryPolicy.retry_back_off.base_interval")
    ] = timedelta(milliseconds=25)
    max: Annotated[
        Interval | None,
        means("The longest wait at all. Absent: ten times base.", "250ms", "RetryPolicy.retry_back_off.max_interval"),
    ] = None

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max is not None and self.max < self.base:
            raise ValueError("must have a max that is not less than its base")
        return self


class RetryBudget(Model):
    """How many retries may be under way at once, so that they do not drown an upstream that is slow already."""

    percent: Annotated[
        Number,
        means("Of the requests that are under way.", 20, "CircuitBreakers.Thresholds.retry_budget.budget_percent"),
    ] = Field(default=20.0, ge=0, le=100)
    min_concurrency: Annotated[
        Whole,
        means(
            "So many are allowed whatever the percentage.",
            3,
            "CircuitBreakers.Thresholds.retry_budget.min_retry_concurrency",
        ),
    ] = Field(default=3, alias="minConcurrency")


class Retries(Model):
    """How often and when a failed request is tried again, on another instance if there is one."""

    attempts: Annotated[Whole, means("How often at most.", 2, "RetryPolicy.num_retries")] = Field(
        default=2, ge=0, le=10
    )
    on: Annotated[
        tuple[RetryOn, ...], means("When, in Envoy's words.", ["connect-failure", "5xx"], "RetryPolicy.retry_on")
    ] = (RetryOn.CONNECT_FAILURE, RetryOn.REFUSED_STREAM)
    methods: Annotated[
        RetryMethods,
        means(
            "`idempotent`: POST and PATCH are tried again only if no application can have seen them. `any`: always.",
            "idempotent",
            "RetryPolicy.retriable_request_headers",
        ),
    ] = RetryMethods.IDEMPOTENT
    per_try_timeout: Annotated[
        Interval | None,
        means("How long one try may take. Absent: as long as the request.", "3s", "RetryPolicy.per_try_timeout"),
    ] = Field(default=None, alias="perTryTimeout")
    back_off: Annotated[
        BackOff, means("How long is waited in between.", {"base": "25ms", "max": "250ms"}, "RetryPolicy.retry_back_off")
    ] = Field(default=BackOff(), alias="backOff")
    budget: Annotated[
        RetryBudget | None,
        means(
            "How many may be under way at once. Absent: 20 percent and at least 3, or circuitBreaker.maxRetries.",
            {"percent": 20, "minConcurrency": 3},
            "CircuitBreakers.Thresholds.retry_budget",
        ),
    ] = None

    @property
    def unseen(self) -> tuple[RetryOn, ...]:
        """Those of its conditions that are safe for every method."""
        return tuple(each for each in self.on if each in UNSEEN)

    @property
    def careful(self) -> bool:
        """It has conditions on which only idempotent requests are tried again."""
        return self.methods is RetryMethods.IDEMPOTENT and len(self.unseen) < len(self.on)


class Outlier(Model):
    """When an instance that fails is taken out for a while."""

    consecutive_5xx: Annotated[
        Whole,
        means(
            "So many 5xx answers in a row. No answer (not connected, reset, timed out) is one of them.",
            5,
            "OutlierDetection.consecutive_5xx",
        ),
    ] = Field(default=5, alias="consecutive5xx", ge=1)
    consecutive_gateway_failure: Annotated[
        Whole | None,
        means(
            "So many 502, 503 and 504 in a row. No answer is one of them. Absent: they count as 5xx only.",
            3,
            "OutlierDetection.consecutive_gateway_failure",
        ),
    ] = Field(default=None, alias="consecutiveGatewayFailure", ge=1)
    interval: Annotated[
        Interval, means("How often is looked who may come back.", "10s", "OutlierDetection.interval")
    ] = timedelta(seconds=10)
    base_ejection: Annotated[
        Interval,
        means(
            "How long for the first time; each further time as much longer.",
            "30s",
            "OutlierDetection.base_ejection_time",
        ),
    ] = Field(default=timedelta(seconds=30), alias="baseEjection")
    max_ejection: Annotated[
        Interval,
        means("How long at most, or baseEjection if that is more.", "5m", "OutlierDetection.max_ejection_time"),
    ] = Field(default=timedelta(minutes=5), alias="maxEjection")
    max_ejection_percent: Annotated[
        Whole,
        means(
            "Of the instances may be out at once; one always may, unless this is 0.",
            50,
            "OutlierDetection.max_ejection_percent",
        ),
    ] = Field(default=50, alias="maxEjectionPercent", ge=0, le=100)


class CircuitBreaker(Model):
    """How much of a component one proxy may use at once. What is over it is answered 503 `Overflow`, but a request that
    needs one more connection waits for one."""

    max_connections: Annotated[
        Whole | None,
        means(
            "Connections, but one to each instance is always allowed. Absent: 1024.",
            1024,
            "CircuitBreakers.Thresholds.max_connections",
        ),
    ] = Field(default=None, alias="maxConnections", ge=1)
    max_pending_requests: Annotated[
        Whole | None,
        means(
            "Requests that wait for a connection. Absent: 1024.",
            1024,
            "CircuitBreakers.Thresholds.max_pending_requests",
        ),
    ] = Field(default=None, alias="maxPendingRequests", ge=1)
    max_requests: Annotated[
        Whole | None, means("Requests. Absent: 1024.", 1024, "CircuitBreakers.Thresholds.max_requests")
    ] = Field(default=None, alias="maxRequests", ge=1)
    max_retries: Annotated[
        Whole | None,
        means("Retries, in place of a budget. Absent: the budget.", 3, "CircuitBreakers.Thresholds.max_retries"),
    ] = Field(default=None, alias="maxRetries", ge=0)


class LoadBalancer(StrEnum):
    """How an instance is chosen, in Envoy's words."""

    ROUND_ROBIN = "round_robin"
    LEAST_REQUEST = "least_request"
    RANDOM = "random"
    RING_HASH = "ring_hash"
    MAGLEV = "maglev"


HASHING = frozenset({LoadBalancer.RING_HASH, LoadBalancer.MAGLEV})


class HashCookie(Model):
    """A cookie that keeps a client on its instance."""

    name: Annotated[Token, means("Its name.", "shop-instance", "RouteAction.HashPolicy.Cookie.name")]
    max_age: Annotated[
        Duration | None,
        means(
            "Envoy sets it, for so long; `0s`: until the browser ends. Absent: the application does.",
            "1h",
            "RouteAction.HashPolicy.Cookie.ttl",
        ),
    ] = Field(default=None, alias="maxAge")


class Hash(OneOf):
    """What of a request chooses the instance. Where a request has none of it, any instance is chosen."""

    ways: ClassVar = ("header", "cookie", "query", "source_ip")

    header: Annotated[
        HeaderName | None, means("A request header.", "x-user", "RouteAction.HashPolicy.Header.header_name")
    ] = None
    cookie: Annotated[
        HashCookie | None,
        means("A cookie.", {"name": "shop-instance", "maxAge": "1h"}, "RouteAction.HashPolicy.cookie"),
    ] = None
    query: Annotated[Text | None, means("A query parameter.", "user", "RouteAction.HashPolicy.QueryParameter.name")] = (
        Field(default=None, min_length=1)
    )
    source_ip: Annotated[
        Literal[True] | None,
        means("The client's address.", True, "RouteAction.HashPolicy.ConnectionProperties.source_ip"),
    ] = Field(default=None, alias="sourceIp")


class TrafficPolicy(Model):
    """How requests to a component are carried."""

    timeout: Annotated[
        Duration | None,
        means(
            "How long the whole answer may take once the request is there, a gRPC call from its beginning; "
            "`0s`: as long as something moves (`idleTimeout`). Absent: 15s, and for gRPC what the client asks for.",
            "15s",
            "RouteAction.timeout",
        ),
    ] = None
    idle_timeout: Annotated[
        Duration,
        means(
            "A request or stream on which nothing moves for so long is ended; `0s`: never.",
            "5m",
            "RouteAction.idle_timeout",
        ),
    ] = Field(default=timedelta(minutes=5), alias="idleTimeout")
    retries: Annotated[
        Retries | None,
        means("Absent: none.", {"attempts": 2, "on": ["connect-failure", "5xx"]}, "RouteAction.retry_policy"),
    ] = None
    outlier: Annotated[
        Outlier | None,
        means(
            "When an instance that fails is taken out. Absent: never.",
            {"consecutive5xx": 5},
            "Cluster.outlier_detection",
        ),
    ] = None
    circuit_breaker: Annotated[
        CircuitBreaker | None,
        means("How much of it one proxy may use at once.", {"maxRequests": 1024}, "Cluster.circuit_breakers"),
    ] = Field(default=None, alias="circuitBreaker")
    load_balancer: Annotated[LoadBalancer, means("How an instance is chosen.", "round_robin", "Cluster.lb_policy")] = (
        Field(default=LoadBalancer.ROUND_ROBIN, alias="loadBalancer")
    )
    hash: Annotated[
        Hash | None,
        means("For ring_hash and maglev: by what of the request.", {"header": "x-user"}, "RouteAction.hash_policy"),
    ] = None
    panic_threshold: Annotated[
        Whole,
        means(
            "With fewer healthy instances than this percentage, all get requests; 0: never.",
            50,
            "Cluster.common_lb_config.healthy_panic_threshold",
        ),
    ] = Field(default=50, alias="panicThreshold", ge=0, le=100)
    upgrades: Annotated[
        tuple[Upgrade, ...],
        means(
            "Protocols that a client may switch a connection to; []: none.",
            ["websocket"],
            "RouteAction.upgrade_configs",
        ),
    ] = ("websocket",)

    @field_validator("upgrades")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Envoy refuses a route that names one twice, whatever its case."""
        if len({*value}) < len(value):
            raise ValueError("must not name a protocol twice")
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        retries = self.retries
        if retries and retries.per_try_timeout and self.timeout and retries.per_try_timeout > self.timeout:
            raise ValueError("must have a timeout that is not shorter than retries.perTryTimeout")
        limits = self.circuit_breaker
        if retries and retries.budget and limits and limits.max_retries is not None:
            raise ValueError("must have at most one of retries.budget, circuitBreaker.maxRetries")
        return self

    @model_validator(mode="after")
    def _hashes_by_something(self) -> Self:
        if self.load_balancer in HASHING and self.hash is None:
            raise ValueError(f"must have a hash: without one, {self.load_balancer} chooses at random")
        if self.hash is not None and self.load_balancer not in HASHING:
            raise ValueError(f"must have no hash: {self.load_balancer} does not use it")
        return self

    @property
    def budget(self) -> RetryBudget | None:
        """What bounds retries, if no plain number does."""
        if self.retries is None or (self.circuit_breaker and self.circuit_breaker.max_retries is not None):
            return None
        return self.retries.budget or RetryBudget()
