from types import SimpleNamespace
from typing import Any

from xds_server.ports import Observer
from xds_server.protocol.events import Node
from xds_server.runtime.observers import Everyone

FACTS = [name for name in vars(Observer) if not name.startswith("_")]


def recorder(heard: list[tuple[Any, ...]]) -> Any:
    """An observer that keeps everything that it is told."""

    def hears(fact: str) -> Any:
        return lambda *arguments: heard.append((fact, *arguments))

    return SimpleNamespace(**{fact: hears(fact) for fact in FACTS})


def test_everyone_hears_every_fact() -> None:
    one: list[tuple[Any, ...]] = []
    other: list[tuple[Any, ...]] = []
    everyone: Any = Everyone(recorder(one), recorder(other))
    node = Node("edge-1", "edge", "gateway")

    for fact in FACTS:
        getattr(everyone, fact)(*([node] if fact in ("unknown", "duplicate") else [node, fact]))

    assert [fact for fact, *_ in one] == FACTS
    assert all(said[1] is node for said in one)
    assert one == other
