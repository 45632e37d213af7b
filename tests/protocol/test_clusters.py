"""Which clusters there are on demand, one story a test."""

from tests.protocol.dialogue import Sent, ack, ask, started
from tests.protocol.worlds import CDS, on_demand


def test_a_cluster_can_be_asked_for_by_name() -> None:  # R19, R39
    first = on_demand(["a"])
    (
        started(first)
        >> ask(CDS, "a", "b") << Sent(CDS, "5", "a=1", removed="b")
        >> ack(CDS, "5") << None
        >> on_demand(["a", "b"], after=first) << Sent(CDS, "6", "b=1")
    )  # fmt: skip
