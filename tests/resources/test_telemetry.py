from dataclasses import replace
from typing import Any

from xds_server.domain.addresses import Address
from xds_server.domain.statistics import EDGES, READ
from xds_server.resources.bootstrap import ProxyNode, bootstrap
from xds_server.resources.telemetry import CHOOSES, NODE_ID

EDGE = ProxyNode.of_gateway("edge", Address("127.0.0.1", 18000))


def sink(node: ProxyNode) -> dict[str, Any]:
    said: Any = bootstrap(node)
    [found] = said["stats_sinks"]
    return dict(found["typed_config"])


def test_totals_go_to_the_server_under_their_whole_names_every_second() -> None:
    said: Any = bootstrap(EDGE)
    found = sink(EDGE)

    assert said["stats_flush_interval"] == "1s"
    assert found["grpc_service"] == {"envoy_grpc": {"cluster_name": "xds-server"}}
    assert (found["use_tag_extracted_name"], found["emit_tags_as_attributes"]) == (False, False)
    assert "report_counters_as_deltas" not in found


def test_latency_has_our_edges() -> None:
    said: Any = bootstrap(EDGE)
    [buckets] = said["stats_config"]["histogram_bucket_settings"]

    assert buckets == {"match": {"suffix": "upstream_rq_time"}, "buckets": list(EDGES)}


def test_who_is_named_in_the_bootstrap_is_named_in_what_it_sends() -> None:
    assert "resource_detectors" not in sink(EDGE)
    [node] = sink(replace(EDGE, id="edge-1"))["resource_detectors"]

    assert node["typed_config"]["attributes"] == {NODE_ID: "edge-1"}


def test_an_envoy_that_can_choose_sends_what_is_read_and_no_more() -> None:
    assert "custom_metric_conversions" not in sink(EDGE), "the oldest Envoy knows no such choice"
    [matcher] = sink(replace(EDGE, envoy=CHOOSES))["custom_metric_conversions"]["matcher_list"]["matchers"]

    unread = matcher["predicate"]["not_matcher"]["single_predicate"]
    assert unread["value_match"]["safe_regex"]["regex"] == READ
    assert matcher["on_match"]["action"]["typed_config"]["@type"].endswith("SinkConfig.DropAction")
