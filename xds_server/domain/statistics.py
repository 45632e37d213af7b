"""Which of Envoy's statistics are read, and what they count: a stat's name becomes a series. Nowhere else.

    cluster.<deployment>/<component>.rule/<rule>.upstream_rq_*                  of requests under a rule, at a gateway
    vhost.<virtual host>.route.<rule>/<deployment>/<component>.upstream_rq_*    at a sidecar
    cluster.<deployment>/<component>.*                                          what became of tries, and who is there

A virtual host's name may have dots: what it is in front of is found from the right. Deployment and component have none
(`names.cluster_stat`).
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from xds_server.domain.names import Ref, ref

EDGES = (1, 2.5, 5, 10, 20, 30, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000)
"""Milliseconds: a request is counted up to which of them it took, or beyond the last. Envoys keep them from when they
start (`xds-server bootstrap`); one that was started with others is not counted.
"""
LATENCY = "upstream_rq_time"
"""The histogram of which these are the edges."""
UPTIME = "server.uptime"
"""Whole seconds since a process began, at the time of a flush."""
READ = (
    r"cluster\.[^./]+/[^./]+\.(?:rule/[^./]+\.upstream_rq_(?:[1-5]xx|time)|upstream_rq_retry|upstream_rq_timeout"
    r"|upstream_cx_connect_fail|upstream_rq_pending_overflow|grpc\.\d+|membership_healthy|membership_total)"
    r"|vhost\..*\.route\.[^.]+\.upstream_rq_(?:[1-5]xx|time)"
    r"|server\.uptime"
)
"""RE2 of the names of all that is read. The rest need not be sent."""
_CALLS = re.compile(r"vhost\..*\.route\.([^./]+)/([^./]+)/([^./]+)\.upstream_rq_([1-5]xx|time)")
_CLUSTER = re.compile(
    r"cluster\.([^./]+)/([^./]+)\."
    r"(?:rule/([^./]+)\.upstream_rq_([1-5]xx|time)|upstream_rq_(retry|timeout)"
    r"|upstream_cx_(connect_fail)|upstream_rq_pending_(overflow)|(grpc\.\d+)|membership_(healthy|total))"
)


class What(StrEnum):
    """What a series counts, besides the classes of answers (`1xx` to `5xx`), gRPC statuses (`grpc.14`) and the buckets
    of latency (`le.7`, by the edge's number). `HEALTHY` and `MEMBERS` are what is so now, and no counts.
    """

    RETRIES = "retry"
    TIMEOUTS = "timeout"
    CONNECT_FAILURES = "connect_fail"
    OVERFLOW = "overflow"
    HEALTHY = "healthy"
    MEMBERS = "total"


CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
TIME = "time"
"""A histogram's; its buckets are series."""


class Series(NamedTuple):
    """What is counted of a component in a deployment. `rule`: empty where Envoy does not tell rules apart."""

    deployment: Ref
    component: str
    rule: str
    what: str


BUCKETS = tuple(f"le.{number}" for number in range(len(EDGES) + 1))
"""Requests that took longer than the edge before, and not longer than the one of this number."""


@lru_cache(maxsize=1 << 12)
def series_of(stat: str) -> Series | None:
    """None of what is not read."""
    found = _CALLS.fullmatch(stat)
    if found is not None:
        rule, deployment, component, called = found.groups()
        return Series(_deployment(deployment), component, rule, called)
    found = _CLUSTER.fullmatch(stat)
    if found is None:
        return None
    deployment, component, rule, *what = found.groups()
    return Series(_deployment(deployment), component, rule or "", next(filter(None, what)))


def edge_above(milliseconds: float) -> int:
    """The number of the first edge that is not below so many milliseconds; of the last, if all are."""
    return next((number for number, edge in enumerate(EDGES) if edge >= milliseconds), len(EDGES) - 1)


def _deployment(word: str) -> Ref:
    """`_` is in no DNS label: it was the dot behind a namespace."""
    return ref(word.replace("_", "."))
