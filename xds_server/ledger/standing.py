"""What proxies refuse, as far as it may keep a content from being live: what the ledger asks of those who know."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.snapshot import Delivery, TypeUrl


class Standing(NamedTuple):
    """A content of a resource that a proxy refused. `held_back`: nobody else is told it, nor what needs it."""

    gateway: Ref
    kind: TypeUrl
    name: str
    version: str
    held_back: bool


class Refusals(Protocol):
    """What proxies refuse now."""

    def standing(self, gateway: Ref, delivery: Delivery) -> Sequence[Standing]:
        """All that proxies of a gateway refuse. `delivery`: of which it is known what is held back."""

    def words(self, refusal: Standing) -> str:
        """The records that it comes from, and why it is refused, in the proxy's words."""

    def lacks(self, proxy: str, stream: int, refusal: Standing) -> bool:
        """The client of this stream refuses it, and holds nothing older by that name."""


class Nothing(Refusals):
    """Nobody refuses anything."""

    @override
    def standing(self, gateway: Ref, delivery: Delivery) -> Sequence[Standing]:
        return ()

    @override
    def words(self, refusal: Standing) -> str:
        return ""

    @override
    def lacks(self, proxy: str, stream: int, refusal: Standing) -> bool:
        return False
