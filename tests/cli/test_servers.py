import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

import pytest
from typer.testing import CliRunner

from tests.cli.answering import answering
from xds_server.api.problems import problem_report
from xds_server.cli.ctl import app
from xds_server.cli.servers import PROBLEMS, NoAnswer, Unreachable, asked, problems_at
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


@contextmanager
def saying(first: bytes) -> Iterator[str]:
    """Where something says this to whoever connects, and ends."""
    with socket.create_server(("127.0.0.1", 0)) as there:

        def say() -> None:
            connection, _ = there.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(first)

        thread = Thread(target=say)
        thread.start()
        yield f"127.0.0.1:{there.getsockname()[1]}"
        thread.join()


def test_a_port_of_another_protocol_is_not_repeated_to_a_terminal() -> None:
    settings = b"\0\0\x12\4\0\0\0\0\0\0\x03\0\0\0d\r\n"
    with saying(settings) as server, pytest.raises(NoAnswer) as found:
        problems_at(server)

    assert str(found.value) == (
        f"what listens at http://{server} does not speak HTTP/1: give the address of --admin, not of --xds"
    )
    assert not isinstance(found.value, Unreachable)


def test_a_server_that_ends_before_it_answers_may_come_back() -> None:
    with saying(b"") as server, pytest.raises(Unreachable, match="has broken off"):
        problems_at(server)


@pytest.mark.parametrize("server", ["http://[::1", "http://a:b", ":18001", "ftp://x", "http://", "a b:1", "x:99999"])
def test_what_is_no_address_is_said_to_be_none(server: str) -> None:
    with pytest.raises(NoAnswer, match="is not the address of a server, such as") as found:
        problems_at(server)

    assert not isinstance(found.value, Unreachable)


def test_an_answer_is_told_with_the_path_alone() -> None:
    with answering(404, b"no") as server, pytest.raises(NoAnswer) as found:
        asked(server, "/traffic?app=&last=10", PROBLEMS)

    assert str(found.value) == f"http://{server}/traffic answers 404: is it the address of --admin?"


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
