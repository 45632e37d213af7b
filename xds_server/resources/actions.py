"""How a route carries a request to its cluster: timeouts, retries, hashing, upgrades.

On a condition under which an application may have seen a request, it is only tried again if its method is idempotent,
or if the record says that any may be. Where a policy has conditions of both kinds, a rule becomes two routes: the first
for idempotent methods has all conditions, the second for all others has those that are safe for every method.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from xds_server.domain.names import NOT_DELIVERED_HEADER
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    HeaderMatcher,
    HeaderValue,
    HeaderValueOption,
    RegexMatcher,
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RetryPolicyRetryHostPredicate,
    RetryPolicyRetryPriority,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyConnectionProperties,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyHeader,
    RouteActionHashPolicyQueryParameter,
    RouteActionMaxStreamDuration,
    RouteActionUpgradeConfig,
    StringMatcher,
)
from xds_server.messages.extensions import PreviousHostsPredicate, PreviousPrioritiesConfig
from xds_server.records.models import Hash, Retries, RetryOn, TrafficPolicy
from xds_server.records.policies import GRPC_STATUS, TIMEOUT
from xds_server.resources.headers import APPEND

NO_TIME = timedelta(0)
WEBSOCKET = "websocket"
"""What nearly every component allows a client to switch to. So a listener allows it, and a route may forbid it."""
DRAWS = 20
"""How often an instance is drawn to find one that was not tried before: with two of them, three draws fail for one
retry in sixteen, unless they are taken in turn."""
TRIES_OF_A_PRIORITY = 2
"""Where one fails, another of its priority is asked before a reserve; an only retry is the reserve's."""
NOT_DELIVERED = HeaderMatcher(name=NOT_DELIVERED_HEADER, present_match=True)
IDEMPOTENT = HeaderMatcher(
    name=":method",
    string_match=StringMatcher(safe_regex=RegexMatcher(regex="GET|HEAD|OPTIONS|TRACE|PUT|DELETE")),
)


class Way(NamedTuple):
    """How a route carries requests: all, or those whose method is idempotent. `more`: headers that it adds to them."""

    idempotent_only: bool
    action: RouteAction
    more: tuple[HeaderValueOption, ...] = ()


def usual_retries(policies: Iterable[TrafficPolicy]) -> Retries | None:
    """Those that most of the policies have, the first of several. None: nothing is tried again."""
    counted = Counter(found for policy in policies if (found := _retries(policy)) is not None)
    return max(counted, key=counted.__getitem__, default=None)


def usual_policy(usual: Retries) -> RetryPolicy:
    """What a virtual host says once, for all its routes that say nothing else."""
    if usual.careful and usual.unseen:
        return _retry_policy(usual, usual.unseen)
    return _retry_policy(usual, usual.on, careful=usual.careful)


def ways(policy: TrafficPolicy, usual: Retries | None = None, *, grpc: bool) -> Iterator[Way]:
    """In their order; the last is for all requests. Which cluster they go to is left out: it is all that differs
    between deployments. `usual` is what their virtual host says.
    """
    retries = _retries(policy)
    if retries is None:
        # An empty policy tries nothing again, where none would be the virtual host's.
        yield Way(False, _action(policy, None if usual is None else RetryPolicy(), grpc=grpc))
    elif retries == usual:
        if retries.careful and retries.unseen:
            yield Way(True, _action(policy, None, grpc=grpc), tuple(_besides(retries)))
        yield Way(False, _action(policy, None, grpc=grpc))
    elif retries.careful and retries.unseen:
        yield Way(True, _action(policy, _retry_policy(retries, retries.on), grpc=grpc))
        yield Way(False, _action(policy, _retry_policy(retries, retries.unseen), grpc=grpc))
    else:
        yield Way(False, _action(policy, _retry_policy(retries, retries.on, careful=retries.careful), grpc=grpc))


def _retries(policy: TrafficPolicy) -> Retries | None:
    """As routes have them: the budget is the cluster's."""
    retries = policy.retries
    if retries is None or not retries.attempts or not retries.on:
        return None
    return retries if retries.budget is None else retries.model_copy(update={"budget": None})


