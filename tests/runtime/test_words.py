"""Who wrote a release that waits is who is named when it comes into force."""

from tests.records.folder import NOON, SHOP, Server, deployment, release
from xds_server.difference.history import RECORDS, Event, Word
from xds_server.domain.names import Ref
from xds_server.runtime.words import Words

SHOP_REF = Ref("default", "shop")
ADA, BOB = Word("ada@desk", "so"), Word("bob@desk", "no")
TO_V3 = release("shop", "shop.test", to="v3")


class Told(Server):
    """A server that notes whose word its files are."""

    def __init__(self) -> None:
        super().__init__(SHOP)
        self.words = Words()

    def hears_from(self, word: Word, **files: str) -> Word:
        """Whose word an event of the records is then."""
        before = self.admission
        self.hears({f"{name}.yaml": text for name, text in files.items()})
        self.words.note(before, self.admission, [f"{name}.yaml" for name in files], word)
        event = self.words.of(Event(SHOP_REF, NOON, RECORDS, "default: v1 100 % -> v3 100 %"), self.admission)
        self.words.over([SHOP_REF], self.admission)
        return event.word


def test_who_wrote_what_waits_is_named_when_it_comes_into_force() -> None:
    server = Told()

    assert server.hears_from(ADA, shop=TO_V3) == RECORDS
    assert server.hears_from(RECORDS, shop=TO_V3) == RECORDS  # the watch of the folder
    assert server.hears_from(BOB, v3=deployment("v3", "b2")) == ADA
    assert server.hears_from(RECORDS, other=deployment("v4", "b2")) == RECORDS


def test_what_is_in_force_at_once_waits_for_nothing() -> None:
    """Its event says already whose word it is; what happens to it later, by time for instance, is not theirs."""
    server = Told()

    assert server.hears_from(ADA, shop=release("shop", "shop.test", to="v2")) == RECORDS
    event = Event(SHOP_REF, NOON, BOB, "pinned; nothing moves")
    assert server.words.of(event, server.admission) == event


def test_who_writes_it_anew_takes_the_word() -> None:
    server = Told()
    server.hears_from(ADA, shop=TO_V3)

    server.hears_from(RECORDS, shop=release("shop", "shop.test", "new.test", to="v3"))
    assert server.hears_from(RECORDS, v3=deployment("v3", "b2")) == RECORDS
