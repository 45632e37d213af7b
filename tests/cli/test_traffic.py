import json

import pytest
from typer.testing import CliRunner

from tests.cli.answering import answering
from xds_server.api.traffic import (
    Between,
    CompareReport,
    LeftOutReport,
    RowReport,
    ShareReport,
    SideReport,
    TrafficReport,
)
from xds_server.cli.ctl import app

SPAN, NONE = Between(least=30, most=50), Between(least=0, most=0)
SIDE = SideReport(requests=1000, errors=5, p50=SPAN, p90=SPAN, p99=Between(least=10_000, most=None))
ROW = RowReport(
    component="web",
    rule="default",
    first=SIDE,
    second=SIDE.model_copy(update={"errors": None, "requests": 100}),
    errors_ratio=Between(least=0.5, most=2.25),
    slow_ratio=Between(least=0, most=None),
    slower_than=50,
)
SHARE = ShareReport(deployment="shop-v2", requests=100, actual=0.0909, set=0.2, probability=1e-5, unlikely=True)
COMPARED = CompareReport(
    release="shop", first="shop-v1", second="shop-v2", seconds=600, rows=(ROW,), shares=(SHARE,), sticky=False
)


def lines(*words: str, body: bytes, code: int = 0) -> list[str]:
    with answering(200, body) as server:
        result = CliRunner().invoke(app, [*words, "--server", server])
    assert result.exit_code == code, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_two_deployments_are_printed_beside_each_other() -> None:
    found = lines("compare", "shop", body=COMPARED.model_dump_json().encode())

    assert found == [
        "shop: shop-v2 beside shop-v1, in the last 10 min",
        "COMPONENT RULE DEPLOYMENT REQUESTS ERRORS P50 P90 P99 ERRORS x SLOW x",
        "web default shop-v1 1,000 5 (0.50 %) 30-50 ms 30-50 ms > 10000 ms",
        "shop-v2 100 not known 30-50 ms 30-50 ms > 10000 ms 0.5 to 2.25 not known (> 50 ms)",
        "warning: share of shop-v2: 100 requests, 9.09 %, set 20.00 %: by chance this happens in one of 100,000 cases",
    ]


def test_of_users_shares_differ_more() -> None:
    likely = SHARE.model_copy(update={"unlikely": False})
    said = COMPARED.model_copy(update={"sticky": True, "shares": (likely,), "rows": (), "seconds": 9})
    found = lines("compare", "shop", "shop-v1", "shop-v2", body=said.model_dump_json().encode())

    assert found[0].endswith("in the last 9 s")
    assert found[-2:] == [
        "share of shop-v2: 100 requests, 9.09 %, set 20.00 % (of users: some ask for more than others)",
        "neither had a request of which the server was told",
    ]


def test_what_is_not_compared_is_said() -> None:
    again = LeftOutReport(because="proxy began again", flushes=1, requests=1200, proxies=("edge-2",))
    server = LeftOutReport(because="server began", flushes=12, requests=7, proxies=tuple("abcdefghij"))
    said = COMPARED.model_copy(update={"rows": (), "shares": (), "left_out": (again, server)})
    found = lines("compare", "shop", body=said.model_dump_json().encode())
    assert found[-3:] == [
        "not compared: 1,200 requests in 1 flush of edge-2, the first since the proxy began again",
        "not compared: 7 requests in 12 flushes of a, b, c, d, e, f, g, h, i, j, ..., the first since the server began",
        "neither had any other request of which the server was told",
    ]


def test_as_data_it_is_what_the_server_says() -> None:
    body = COMPARED.model_dump_json(by_alias=True).encode()
    with answering(200, body) as server:
        result = CliRunner().invoke(app, ["compare", "shop", "-o", "json", "--server", server])
    assert json.loads(result.stdout) == json.loads(body)


def test_what_becomes_of_requests_is_printed_once_where_nobody_looks() -> None:
    now = TrafficReport(
        app="shop",
        deployment="shop-v1",
        component="web",
        rule="default",
        per_second=12.34,
        errors=0.01,
        p50=SPAN,
        p90=SPAN,
        p99=NONE,
    )
    found = lines("top", body=f"[{now.model_dump_json()}]".encode())
    assert found[1] == "shop shop-v1 web default 12.3 1.00 % 30-50 ms 30-50 ms -"
    with answering(200, f"[{now.model_dump_json()}]".encode()) as server:
        result = CliRunner().invoke(app, ["top", "shop", "-o", "json", "--server", server])
    assert json.loads(result.stdout)[0]["perSecond"] == 12.34


def test_where_nobody_asks_for_anything_that_is_said() -> None:
    assert lines("top", "shop", "--last", "5m", body=b"[]")[-1] == "no request of shop in the last 5 min"
    assert lines("top", body=b"[]")[-1] == "no request in the last 10 s"


@pytest.mark.parametrize("words", [("compare", "shop"), ("top",)], ids=" ".join)
def test_a_server_that_does_not_answer_is_named(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--server", "127.0.0.1:1"])
    assert (result.exit_code, "does not answer" in result.stderr) == (1, True)


def test_one_deployment_alone_is_wrong_use() -> None:
    result = CliRunner().invoke(app, ["compare", "shop", "shop-v1"])
    assert (result.exit_code, "write both" in result.stderr) == (2, True)


@pytest.mark.parametrize("last", ["2h", "0s"])
@pytest.mark.parametrize("words", [("compare", "shop"), ("top",)], ids=" ".join)
def test_nobody_looks_back_further_than_is_remembered(words: tuple[str, ...], last: str) -> None:
    result = CliRunner().invoke(app, [*words, "--last", last, "--server", "127.0.0.1:1"])
    assert (result.exit_code, "the last hour" in result.stderr) == (2, True), result.stderr
