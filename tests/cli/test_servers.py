import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.cli.answering import answering
from xds_server.api.problems import problem_report
from xds_server.cli.ctl import app
from xds_server.cli.servers import NoAnswer, problems_at
from xds_server.domain.problems import Place, Problem, Reason, Severity

REFUSED = Problem(
    Place("edge.yaml", 1, 7, "spec.listeners.0"),
    Reason.REFUSED,
    "proxy edge-1 refuses Listener edge/http: cannot bind",
    "Free what it says is taken",
    "Gateway/default/edge",
)
WARNING = replace(REFUSED, reason=Reason.CERTIFICATE_EXPIRES, severity=Severity.WARNING)


def said(*problems: Problem) -> bytes:
    return json.dumps([problem_report(each).model_dump(mode="json") for each in problems]).encode()


def test_a_server_tells_its_problems_whole() -> None:
    with answering(200, said(REFUSED, WARNING)) as server:
        assert problems_at(server) == [REFUSED, WARNING]


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (503, b'{"error": "waiting"}', "waiting"),
        (404, b"nothing", "answers 404: is it the address of --admin?"),
        (200, b"{}", "is not an xds-server of this version"),
    ],
)
def test_a_server_that_does_not_tell(status: int, body: bytes, why: str) -> None:
    with answering(status, body) as server, pytest.raises(NoAnswer, match=why.replace("?", ".")):
        problems_at(server)


@pytest.mark.parametrize(
    ("problems", "code", "end"),
    [((REFUSED, WARNING), 1, "1 error, 1 warning"), ((WARNING,), 0, "0 errors, 1 warning"), ((), 0, "0 errors, 0 w")],
)
def test_check_asks_a_server(problems: tuple[Problem, ...], code: int, end: str) -> None:
    with answering(200, said(*problems)) as server:
        result = CliRunner().invoke(app, ["check", "--server", server])

    assert result.exit_code == code
    assert [line.startswith(end) for line in result.stdout.splitlines()] == [False] * len(problems) + [True]
    assert [str(each) for each in problems] == result.stdout.splitlines()[:-1]


def test_check_gives_what_a_server_says_as_data() -> None:
    with answering(200, said(REFUSED)) as server:
        result = CliRunner().invoke(app, ["check", "--server", server, "-o", "json"])

    assert json.loads(result.stdout) == json.loads(said(REFUSED))


def test_check_of_a_server_that_does_not_answer_says_so() -> None:
    result = CliRunner().invoke(app, ["check", "--server", "127.0.0.1:1"])

    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not answer" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "write a folder of records, or --server URL"),
        ([".", "--server", "127.0.0.1:1"], "write DIR or --server, not"),
    ],
)
def test_check_is_of_a_folder_or_of_a_server(words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["check", *words], env={"COLUMNS": "100"})

    assert result.exit_code == 2
    assert said in result.stderr