def _besides(retries: Retries) -> Iterator[HeaderValueOption]:
    """The conditions that are for idempotent requests alone. Envoy adds what these headers say to the retry policy,
    and takes them off; from a client they never come so far (`internal_address_config`).
    """
    careful = [each for each in retries.on if each not in retries.unseen]
    for name, said in (
        ("x-envoy-retry-on", [each for each in careful if each not in GRPC_STATUS]),
        ("x-envoy-retry-grpc-on", [each for each in careful if each in GRPC_STATUS]),
    ):
        if said:
            yield HeaderValueOption(header=HeaderValue(key=name, value=",".join(said)), append_action=APPEND)


def _action(policy: TrafficPolicy, retries: RetryPolicy | None, *, grpc: bool) -> RouteAction:
    """A gRPC call ends when its client says (`grpc-timeout`), but not after a timeout that is written.

    Envoy looks at no `timeout` where there is a `max_stream_duration`: that holds then, also for what is no call.
    """
    timeout = policy.timeout if policy.timeout is not None else NO_TIME if grpc else TIMEOUT
    return RouteAction(
        timeout=None if timeout == TIMEOUT else timeout,
        idle_timeout=policy.idle_timeout,
        max_stream_duration=_call_duration(policy.timeout) if grpc else None,
        retry_policy=retries,
        hash_policy=[] if policy.hash is None else [_hash_policy(policy.hash)],
        upgrade_configs=list(_upgrades(policy.upgrades)),
    )


def _upgrades(allowed: tuple[str, ...]) -> Iterator[RouteActionUpgradeConfig]:
    """Where they differ from what the listener allows, which is WebSockets."""
    if WEBSOCKET not in allowed:
        yield RouteActionUpgradeConfig(upgrade_type=WEBSOCKET, enabled=False)
    yield from (RouteActionUpgradeConfig(upgrade_type=each) for each in allowed if each != WEBSOCKET)


def _call_duration(timeout: timedelta | None) -> RouteActionMaxStreamDuration:
    return RouteActionMaxStreamDuration(max_stream_duration=timeout or None, grpc_timeout_header_max=timeout or NO_TIME)


@lru_cache(maxsize=256)
def _retry_policy(retries: Retries, on: tuple[RetryOn, ...], *, careful: bool = False) -> RetryPolicy:
    """Tried again on another instance, if a draw finds one, and then on one of the next priority.

    The sidecar of an application that does not listen says that it could not connect: so it has failed to connect.
    """
    other = RetryPolicyRetryHostPredicate(name="previous_hosts", typed_config=pack(PreviousHostsPredicate()))
    reserve = RetryPolicyRetryPriority(
        name="previous_priorities",
        typed_config=pack(PreviousPrioritiesConfig(update_frequency=min(retries.attempts, TRIES_OF_A_PRIORITY))),
    )
    connects = RetryOn.CONNECT_FAILURE in on
    return RetryPolicy(
        retry_on=",".join([*on, "retriable-headers"] if connects else on),
        num_retries=retries.attempts,
        per_try_timeout=retries.per_try_timeout,
        retry_back_off=RetryPolicyRetryBackOff(base_interval=retries.back_off.base, max_interval=retries.back_off.max),
        retriable_request_headers=[IDEMPOTENT] if careful else [],
        retriable_headers=[NOT_DELIVERED] if connects else [],
        retry_priority=reserve,
        retry_host_predicate=[other],
        host_selection_retry_max_attempts=DRAWS,
    )


def _hash_policy(by: Hash) -> RouteActionHashPolicy:
    if by.header is not None:
        return RouteActionHashPolicy(header=RouteActionHashPolicyHeader(header_name=by.header))
    if by.query is not None:
        return RouteActionHashPolicy(query_parameter=RouteActionHashPolicyQueryParameter(name=by.query))
    if by.cookie is not None:
        path = "/" if by.cookie.max_age is not None else ""
        return RouteActionHashPolicy(
            cookie=RouteActionHashPolicyCookie(name=by.cookie.name, ttl=by.cookie.max_age, path=path)
        )
    return RouteActionHashPolicy(connection_properties=RouteActionHashPolicyConnectionProperties(source_ip=True))
