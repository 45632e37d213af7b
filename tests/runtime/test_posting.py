"""One try over real HTTP: what is sent, and what each answer is taken for."""

import asyncio
import ssl
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from tests.ledger.facts import NOON
from tests.runtime.receivers import SECRET, receiver
from xds_server.cli.demo import free_ports
from xds_server.notifications.outcome import Outcome
from xds_server.notifications.webhook import Webhook
from xds_server.runtime.posting import Poster, WebhooksUnusable

OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "ops.secret"
    file.write_text(SECRET)
    return file


def renew(secret: Path, text: str) -> None:
    draft = secret.with_suffix(".new")
    draft.write_text(text)
    draft.rename(secret)


def poster(url: str, secret: Path, ca: str = "", patience: float = 10.0) -> Poster:
    return Poster(Webhook("ops", url, secret.name, ca), secret.parent, lambda: NOON, patience)


async def posted(url: str, secret: Path, ca: str = "", patience: float = 10.0) -> Outcome:
    made = poster(url, secret, ca, patience)
    async with made.open():
        return await made.post("7f", b'{"some":"thing"}')


async def test_what_is_sent_is_a_signed_cloudevent(secret: Path) -> None:
    async with receiver() as there:
        assert await posted(there.url, secret) == Outcome(204)
        [found] = there.requests

    assert found.body == b'{"some":"thing"}'
    assert found.is_ours
    assert found.headers["content-type"] == "application/cloudevents+json"
    assert found.headers["webhook-id"] == "7f"
    assert found.headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert found.headers["user-agent"].startswith("xds-server/")


async def test_a_secret_is_changed_without_a_restart_and_never_lost(secret: Path) -> None:
    async with receiver() as there:
        made = poster(there.url, secret)
        async with made.open():
            for text in (f"{OTHER}\n{SECRET}", OTHER, "nonsense", "nonsense"):
                renew(secret, text)
                with capture_logs() as logged:
                    assert (await made.post("7f", b"{}")).is_delivered

        signatures = [each.headers["webhook-signature"].split(" ") for each in there.requests]
    assert [len(each) for each in signatures] == [2, 1, 1, 1]
    assert signatures[0][0] == signatures[1][0] == signatures[3][0]
    assert [each["event"] for each in logged] == [], "a fault is logged once"


async def test_a_secret_that_cannot_be_renewed_is_logged(secret: Path) -> None:
    async with receiver() as there:
        made = poster(there.url, secret)
        async with made.open():
            renew(secret, "")
            with capture_logs() as logged:
                assert (await made.post("7f", b"{}")).is_delivered
    assert [(each["event"], each["webhook"]) for each in logged] == [("webhook secret not renewed", "ops")]
    assert logged[0]["why"].startswith("has no key")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({"status": 200, "text": "thanks"}, Outcome(200), id="taken"),
        pytest.param(
            {"status": 401, "text": "no\r\n\x1b[31m such   key"},
            Outcome(401, "it answers 401: no [31m such key"),
            id="refused-in-words",
        ),
        pytest.param({"status": 500}, Outcome(500, "it answers 500"), id="broken"),
        pytest.param(
            {"status": 429, "headers": {"retry-after": "30"}}, Outcome(429, "it answers 429", 30.0), id="asks-for-time"
        ),
        pytest.param({"status": 302, "headers": {"location": "/x"}}, Outcome(302, "it answers 302"), id="elsewhere"),
        pytest.param(
            {"status": 400, "text": "x" * 1_000_000}, Outcome(400, f"it answers 400: {'x' * 200}"), id="talkative"
        ),
    ],
)
async def test_an_answer_says_what_became_of_it(secret: Path, answer: dict[str, object], expected: Outcome) -> None:
    async with receiver(web.Response(**answer)) as there:  # type: ignore[arg-type]
        assert await posted(there.url, secret) == expected
        assert len(there.requests) == 1, "a redirect is not followed"


async def test_nobody_who_listens_is_said_as_the_kernel_says_it(secret: Path) -> None:
    assert await posted(f"http://127.0.0.1:{free_ports(1)[0]}/", secret) == Outcome(why="Connection refused")


async def test_a_fault_of_our_own_is_logged_and_ends_nothing(secret: Path) -> None:
    def broken() -> datetime:
        raise RuntimeError("no clock")

    made = Poster(Webhook("ops", "https://ops.test/", secret.name), secret.parent, broken)
    with capture_logs() as logged:
        assert await made.post("7f", b"{}") == Outcome(why="RuntimeError('no clock')")
    assert [(each["event"], each["log_level"], each["id"]) for each in logged] == [
        ("notification not sent", "error", "7f")
    ]


async def test_who_says_nothing_or_never_ends_has_a_limit_of_time(secret: Path) -> None:
    over = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        said = await posted(f"http://127.0.0.1:{port}/", secret, patience=0.2)
        await over.wait()
    assert said == Outcome(why="no answer within 0.2 s")


async def test_a_certificate_is_verified_by_the_authorities_that_are_named(secret: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with receiver(tls=context) as there:
        assert await posted(there.url, secret, "ca.pem") == Outcome(204)
        unknown = await posted(there.url, secret)
    assert unknown.status == 0
    assert "certificate verify failed" in unknown.why


@pytest.mark.parametrize(
    ("ca", "text", "said"),
    [
        pytest.param("", "", "its secret .*ops.secret has no key: make one with", id="no-key"),
        pytest.param("", None, "its secret .*ops.secret cannot be read: No such file or directory", id="no-secret"),
        pytest.param("none.pem", SECRET, "its ca .*none.pem cannot be used: No such file", id="no-ca"),
        pytest.param("ops.secret", SECRET, "its ca .*ops.secret cannot be used: it has no PEM", id="no-pem"),
    ],
)
def test_files_that_cannot_be_used_are_said_at_the_start(secret: Path, ca: str, text: str | None, said: str) -> None:
    secret.unlink()
    if text is not None:
        secret.write_text(text)

    with pytest.raises(WebhooksUnusable, match=f"webhook ops: {said}"):
        poster("https://ops.test/", secret, ca)
