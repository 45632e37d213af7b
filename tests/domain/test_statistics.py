import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain import names
from xds_server.domain.names import Ref
from xds_server.domain.statistics import EDGES, READ, Series, edge_above, series_of

LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
REF = st.builds(Ref, st.sampled_from(["default", "prod"]), LABEL)


WHAT = st.sampled_from(["2xx", "5xx", "time"])


@given(LABEL | st.just("internal"), REF, LABEL, WHAT)
def test_what_a_gateway_counts_under_a_rule_is_found_in_its_name(
    rule: str, deployment: Ref, component: str, what: str
) -> None:
    cluster = names.cluster_stat(names.cluster(deployment, component))
    stat = f"cluster.{cluster}.{names.rule_stat(rule)}.upstream_rq_{what}"

    assert series_of(stat) == Series(deployment, component, rule, what)
    assert re2.fullmatch(READ, stat)


@given(LABEL, REF, LABEL, HOST, WHAT)
def test_what_a_sidecar_counts_under_a_rule_is_found_in_its_name(
    rule: str, deployment: Ref, component: str, host: str, what: str
) -> None:
    stat = f"vhost.outbound/{host}.route.{names.route_stat(rule, deployment, component)}.upstream_rq_{what}"

    assert series_of(stat) == Series(deployment, component, rule, what)
    assert re2.fullmatch(READ, stat)


@given(
    REF,
    LABEL,
    st.sampled_from(
        [
            ("upstream_rq_retry", "retry"),
            ("upstream_rq_timeout", "timeout"),
            ("upstream_cx_connect_fail", "connect_fail"),
            ("upstream_rq_pending_overflow", "overflow"),
            ("grpc.14", "grpc.14"),
            ("membership_healthy", "healthy"),
            ("membership_total", "total"),
        ]
    ),
)
def test_what_is_counted_of_a_cluster_is_found_in_its_name(
    deployment: Ref, component: str, said: tuple[str, str]
) -> None:
    own, what = said
    stat = f"cluster.{names.cluster_stat(names.cluster(deployment, component))}.{own}"

    assert series_of(stat) == Series(deployment, component, "", what)
    assert re2.fullmatch(READ, stat)


@pytest.mark.parametrize(
    "stat",
    [
        "cluster.xds-server.membership_healthy",
        "cluster.shop-v1/web.external.upstream_rq_2xx",
        "cluster.shop-v1/web.upstream_rq_2xx",
        "cluster.shop-v1/web.upstream_rq_time",
        "cluster.shop-v1/web.retry.upstream_rq_5xx",
        "cluster.shop-v1/web.rule/internal.external.upstream_rq_2xx",
        "cluster.shop-v1/web.rule/internal.upstream_rq_completed",
        "cluster.shop/web@9f1c/application.membership_total",
        "cluster.shop-v1/web.grpc.success",
        "vhost.edge/http/a.test.route.no-slash.upstream_rq_2xx",
        "vhost.edge/http/a.test.route.a/b/c/d.upstream_rq_2xx",
        "vhost.edge/http/a.test.route.context/shop-v1/web.upstream_rq_200",
        "vhost.edge/http/a.test.route.context/shop-v1/web.upstream_rq_total",
        "http.edge/http.downstream_rq_2xx",
        "server.live",
    ],
)
def test_nothing_else_is_read(stat: str) -> None:
    assert series_of(stat) is None


def test_a_host_that_looks_like_a_route_deceives_nobody() -> None:
    stat = "vhost.edge/http/a.route.b.test.route.context/shop-v1/web.upstream_rq_2xx"

    assert series_of(stat) == Series(Ref("default", "shop-v1"), "web", "context", "2xx")


@pytest.mark.parametrize(("milliseconds", "edge"), [(250, 250), (251, 300), (0, 1), (20_000, 10_000)])
def test_a_limit_between_two_edges_is_the_one_above(milliseconds: float, edge: float) -> None:
    assert EDGES[edge_above(milliseconds)] == edge


def test_edges_rise() -> None:
    assert sorted(set(EDGES)) == list(EDGES)
