import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from xds_server.cli.server import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def bootstrap(*arguments: str) -> dict[str, Any]:
    result = run("bootstrap", "gateway", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(("options", "api"), [((), "DELTA_GRPC"), (("--mode", "sotw"), "GRPC")])
def test_a_bootstrap_says_who_envoy_is_and_where_everything_else_comes_from(options: tuple[str, ...], api: str) -> None:
    found = bootstrap("prod.edge", "--xds", "xds.test:18000", *options)

    assert found["node"] == {"cluster": "prod.edge", "metadata": {"role": "gateway"}}
    assert found["dynamic_resources"]["lds_config"]["initial_fetch_timeout"] == "0s", "it is not ready before"
    assert found["dynamic_resources"]["ads_config"]["api_type"] == api
    [control] = found["static_resources"]["clusters"]
    assert control["type"] == "STRICT_DNS"
    assert "admin" not in found


def test_a_bootstrap_with_its_options() -> None:
    found = bootstrap("edge", "--xds", "[::1]:18000", "--id", "edge-1", "--admin-port", "9901")

    assert found["node"]["id"] == "edge-1"
    assert found["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}
    [control] = found["static_resources"]["clusters"]
    assert control.get("type", "STATIC") == "STATIC"
    assert '"address": "::1"' in json.dumps(control)


PAIR = ("--xds-client-cert", "/etc/xds/edge.pem", "--xds-client-key", "/etc/xds/edge.key")


def xds_tls(*options: str) -> dict[str, Any]:
    """The TLS of a bootstrap's connection to the server."""
    [control] = bootstrap("edge", *options)["static_resources"]["clusters"]
    found: dict[str, Any] = control["transport_socket"]["typed_config"]
    return found


@pytest.mark.parametrize(
    ("options", "name", "kind", "sni"),
    [
        (("--xds", "xds.test:18000"), "xds.test", "DNS", "xds.test"),
        (("--xds", "10.0.0.1:18000"), "10.0.0.1", "IP_ADDRESS", None),
        (("--xds", "10.0.0.1:18000", "--xds-name", "xds.test"), "xds.test", "DNS", "xds.test"),
    ],
    ids=["host", "ip", "name"],
)
def test_a_bootstrap_that_trusts_an_authority_speaks_tls_to_the_server_of_that_name(
    options: tuple[str, ...], name: str, kind: str, sni: str | None
) -> None:
    found = xds_tls(*options, "--xds-ca", "/etc/xds/ca.pem")
    common = found["common_tls_context"]

    assert found.get("sni") == sni
    assert common["alpn_protocols"] == ["h2"]
    assert common["validation_context"] == {
        "trusted_ca": {"filename": "/etc/xds/ca.pem"},
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
    }
    assert "tls_certificates" not in common


def test_a_bootstrap_may_have_a_certificate_to_show() -> None:
    found = xds_tls("--xds", "xds.test:18000", "--xds-ca", "/etc/xds/ca.pem", *PAIR)

    assert found["common_tls_context"]["tls_certificates"] == [
        {"certificate_chain": {"filename": "/etc/xds/edge.pem"}, "private_key": {"filename": "/etc/xds/edge.key"}}
    ]


def test_without_an_authority_a_bootstrap_speaks_plain_text() -> None:
    [control] = bootstrap("edge", "--xds", "xds.test:18000")["static_resources"]["clusters"]

    assert "transport_socket" not in control


SIDECAR = ("sidecar", "--app", "shop", "--component", "web", "--build", "9f1c2d7e", "--xds", "127.0.0.1:18000")


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (("--application", "15001"), "--outbound and --application are both 15001"),
        (("--application", "8080", "--inbound", "8080"), "--inbound and --application are both 8080"),
        (("--application", "8080", "--admin-port", "15006"), "--inbound and --admin-port are both 15006"),
        (("--admin-port", "15001"), "--outbound and --admin-port are both 15001"),
    ],
)
def test_two_ports_of_a_sidecar_are_not_the_same(ports: tuple[str, ...], said: str) -> None:
    result = run("bootstrap", *SIDECAR, *ports)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(("option", "value"), [("--app", "my shop"), ("--component", "my web"), ("--component", "a.b")])
def test_a_sidecar_is_of_what_records_can_name(option: str, value: str) -> None:
    result = run("bootstrap", *SIDECAR, option, value)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"'{value}' is" in result.stderr


@pytest.mark.parametrize("ports", [(), ("--inbound", "15001"), ("--application", "8080", "--admin-port", "0")])
def test_a_port_that_is_not_opened_is_nobodys(ports: tuple[str, ...]) -> None:
    assert run("bootstrap", *SIDECAR, *ports).exit_code == 0


def test_a_sidecars_bootstrap_speaks_tls_too() -> None:
    options = ("--app", "shop", "--component", "web", "--build", "b1", "--xds", "xds.test:18000", "--xds-ca", "/ca.pem")
    result = run("bootstrap", "sidecar", *options, *PAIR)

    [control] = json.loads(result.stdout)["static_resources"]["clusters"]
    assert control["transport_socket"]["name"] == "envoy.transport_sockets.tls"


@pytest.mark.parametrize(
    "wrong",
    [
        ("edge", "--xds", "a:1", *PAIR),
        ("edge", "--xds", "a:1", "--xds-name", "xds.test"),
        ("edge", "--xds", "a:1", "--xds-ca", "/ca.pem", *PAIR[:2]),
        ("edge",),
        ("--xds", "a:1"),
        ("edge", "--xds", "18000"),
        ("edge", "--xds", "a:1", "--mode", "rest"),
        ("edge", "--xds", "a:1", "--admin-port", "70000"),
        ("edge", "--xds", "a:1", "--stats-interval", "soon"),
        ("edge", "--xds", "a:1", "--stats-interval", "0s"),
        ("edge", "--xds", "a:1", "--stats-interval", "5m"),
        ("edge", "--xds", "a:1", "--envoy-version", "1.35"),
        ("edge", "--xds", "a:1", "--envoy-version", "new"),
    ],
    ids=[
        "no-authority",
        "no-authority-of-a-name",
        "no-key",
        "no-server",
        "no-gateway",
        "no-host",
        "no-such-mode",
        "no-such-port",
        "no-duration",
        "no-time",
        "too-long-a-time",
        "too-old",
        "no-version",
    ],
)
def test_a_bootstrap_that_cannot_be_printed(wrong: tuple[str, ...]) -> None:
    result = run("bootstrap", "gateway", *wrong)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error" in result.stderr


@pytest.mark.parametrize(("version", "chooses"), [("1.36", False), ("1.37", True), ("1.40.0", True)])
def test_an_envoy_tells_what_is_read_alone_if_it_can(version: str, chooses: bool) -> None:
    found = bootstrap("edge", "--xds", "a:1", "--envoy-version", version, "--stats-interval", "5s")

    [sink] = found["stats_sinks"]
    assert ("custom_metric_conversions" in sink["typed_config"]) is chooses
    assert found["stats_flush_interval"] == "5s"
