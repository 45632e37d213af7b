"""`/notifications`: who is told of releases, how far behind they are, and trying whether they listen."""

from datetime import datetime
from typing import Protocol

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from xds_server.api.errors import UNKNOWN, wrong
from xds_server.api.release_reports import Said


class Failed(Said):
    """The last try in vain."""

    at: datetime
    why: str


class WebhookReport(Said):
    """One webhook. What is counted is counted since the server began."""

    name: str
    url: str = Field(description="Without its query, in which there may be a secret.")
    kinds: tuple[str, ...] = Field(description="Of which kinds of events it is told; empty: of all.")
    releases: tuple[str, ...] = Field(description="Of which releases it is told; empty: of all.")
    waiting: int = Field(description="Notifications that it has not taken yet.")
    oldest: float = Field(description="For how many seconds the oldest of them has waited; 0: none waits.")
    delivered: int
    failed: int = Field(description="Tries in vain.")
    given_up: int = Field(description="Notifications that it refused, or did not take for days.")
    dropped: int = Field(description="Notifications for which there was no room.")
    last_success: datetime | None
    last_error: Failed | None


class Told(Said):
    """Everyone that is told of releases."""

    webhooks: tuple[WebhookReport, ...]


class PingReport(Said):
    """What came of one try. `status`: what it answered; 0: it did not."""

    webhook: str
    delivered: bool
    status: int
    why: str


class Asked(BaseModel):
    """Which webhook."""

    model_config = ConfigDict(extra="forbid")

    webhook: str = Field(min_length=1, max_length=2000, description="Its name or its URL.")


class Notifications(Protocol):
    """Who is told, in a running server."""

    def reports(self) -> tuple[WebhookReport, ...]: ...

    async def ping(self, webhook: str) -> PingReport | None:
        """Try once whether this webhook listens. None: there is no such webhook."""


def notifications_api(notifications: Notifications) -> APIRouter:
    api = APIRouter(tags=["notifications"])

    @api.get("/notifications", summary="Who is told of releases, and how far behind they are")
    async def told() -> Told:
        """In the order of the file that names them."""
        return Told(webhooks=notifications.reports())

    @api.post("/notifications/test", summary="Send a webhook a ping, once", responses=UNKNOWN)
    async def test(asked: Asked) -> PingReport:
        """Answers when the webhook has answered, or its time is over."""
        found = await notifications.ping(asked.webhook)
        if found is None:
            there = ", ".join(each.name for each in notifications.reports()) or "none: see --webhooks"
            raise wrong(404, f"no webhook is called {asked.webhook!r}; there is {there}")
        return found

    return api
