import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.facts import NOON, ref
from xds_server.ledger.entry import End, Entry, Holder, ProxyState, Summary
from xds_server.records.saved import Row
from xds_server.state import store as stores
from xds_server.state.store import DATABASE, RECORDS, VERSION, Store

REFUSING = Summary(accepted=38, pending=1, refused=1, named=(Holder("p", "edge", ProxyState.REFUSED, "no"),))


def entry(number: int, name: str = "shop", **said: Any) -> Entry:
    return replace(Entry(number, ref(name), f"{number:032x}", NOON), **said)


def ended(number: int, name: str = "shop") -> Entry:
    return entry(number, name, live=NOON, ended=NOON + timedelta(seconds=1), end=End.REPLACED)


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    whole = entry(2, first_ack=NOON, last_ack=NOON + timedelta(milliseconds=7), summary=REFUSING, note="late")
    with Store.open(tmp_path) as store:
        store.keep([ended(1), whole])

    with Store.open(tmp_path) as store:
        assert store.history(ref("shop")) == [whole, ended(1)]
        assert store.begun() == ([whole], 2)
        assert store.history(ref("other")) == []


def test_an_entry_that_goes_on_replaces_what_was_kept_of_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.keep([entry(1)])
        store.keep([entry(1, live=NOON)])

        assert store.history(ref("shop")) == [entry(1, live=NOON)]


def test_entries_are_found_by_the_beginning_of_their_content(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.keep([entry(0x1F), entry(0x2F), entry(3, "other", content="f" * 32)])

        assert store.entries_of("f" * 8) == [entry(3, "other", content="f" * 32)]
        assert [each.number for each in store.entries_of("0" * 8)] == [0x2F, 0x1F]
        assert store.entries_of("00000001") == []


def test_a_release_keeps_its_newest_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PER_RELEASE", 3)
    with Store.open(tmp_path) as store:
        store.keep([ended(number) for number in range(1, 6)])
        store.keep([entry(6), entry(7, "other")])
        store.keep([ended(5)])

        assert [each.number for each in store.history(ref("shop"))] == [6, 5, 4]


def test_of_all_that_has_ended_the_newest_is_kept_and_what_is_in_force_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "ENDED", 2)
    with Store.open(tmp_path) as store:
        store.keep([entry(1, "old"), *(ended(number, f"r{number}") for number in range(2, 7))])

        assert [len(store.history(ref(f"r{number}"))) for number in range(2, 7)] == [0, 0, 0, 1, 1]
        assert len(store.history(ref("old"))) == 1


def test_a_state_directory_from_before_the_ledger_gets_its_tables(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE)
    with connection:
        connection.execute(RECORDS)
        connection.execute("INSERT INTO records VALUES ('Release', 'default', 'a', '{}', ?)", (NOON.isoformat(),))
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    with Store.open(tmp_path) as store:
        assert store.load() == [Row("Release", "default", "a", "{}", NOON)]
        assert store.begun() == ([], 0)
        store.keep([entry(1)])

    connection = sqlite3.connect(tmp_path / DATABASE)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()
