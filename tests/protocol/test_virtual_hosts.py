"""Which virtual hosts there are on demand, one story a test."""

from tests.protocol.dialogue import Sent, ack, ask, started
from tests.protocol.worlds import CDS, VHDS, on_demand
from xds_server.protocol.events import Wake


def test_an_unknown_host_is_denied_and_sent_when_it_appears() -> None:  # R38
    first = on_demand(["a"], [], [])
    (
        started(first)
        >> ask(VHDS, "e/h/shop") << (Sent(VHDS, "5", removed="e/h/shop"), Wake(1.0, "budget-1"))
        >> ack(VHDS, "5") << None
        >> on_demand(["a"], [], ["shop>a"], after=first) << (Sent(CDS, "6", "a=1"), Wake(2.0, "6"))
        >> ack(CDS, "6") << Sent(VHDS, "7", "e/h/shop=1")
    )  # fmt: skip
