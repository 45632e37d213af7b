"""What waits for what, and that an event looks only at what it concerns."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from immutables import Map

from tests.protocol.dialogue import NODE
from tests.protocol.worlds import CDS, VHDS, on_demand, resource, snapshot_of, virtual_host
from xds_server.domain.versions import OLDEST
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Send
from xds_server.protocol.kind import Kind
from xds_server.protocol.trials import Key, Trial, Trials
from xds_server.snapshot import Snapshot


def trials_of(*names: str) -> Trials:
    """Virtual hosts on trial; `-` before those that are gone."""
    found = Trials()
    for name in names:
        key = Key(VHDS, f"e/h/{name.removeprefix('-')}")
        found.add(Trial(key, None if name.startswith("-") else virtual_host(name), 0))
    return found


def test_wildcards_over_a_name_are_looked_up() -> None:
    trials = trials_of("*.b.test", "*.test", "*", "*.c.test", "a.b.test")
    over = [trial.key.name for trial in trials.wildcards_over(Key(VHDS, "e/h/a.b.test"))]
    assert over == ["e/h/*.b.test", "e/h/*.test", "e/h/*"]
    assert [trial.key.name for trial in trials.wildcards_over(Key(VHDS, "e/h/*"))] == []
    assert not [*trials.wildcards_over(Key(CDS, "e/h/a.b.test"))]


def test_a_wildcard_needs_the_names_under_it_that_go_with_it() -> None:
    trials = trials_of("*.test", "-a.test", "-new.test", "-a.other")
    settled = on_demand(hosts=["a.test", "a.other"])
    wildcard = trials.get(Key(VHDS, "e/h/*.test"))
    assert wildcard is not None
    assert [each.key.name for each in trials.needs(wildcard, settled)] == ["e/h/a.test"]


def test_what_changes_stirs_what_needs_it_and_nothing_else() -> None:
    trials = Trials()
    for written in ("one>a", "two>b"):
        trials.add(Trial(Key(VHDS, f"e/h/{written[:3]}"), virtual_host(written), 0))
    cluster = Trial(Key(CDS, "a"), resource("a=2"), 0)
    trials.add(cluster)
    settled = on_demand()
    trials.take_stirred(settled)
    trials.stir(cluster)
    assert [trial.key.name for trial in trials.take_stirred(settled)] == ["a", "e/h/one"]


def calls_of(act: Callable[[], object]) -> int:
    """How many functions of the kind's rooms are entered, or gone on with."""
    count = 0

    def see(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.endswith(("kind.py", "canary.py", "trials.py"))

    sys.setprofile(see)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def clusters(count: int, version: str, after: Snapshot | None = None) -> Snapshot:
    resources = Map({f"c{number}": resource(f"c{number}={version}") for number in range(count)})
    return snapshot_of({CDS: resources.values()}, after)


def calls_of_a_bulk_change(count: int) -> int:
    """All clusters change, and are accepted a few at a time."""
    kind, first = Kind(OLDEST), clusters(count, "1")
    kind.offer(first, 0.0)
    stream = DeltaStream(chunk=64)
    stream.receive(DeltaRequest(CDS, node=NODE))
    member, told = kind.join(stream, 0.0)

    def answer(sends: list[Send]) -> None:
        while sends:
            told = kind.receive(member, DeltaRequest(CDS, nonce=sends.pop().nonce), 0.0)
            sends += [each for each in told.get(member, ()) if isinstance(each, Send)]

    answer([each for each in told[member] if isinstance(each, Send)])
    second = clusters(count, "2", first)

    def change() -> None:
        answer([each for each in kind.offer(second, 0.0)[member] if isinstance(each, Send)])

    calls = calls_of(change)
    assert kind.settled is not None
    assert kind.settled.of(CDS) == second.of(CDS)
    return calls


def test_a_change_of_many_costs_in_proportion() -> None:
    few, many = calls_of_a_bulk_change(50), calls_of_a_bulk_change(400)
    assert many < 8 * few * 1.2
