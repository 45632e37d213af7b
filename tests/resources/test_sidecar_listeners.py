from typing import Any

from tests.records.order import build_of
from tests.resources.edge import gateway, manager
from tests.resources.edge import listeners as edge_listeners
from xds_server.domain.sidecars import Ports
from xds_server.messages.codec import to_json
from xds_server.records.models import AccessLog
from xds_server.resources.sidecar_listeners import sidecar_listeners
from xds_server.snapshot import TypeUrl


def listeners(ports: Ports, log: AccessLog | None = None) -> dict[str, dict[str, Any]]:
    found = sidecar_listeners(build_of("api@a1"), ports, log)
    return {each.name: to_json(TypeUrl.LISTENER, each.body) for each in found}


def places(ports: Ports) -> dict[str, tuple[str, int]]:
    found = {name: each["address"]["socket_address"] for name, each in listeners(ports).items()}
    return {name: (each["address"], each["port_value"]) for name, each in found.items()}


def test_calls_come_by_loopback_and_callers_from_everywhere():
    assert places(Ports(1501, 1506, 8080)) == {
        "order/api@a1/outbound": ("127.0.0.1", 1501),
        "order/api@a1/inbound": ("0.0.0.0", 1506),
    }


def test_an_application_that_nobody_calls_has_no_inbound_listener():
    assert places(Ports()) == {"order/api@a1/outbound": ("127.0.0.1", 15001)}


def test_two_at_one_place_cannot_both_be_had():
    one, two = sidecar_listeners(build_of("api@a1"), Ports(application=8080))

    assert (one.occupies, two.occupies) == (("tcp/127.0.0.1/15001",), ("tcp/0.0.0.0/15006",))


def test_its_routes_have_its_name_and_come_before_it_is_used():
    for listener in sidecar_listeners(build_of("api@a1"), Ports(application=8080)):
        said = manager(to_json(TypeUrl.LISTENER, listener.body))

        assert said["rds"]["route_config_name"] == listener.name
        assert listener.needs == (listener.name,)


def test_the_context_is_read_before_routing_and_stamped_after_it():
    for listener in listeners(Ports(application=8080)).values():
        reads, stamps, counts, *_, router = manager(listener)["http_filters"]

        assert (reads["name"], stamps["name"], router["name"]) == ("context", "stamp", "envoy.filters.http.router")
        assert counts["name"] == "refused", "the reason is known when it has been stamped"
        assert reads["typed_config"]["clear_route_cache"], "who has it in baggage alone is routed by it"
        assert stamps["typed_config"]["clear_route_cache"] is False


WEB_SOCKETS = {"allow_connect": True}


def test_callers_are_held_to_what_a_gateway_takes_from_its_clients():
    found = listeners(Ports(application=8080))
    inbound, outbound = found["order/api@a1/inbound"], found["order/api@a1/outbound"]
    edge = manager(edge_listeners(gateway())["http"])

    assert manager(inbound)["request_headers_timeout"] == edge["request_headers_timeout"]
    assert manager(inbound)["http2_protocol_options"] == edge["http2_protocol_options"] | WEB_SOCKETS
    assert "request_headers_timeout" not in manager(outbound), "its own application is not a stranger"
    assert manager(outbound)["http2_protocol_options"] == WEB_SOCKETS
    assert inbound["per_connection_buffer_limit_bytes"] == 32 * 1024


def test_what_a_gateway_has_let_in_is_not_refused_inside():
    for listener in listeners(Ports(application=8080)).values():
        said = manager(listener)

        assert said["max_request_headers_kb"] == 8192
        assert said["common_http_protocol_options"]["max_headers_count"] == 1000


def test_how_long_nothing_may_move_is_the_callers_question():
    assert manager(listeners(Ports(application=8080))["order/api@a1/inbound"])["stream_idle_timeout"] == "0s"


def test_requests_are_logged_where_the_app_says_and_nowhere_else():
    assert [manager(each).get("access_log") for each in listeners(Ports(application=8080)).values()] == [None, None]

    for listener in listeners(Ports(application=8080), AccessLog(otlp="otel.internal:4317")).values():
        assert [each["name"] for each in manager(listener)["access_log"]] == ["stdout", "otlp"]
