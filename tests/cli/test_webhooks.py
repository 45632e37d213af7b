from tests.ledger.facts import NOON
from xds_server.api.notifications import Failed, Told, WebhookReport
from xds_server.cli.webhooks import lines

BEHIND = WebhookReport(
    name="ops",
    url="https://ops.test/",
    kinds=("held",),
    releases=(),
    waiting=3,
    oldest=61.4,
    delivered=5,
    failed=2,
    given_up=1,
    dropped=4,
    last_success=NOON,
    last_error=Failed(at=NOON, why="Connection refused"),
)


def test_what_a_webhook_is_behind_with_is_counted() -> None:
    assert list(lines(Told(webhooks=(BEHIND,)))) == [
        "ops  https://ops.test/",
        "  3 waiting, the oldest for 61 s, 5 delivered, 2 times in vain, 1 given up, 4 dropped",
        "  last taken 2026-11-25 12:00:00Z",
        "  last failed 2026-11-25 12:00:00Z: Connection refused",
    ]


def test_a_server_that_tells_nobody_says_so() -> None:
    assert list(lines(Told(webhooks=()))) == ["Nobody is told: the server has no --webhooks."]
