"""Make before break, of each virtual host alone; one story a test."""

from tests.protocol.dialogue import Sent, ack, ask, started
from tests.protocol.worlds import CDS, EDS, VHDS, on_demand
from xds_server.protocol.events import Wake


def test_a_host_is_loaded_after_its_clusters() -> None:  # R30, R38, R39
    (
        started(on_demand(["a>x", "b"], ["x"], ["shop>a"]))
        >> ask(VHDS, "e/h/shop") << (Sent(CDS, "5", "a=1"), Wake(2.0, "5"))
        >> ask(EDS, "x") << Sent(EDS, "6", "x=1")
        >> ack(EDS, "6") << None
        >> ack(CDS, "5") << Sent(VHDS, "7", "e/h/shop=1")
        >> ack(VHDS, "7") << None
    )  # fmt: skip
