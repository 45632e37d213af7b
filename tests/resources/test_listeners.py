from typing import Any

import pytest

from tests.resources.edge import IN_FORCE, PLAIN, SECURE, gateway, listeners, manager
from xds_server.resources.listeners import listener_resources, open_listeners


def test_a_listener_names_its_route_configuration_and_nothing_of_a_release() -> None:
    record = gateway()
    [listener] = open_listeners(record, ())
    [resource] = listener_resources(record, listener)
    [told] = listeners(record).values()

    assert (resource.name, resource.needs) == ("edge/http", ("edge/http",))
    assert manager(told)["rds"]["route_config_name"] == "edge/http"
    assert told["address"]["socket_address"] == {"address": "0.0.0.0", "port_value": 8080}


def test_a_listener_with_tls_stays_closed_until_certificates_are_served() -> None:
    record = gateway(listeners=[PLAIN, SECURE])

    assert [listener.name for listener in open_listeners(record, ())] == ["http"]
    assert [listener.name for listener in open_listeners(record, IN_FORCE)] == ["http", "https"]


def test_a_listener_with_several_certificates_waits_for_all_and_offers_them_in_their_order() -> None:
    record = gateway(listeners=[SECURE | {"tls": {"secrets": ["other", "cert"]}}])
    context = listeners(record)["https"]["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]

    assert not open_listeners(record, {"edge/other"})
    assert [each["name"] for each in context["tls_certificate_sds_secret_configs"]] == ["edge/other", "edge/cert"]
    assert context["alpn_protocols"] == ["h2", "http/1.1"]
    assert context["tls_params"] == {"tls_minimum_protocol_version": "TLSv1_2"}


def test_a_listener_that_redirects_asks_for_no_routes() -> None:
    record = gateway(listeners=[PLAIN | {"redirect": "https"}, SECURE])
    plain, _ = open_listeners(record, IN_FORCE)

    assert [each.needs for each in listener_resources(record, plain)] == [()]
    assert "rds" not in manager(listeners(record)["http"])


@pytest.mark.parametrize(("http3", "port"), [(True, 8443), ({"port": 443}, 443)])
def test_http3_has_a_listener_of_its_own_on_udp_and_tcp_says_where(http3: Any, port: int) -> None:
    record = gateway(listeners=[SECURE | {"http3": http3}])
    told = listeners(record)
    tcp, quic = told["https"], told["https_http3"]
    [listener] = open_listeners(record, IN_FORCE)
    offer, *_ = manager(tcp)["http_filters"]

    assert quic["address"]["socket_address"] == {"protocol": "UDP", "address": "0.0.0.0", "port_value": 8443}
    assert manager(quic)["rds"] == manager(tcp)["rds"]
    assert manager(quic)["codec_type"] == "HTTP3"
    [mutation] = offer["typed_config"]["mutations"]["response_mutations"]
    assert mutation["append"]["header"] == {"key": "alt-svc", "value": f'h3=":{port}"; ma=86400'}
    assert [each.occupies for each in listener_resources(record, listener)] == [
        ("tcp/0.0.0.0/8443",),
        ("udp/0.0.0.0/8443",),
    ]
