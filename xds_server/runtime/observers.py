"""Who hears what happens on streams: nobody in particular, or several."""

from typing_extensions import override

from xds_server.ports import Observer
from xds_server.protocol.events import Acked, Nacked, Node, Quarantined, Send, Stuck, Untried


class Nobody(Observer):
    """Hears and does nothing: what an observer of some facts is of all others."""

    @override
    def opened(self, node: Node, mode: str) -> None: ...

    @override
    def closed(self, node: Node, mode: str) -> None: ...

    @override
    def unknown(self, node: Node) -> None: ...

    @override
    def duplicate(self, node: Node) -> None: ...

    @override
    def sent(self, node: Node, send: Send) -> None: ...

    @override
    def acked(self, node: Node, acked: Acked) -> None: ...

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None: ...

    @override
    def stuck(self, node: Node, stuck: Stuck) -> None: ...

    @override
    def quarantined(self, node: Node, quarantined: Quarantined) -> None: ...

    @override
    def untried(self, node: Node, untried: Untried) -> None: ...


class Everyone(Observer):
    """Tells each of its observers, in order; of what a fan-out repeats for each proxy, only those who listen to it."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        self._sent = [each.sent for each in observers if getattr(each.sent, "__func__", None) is not Nobody.sent]
        self._acked = [each.acked for each in observers if getattr(each.acked, "__func__", None) is not Nobody.acked]

    @override
    def opened(self, node: Node, mode: str) -> None:
        for each in self._observers:
            each.opened(node, mode)

    @override
    def closed(self, node: Node, mode: str) -> None:
        for each in self._observers:
            each.closed(node, mode)

    @override
    def unknown(self, node: Node) -> None:
        for each in self._observers:
            each.unknown(node)

    @override
    def duplicate(self, node: Node) -> None:
        for each in self._observers:
            each.duplicate(node)

    @override
    def sent(self, node: Node, send: Send) -> None:
        for hear in self._sent:
            hear(node, send)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        for hear in self._acked:
            hear(node, acked)

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        for each in self._observers:
            each.nacked(node, nacked)

    @override
    def stuck(self, node: Node, stuck: Stuck) -> None:
        for each in self._observers:
            each.stuck(node, stuck)

    @override
    def quarantined(self, node: Node, quarantined: Quarantined) -> None:
        for each in self._observers:
            each.quarantined(node, quarantined)

    @override
    def untried(self, node: Node, untried: Untried) -> None:
        for each in self._observers:
            each.untried(node, untried)
