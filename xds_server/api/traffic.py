"""`/traffic`: what becomes of requests now; `/releases/NAME/compare`: two deployments side by side."""

from math import isfinite
from typing import Annotated, Protocol

from fastapi import APIRouter, Path, Query
from pydantic import Field

from xds_server.api.errors import UNKNOWN, wrong
from xds_server.api.release_reports import Said
from xds_server.domain.names import Ref, ref
from xds_server.telemetry.comparing import LeftOut, Now, Row, Share, Side, Span

HOUR = 3600.0
NAMED = 10
"""Proxies that are named where many may be meant."""

Name = Annotated[str, Path(description="NAME, or NAMESPACE.NAME.")]
Deployment = Annotated[str, Query(description="NAME, or NAMESPACE.NAME. Empty: what the release says.")]
Last = Annotated[float, Query(gt=0, le=HOUR, description="Seconds that are looked at: up to an hour.")]


class Between(Said):
    """A value is somewhere between two bounds. `most` null: there is no upper one."""

    least: float
    most: float | None

    @classmethod
    def of(cls, span: Span) -> "Between":
        return cls(least=span[0], most=span[1] if isfinite(span[1]) else None)


class SideReport(Said):
    """What one deployment did."""

    requests: int
    errors: int | None = Field(description="Answers with 5xx, and gRPC calls that failed; null: nobody knows whose.")
    p50: Between = Field(description="Milliseconds, as exact as the histogram's buckets are.")
    p90: Between
    p99: Between


class RowReport(Said):
    """One component under one rule. Ratios: of the second deployment's rate to the first's, with bounds that hold at
    any time, in 19 of 20 comparisons."""

    component: str
    rule: str
    first: SideReport
    second: SideReport
    errors_ratio: Between
    slow_ratio: Between
    slower_than: float = Field(description="Milliseconds: what is slow is what took longer than 95 % of the first's.")


class ShareReport(Said):
    """Of the default requests since the release was last changed, how much a deployment had, and how much was set."""

    deployment: str
    requests: int
    actual: float
    set: float
    probability: float = Field(description="Of a difference as large as this, if every request is drawn by itself.")
    unlikely: bool = Field(description="It is below a thousandth, and the release is not sticky.")


class LeftOutReport(Said):
    """What was heard and is not compared, as nobody knows since when it was counted."""

    because: str = Field(description="`proxy began`, `proxy began again`, `server began`: it was the first since then.")
    flushes: int
    requests: int
    proxies: tuple[str, ...] = Field(description="Their node ids, ten at most.")


class CompareReport(Said):
    """`seconds`: how long was looked at."""

    release: str
    first: str
    second: str
    seconds: float
    rows: tuple[RowReport, ...]
    shares: tuple[ShareReport, ...]
    left_out: tuple[LeftOutReport, ...] = ()
    sticky: bool = Field(description="Users are drawn, not requests: their shares may differ more.")


class TrafficReport(Said):
    """One component of one deployment under one rule."""

    app: str
    deployment: str
    component: str
    rule: str
    per_second: float
    errors: float = Field(description="Part of the requests, between 0 and 1.")
    p50: Between
    p90: Between
    p99: Between


class Watching(Protocol):
    """What a running server knows of requests."""

    async def traffic(self, app: Ref | None, seconds: float) -> list[TrafficReport] | None:
        """What there was in so many last seconds, of one app or all. None: there is no such app."""

    async def compare(self, release: Ref, deployments: tuple[Ref, ...], seconds: float) -> CompareReport:
        """Raises `CannotCompare`."""


class CannotCompare(Exception):
    """There is no such release, or it has no two deployments, and what to do."""


def traffic_api(watching: Watching) -> APIRouter:
    api = APIRouter(tags=["traffic"])

    @api.get("/traffic", summary="What becomes of requests now", responses=UNKNOWN)
    async def traffic(
        app: Annotated[str, Query(description="Of one app. Empty: of all.")] = "", last: Last = 10.0
    ) -> list[TrafficReport]:
        """By app, deployment, component and rule: whatever had a request. 404: there is no such app."""
        found = await watching.traffic(ref(app) if app else None, last)
        if found is None:
            raise wrong(404, f"there is no app {app!r}: xdsctl get apps lists what there is")
        return found

    @api.get("/releases/{name}/compare", summary="Two deployments of a release side by side", responses=UNKNOWN)
    async def compare(name: Name, first: Deployment = "", second: Deployment = "", last: Last = HOUR) -> CompareReport:
        """In the same flushes of the same proxies. 404: there is no such release, or it has no two deployments."""
        if bool(first) != bool(second):
            raise wrong(400, "write both deployments, or none")
        try:
            return await watching.compare(ref(name), (ref(first), ref(second)) if first else (), last)
        except CannotCompare as error:
            raise wrong(404, str(error)) from None

    return api


def row_report(row: Row) -> RowReport:
    return RowReport(
        component=row.component,
        rule=row.rule,
        first=_side(row.first),
        second=_side(row.second),
        errors_ratio=Between.of(row.errors),
        slow_ratio=Between.of(row.slow),
        slower_than=row.slower_than,
    )


def share_report(share: Share, *, sticky: bool) -> ShareReport:
    return ShareReport(
        deployment=share.deployment.word,
        requests=share.requests,
        actual=share.actual,
        set=share.set,
        probability=share.probability,
        unlikely=share.unlikely and not sticky,
    )


def left_out_report(found: LeftOut) -> LeftOutReport:
    gap, flushes, requests, nodes = found
    return LeftOutReport(because=gap.value, flushes=flushes, requests=requests, proxies=nodes[:NAMED])


def traffic_report(app: Ref, now: Now, seconds: float) -> TrafficReport:
    p50, p90, p99 = map(Between.of, now.quantiles)
    return TrafficReport(
        app=app.word,
        deployment=now.deployment.word,
        component=now.component,
        rule=now.rule,
        per_second=now.requests / seconds,
        errors=now.errors / now.requests if now.requests else 0.0,
        p50=p50,
        p90=p90,
        p99=p99,
    )


def _side(side: Side) -> SideReport:
    p50, p90, p99 = map(Between.of, side.quantiles)
    return SideReport(requests=side.requests, errors=side.errors, p50=p50, p90=p90, p99=p99)
