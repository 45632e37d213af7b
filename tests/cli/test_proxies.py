import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from tests.cli.answering import answering
from xds_server.api.proxy_reports import ConnectedProxy, Fleet, RefusalReport, TypeReport
from xds_server.cli.ctl import app
from xds_server.cli.proxies import NO_SERVER, fleets
from xds_server.cli.servers import NoAnswer, Unreachable

SINCE = datetime(2026, 11, 20, tzinfo=UTC)
ROUTES = TypeReport(type="RouteConfiguration", version="ab" * 16, held=1, owed=1, refused=(), awaited="n-1")


def proxy(**said: object) -> ConnectedProxy:
    usual = {
        "id": "edge-1",
        "gateway": "edge",
        "role": "gateway",
        "envoy": "1.40.0",
        "mode": "sotw",
        "since": SINCE,
        "delivery": "full",
        "because": "SotW",
        "objection": "",
        "in_sync": True,
        "types": (ROUTES.model_copy(update={"owed": 0}),),
        "last_refusal": None,
    }
    return ConnectedProxy.model_validate(usual | said)


REFUSAL = RefusalReport(at=SINCE, type="RouteConfiguration", names=("edge/http",), reason="bad regex")
BEHIND = proxy(id="edge-2", in_sync=False, types=(ROUTES,))
REFUSES = proxy(
    id="edge-3",
    in_sync=False,
    types=(ROUTES.model_copy(update={"owed": 0, "refused": ("edge/http",)}),),
    last_refusal=REFUSAL,
)
STRANGER = proxy(id="old", envoy="1.30.0", in_sync=False, delivery="", because="", objection="too old", types=())


def said(*proxies: ConnectedProxy) -> bytes:
    return Fleet(revision=3, proxies=proxies).model_dump_json().encode()


def test_who_is_connected_is_a_table() -> None:
    with answering(200, said(proxy(since=datetime.now(UTC) - timedelta(hours=3)), BEHIND, REFUSES, STRANGER)) as server:  # noqa: TID251 - now
        result = CliRunner().invoke(app, ["proxies", "--server", server])

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[1] == "edge-1 gateway edge 1.40.0 3h full: SotW in sync"
    assert lines[2].endswith("behind by 1 resource")
    assert lines[3].endswith("refuses 1: bad regex")
    assert lines[4].endswith("- told nothing: too old")
    assert lines[5] == "4 proxies, 3 not in sync"


def test_a_sidecar_is_shown_with_its_build() -> None:
    beside = proxy(id="web-1", role="sidecar", gateway="", build="shop/web@9f1c2d7e", because="a sidecar")
    with answering(200, said(beside)) as server:
        result = CliRunner().invoke(app, ["proxies", "--server", server])

    head, line, _ = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert head == "PROXY ROLE SERVES ENVOY CONNECTED DELIVERY STATE"
    assert line.startswith("web-1 sidecar shop/web@9f1c2d7e 1.40.0")
    assert line.endswith("full: a sidecar in sync")


def test_one_that_is_named_is_shown_type_by_type() -> None:
    with answering(200, said(BEHIND)) as server:
        result = CliRunner().invoke(app, ["proxies", "edge-2", "--server", server])

    assert "RouteConfiguration 1 abababababab 1" in [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_it_is_data_too() -> None:
    with answering(200, said(REFUSES)) as server:
        result = CliRunner().invoke(app, ["proxies", "--server", server, "-o", "json"])

    [found] = json.loads(result.stdout)
    assert (found["id"], found["inSync"], found["lastRefusal"]["reason"]) == ("edge-3", False, "bad regex")


def test_a_server_that_does_not_answer() -> None:
    result = CliRunner().invoke(app, ["proxies", "--server", "127.0.0.1:1"])

    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_watching_goes_on_when_the_server_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.cli.proxies.REDRAWN", 0.0)
    with answering(200, said(BEHIND)) as server:
        watched = fleets(server, [])
        assert len(next(watched).proxies) == 1

    assert next(watched).proxies == ()


def watching(monkeypatch: pytest.MonkeyPatch, *found: Fleet) -> list[str]:
    """What is printed of these, one after the other; then the server says something else than it should."""
    ahead = iter(found)

    def answer(*_: object, **__: object) -> Fleet:
        if (given := next(ahead, None)) is None:
            raise NoAnswer("is not an xds-server of this version")
        if given.revision == NO_SERVER:
            raise Unreachable
        return given

    monkeypatch.setattr("xds_server.cli.proxies.REDRAWN", 0.0)
    monkeypatch.setattr("xds_server.cli.proxies.asked", answer)
    result = CliRunner().invoke(app, ["proxies", "-w"])
    assert result.exit_code == 1
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_watching_prints_what_changes_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    first, mended = proxy(), proxy(id="edge-2")
    lines = watching(
        monkeypatch,
        Fleet(revision=1, proxies=(first, BEHIND)),
        Fleet(revision=2, proxies=(first, BEHIND)),
        Fleet(revision=3, proxies=(first, mended)),
        Fleet(revision=4, proxies=(first, mended)),
        Fleet(revision=5, proxies=(mended,)),
        Fleet(revision=NO_SERVER, proxies=()),
        Fleet(revision=NO_SERVER, proxies=()),
        Fleet(revision=1, proxies=(mended,)),
    )

    assert [line.split()[0] for line in lines[:3]] == ["PROXY", "edge-1", "edge-2"]
    assert lines[3:] == [
        "2 proxies, 1 not in sync",
        lines[4],
        "2 proxies, 0 not in sync",
        "edge-1 gone",
        "1 proxy, 0 not in sync",
        "the server does not answer; it is asked again",
        lines[9],
        "1 proxy, 0 not in sync",
    ]
    for line in lines[4], lines[9]:
        assert (line.startswith("edge-2 gateway"), line.endswith("in sync")) == (True, True)


def test_a_node_id_of_two_streams_is_a_warning() -> None:
    with answering(200, said(proxy(streams=2), proxy(streams=2, in_sync=False), proxy(id="edge-2"))) as server:
        result = CliRunner().invoke(app, ["proxies", "--server", server])

    [*_, warning, count] = result.stdout.splitlines()
    assert warning.startswith("warning: 2 streams have the node id edge-1: ")
    assert count == "2 proxies, 1 not in sync"
