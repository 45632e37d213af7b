"""Who is at fault when a response is refused."""

import pytest

from tests.protocol.worlds import CDS, resource, world
from xds_server.protocol.channel import Channel, Response

NAMES = ["prod.shop-v2/web", "shop-v2/web", "shop-v2/web-2", "web"]


@pytest.mark.parametrize(
    ("reason", "culprits"),
    [
        pytest.param("Error adding/updating cluster(s) shop-v2/web: bad port", ["shop-v2/web"], id="one"),
        pytest.param("cluster(s) web: bad, shop-v2/web-2: worse", ["shop-v2/web-2", "web"], id="two"),
        pytest.param("cannot add prod.shop-v2/web.", ["prod.shop-v2/web"], id="end-of-a-sentence"),
        pytest.param("'shop-v2/web' (see web.internal)", ["shop-v2/web"], id="quoted-and-part-of-another-word"),
        pytest.param("Proto constraint validation failed", NAMES, id="nobody-is-named"),
        pytest.param("", NAMES, id="no-reason"),
    ],
)
def test_names_in_the_reason_are_at_fault_or_else_all(reason: str, culprits: list[str]) -> None:  # R12, section 6
    channel = Channel(CDS, deniable=True)
    channel.publish(world(clusters=NAMES), follows=False)
    channel.sent(Response("1", {name: resource(name) for name in NAMES}))
    assert list(channel.refuse(reason)) == culprits
    assert channel.due == set(NAMES) - set(culprits)
