from pathlib import Path

from tests.ledger.facts import NOON, ref
from xds_server.difference.history import RECORDS, Event, Word
from xds_server.state.store import EVENTS, Store

V1, V2 = ref("v1"), ref("v2")


def event(name: str, what: str = "moved", word: Word = RECORDS) -> Event:
    return Event(ref(name), NOON, word, what, ((V1, 10_000),), ((V1, 9_950), (V2, 50)))


def test_events_come_back_as_they_were_newest_first(tmp_path: Path) -> None:
    said = event("shop", "pinned; default: v1 100 % -> v2 100 %", Word("ada", "naïve"))
    with Store.open(tmp_path) as store:
        store.save((), (), [event("shop"), event("other")])
        store.save((), (), [said])

    with Store.open(tmp_path) as store:
        assert store.events(ref("shop")) == [said, event("shop")]
        assert store.events(ref("nobody")) == []


def test_the_oldest_of_a_release_are_forgotten(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save((), (), [event("quiet")])
        for number in range(EVENTS + 5):
            store.save((), (), [event("shop", str(number))])

        assert [each.what for each in store.events(ref("shop"))] == [str(n) for n in range(EVENTS + 4, 4, -1)]
        assert len(store.events(ref("quiet"))) == 1
