import json
from datetime import timedelta, timezone
from math import inf

from tests.ledger.facts import NOON, ref
from xds_server.difference.history import Event, Kind, Word
from xds_server.notifications.message import About, ping, release_message

EVENT = Event(
    ref("shop"),
    NOON.astimezone(timezone(timedelta(hours=2))),
    Word("guard", "errors 4.2 times as often"),
    "rolled back; default: v1 95 %, v2 5 % -> v1 100 %",
    ((ref("v1"), 9_500), (ref("v2"), 500)),
    ((ref("v1"), 10_000), (ref("v2"), 0)),
    Kind.ROLLED_BACK,
    {"ratio": 4.2, "limit": 1.5, "longest": inf},
)


def test_an_event_is_one_cloudevent_with_its_numbers() -> None:
    said = release_message(EVENT, About("shop", "a" * 32), "xds-server://edge-1", "7f")

    assert json.loads(said) == {
        "specversion": "1.0",
        "id": "7f",
        "source": "xds-server://edge-1",
        "type": "dev.xds-server.release.rolled-back.v1",
        "subject": "shop",
        "time": "2026-11-25T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "release": "shop",
            "app": "shop",
            "kind": "rolled-back",
            "who": "guard",
            "why": "errors 4.2 times as often",
            "what": "rolled back; default: v1 95 %, v2 5 % -> v1 100 %",
            "before": {"v1": 95.0, "v2": 5.0},
            "after": {"v1": 100.0, "v2": 0.0},
            "content": "a" * 32,
            "numbers": {"ratio": 4.2, "limit": 1.5, "longest": None},
        },
    }


def test_a_ping_is_about_no_release() -> None:
    assert json.loads(ping("ops", "here", "7f", NOON)) == {
        "specversion": "1.0",
        "id": "7f",
        "source": "here",
        "type": "dev.xds-server.ping.v1",
        "time": "2026-11-25T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {"webhook": "ops"},
    }
