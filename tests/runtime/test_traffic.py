import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from immutables import Map
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.telemetry.exports import RULE, exported, flush_of
from xds_server.domain.names import Ref
from xds_server.domain.statistics import EDGES
from xds_server.records.models import AppDeployment
from xds_server.records.world import AppWorld, World
from xds_server.runtime.telemetry import Telemetry
from xds_server.runtime.traffic import Traffic
from xds_server.state.store import Store

DASHBOARD = Path(__file__).parents[2] / "manifests" / "grafana" / "traffic.json"
SHOP, V1 = Ref("default", "shop"), Ref("default", "shop-v1")
WHERE = {"app": "shop", "deployment": "shop-v1", "component": "web"}


def world() -> World:
    record = AppDeployment.model_validate(
        {
            "apiVersion": "xds-server.dev/v1alpha1",
            "kind": "AppDeployment",
            "metadata": {"name": "shop-v1"},
            "spec": {"app": "shop", "version": "v1", "components": {"web": {"build": "a1"}}},
        }
    )
    return World(Map({SHOP: AppWorld(SHOP, deployments=Map({V1: record}))}))


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    """Of two proxies, and of a deployment that is no more."""
    with Store.open(tmp_path) as store:
        found = Telemetry(store.counted)
        cluster = "cluster.shop-v1/web."
        counters = {
            RULE.format("v1", "2xx"): 7,
            RULE.format("v9", "2xx"): 1,
            f"{cluster}upstream_rq_retry": 3,
            f"{cluster}upstream_rq_timeout": 2,
            f"{cluster}upstream_cx_connect_fail": 4,
            f"{cluster}upstream_rq_pending_overflow": 5,
            f"{cluster}grpc.14": 6,
        }
        latency = {RULE.format("v1", "time"): [1, 2] + [0] * (len(EDGES) - 2) + [3]}
        for node, healthy in (("edge-1", 2), ("edge-2", 0)):
            gauges = {f"{cluster}membership_healthy": healthy, f"{cluster}membership_total": 2}
            encoded = exported(counters, gauges=gauges, latency=latency)
            found.totals.fold(node, flush_of(found.totals.names, encoded), 1)
        yield found


def samples(telemetry: Telemetry) -> dict[str, list[tuple[dict[str, str], float]]]:
    registry = CollectorRegistry()
    registry.register(Traffic(telemetry, world))
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.mark.parametrize(
    ("name", "more", "value"),
    [
        ("xds_requests_total", {"rule": "default", "class": "2xx"}, 14),
        ("xds_request_retries_total", {}, 6),
        ("xds_request_timeouts_total", {}, 4),
        ("xds_connect_failures_total", {}, 8),
        ("xds_overflows_total", {}, 10),
        ("xds_grpc_calls_total", {"status": "14"}, 12),
        ("xds_request_duration_seconds_count", {"rule": "default"}, 12),
        ("xds_request_duration_seconds_sum", {"rule": "default"}, 2.468),
        ("xds_members_healthy", {}, 0),
        ("xds_members", {}, 2),
    ],
)
def test_the_fleet_is_summed_up_of_deployments_that_there_are(
    telemetry: Telemetry, name: str, more: dict[str, str], value: float
) -> None:
    assert samples(telemetry)[name] == [(WHERE | more, value)]


def test_a_bucket_holds_those_below_it(telemetry: Telemetry) -> None:
    found = {said["le"]: value for said, value in samples(telemetry)["xds_request_duration_seconds_bucket"]}
    assert (found["0.001"], found["0.0025"], found["10.0"], found["+Inf"]) == (2, 6, 6, 12)


def test_every_metric_of_the_dashboard_is_there(telemetry: Telemetry) -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    asked = {name for panel in panels for target in panel["targets"] for name in re.findall(r"xds_\w+", target["expr"])}
    assert asked
    assert asked - samples(telemetry).keys() == set()


def test_every_metric_of_traffic_is_on_the_dashboard(telemetry: Telemetry) -> None:
    text = DASHBOARD.read_text("utf-8")
    names = {name.removesuffix("_sum").removesuffix("_count") for name in samples(telemetry)}
    assert {name for name in names if not name.startswith("xds_server_") and name not in text} == set()
