"""What a server says of its webhooks, in words: who is told, how far behind they are, and whether they listen."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, TypeAdapter

from xds_server.api.notifications import PingReport, Told, WebhookReport
from xds_server.cli.servers import asked
from xds_server.cli.words import count

TOLD = TypeAdapter(Told)
PING = TypeAdapter(PingReport)
NOBODY = "Nobody is told: the server has no --webhooks."


def told(server: str) -> Told:
    return asked(server, "/notifications", TOLD)


def pinged(server: str, webhook: str) -> PingReport:
    return asked(server, "/notifications/test", PING, json.dumps({"webhook": webhook}).encode())


def data(found: BaseModel) -> Any:
    return found.model_dump(mode="json", by_alias=True)


def lines(found: Told) -> Iterator[str]:
    """What each webhook is, how far behind it is, and how it went last."""
    if not found.webhooks:
        yield NOBODY
    for each in found.webhooks:
        yield f"{each.name}  {each.url}"
        yield f"  {', '.join(_counts(each))}"
        yield f"  last taken {_when(each.last_success)}"
        if each.last_error is not None:
            yield f"  last failed {_when(each.last_error.at)}: {each.last_error.why}"


def ping_words(found: PingReport) -> str:
    if found.delivered:
        return f"{found.webhook} took it: it answers {found.status}"
    return f"{found.webhook} did not take it: {found.why}"


def _counts(webhook: WebhookReport) -> Iterator[str]:
    waiting = f"{webhook.waiting} waiting"
    yield f"{waiting}, the oldest for {webhook.oldest:.0f} s" if webhook.waiting else waiting
    yield f"{webhook.delivered} delivered"
    if webhook.failed:
        yield f"{count(webhook.failed, 'time')} in vain"
    if webhook.given_up:
        yield f"{webhook.given_up} given up"
    if webhook.dropped:
        yield f"{webhook.dropped} dropped"


def _when(at: datetime | None) -> str:
    return "never since the server began" if at is None else f"{at:%Y-%m-%d %H:%M:%SZ}"
