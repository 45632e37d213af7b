import sqlite3
from itertools import chain
from pathlib import Path

from tests.ledger.facts import NOON, ref
from xds_server.difference.history import RECORDS, Event, Kind, Word
from xds_server.state.store import DATABASE, EVENTS, STEPS, Store

V1, V2 = ref("v1"), ref("v2")


def event(name: str, what: str = "moved", word: Word = RECORDS) -> Event:
    return Event(ref(name), NOON, word, what, ((V1, 10_000),), ((V1, 9_950), (V2, 50)))


def test_events_come_back_as_they_were_newest_first(tmp_path: Path) -> None:
    said = event("shop", "pinned; default: v1 100 % -> v2 100 %", Word("ada", "naïve"))
    said = said._replace(kind=Kind.ROLLED_BACK, numbers={"errors": 10.5, "limit": 1})
    with Store.open(tmp_path) as store:
        store.save((), (), [event("shop"), event("other")])
        store.save((), (), [said])

    with Store.open(tmp_path) as store:
        assert store.events(ref("shop")) == [said, event("shop")]
        assert store.events(ref("nobody")) == []


def test_the_past_is_read_when_somebody_asks_for_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        past = store.past(ref("shop"))
        store.save((), (), [event("shop")])
        assert list(past) == [event("shop")]


def test_the_oldest_of_a_release_are_forgotten(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save((), (), [event("quiet")])
        for number in range(EVENTS + 5):
            store.save((), (), [event("shop", str(number))])

        assert [each.what for each in store.events(ref("shop"))] == [str(n) for n in range(EVENTS + 4, 4, -1)]
        assert len(store.events(ref("quiet"))) == 1


def test_events_from_before_there_were_kinds_are_changes(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE)
    for statement in chain(*STEPS[:4]):
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 4")
    old = "INSERT INTO events (namespace, name, at, who, why, what, shares) VALUES (?, ?, ?, ?, ?, ?, ?)"
    connection.execute(old, ("default", "shop", NOON.isoformat(), *RECORDS, "moved", "[[], []]"))
    connection.commit()
    connection.close()

    with Store.open(tmp_path) as store:
        assert store.events(ref("shop")) == [Event(ref("shop"), NOON, RECORDS, "moved", kind=Kind.CHANGED)]


def test_an_event_of_a_kind_that_only_a_newer_server_knows_is_a_change(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save((), (), [event("shop")])
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute("UPDATE events SET kind = 'transcended'")
    connection.close()

    with Store.open(tmp_path) as store:
        assert store.events(ref("shop")) == [event("shop")]
