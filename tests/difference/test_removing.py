import pytest

from tests.records.folder import SHOP, Server, build, deployment, documents, release
from xds_server.difference.removing import files_of, without
from xds_server.difference.steering import CannotSteer
from xds_server.domain.names import Ref
from xds_server.records.reading import FileChange

V1, V2, V3 = (Ref("default", name) for name in ("v1", "v2", "v3"))
BOTH = documents("# old ones\n" + deployment("v2", "b2"), build("web-3", "b3"), deployment("v3", "b3"))
FILES = {**{name: text for name, text in SHOP.items() if name != "v2.yaml"}, "old.yaml": BOTH}


@pytest.fixture
def shop() -> Server:
    """v1 is released; v2 and v3 are in one file, with a build."""
    return Server(FILES)


def test_documents_are_taken_out_and_the_others_of_the_file_stay(shop):
    assert list(files_of(shop.admission, [V2, V3])) == ["old.yaml"]
    [change] = without(shop.admission, [V3, V2], {"old.yaml": BOTH})
    assert change == FileChange("old.yaml", BOTH, build("web-3", "b3"))


def test_a_file_that_says_nothing_more_goes(shop):
    server = Server(SHOP)
    assert without(server.admission, [V2], SHOP) == (FileChange("v2.yaml", SHOP["v2.yaml"], ""),)


@pytest.mark.parametrize(
    ("deployments", "texts", "said"),
    [
        ([V1], FILES, "v1 is used by Release shop"),
        ([V2, V1], FILES, "v1 is used by Release shop"),
        ([Ref("default", "v9")], FILES, "no file states a deployment v9"),
        ([V2], {"old.yaml": BOTH + "---\n" + release("new", "n.test", to="v2")}, "was changed just now"),
        ([V2], {"old.yaml": None}, "was changed just now"),
    ],
    ids=["it is used", "one is used", "no such deployment", "the file changed", "the file is gone"],
)
def test_what_may_not_go_is_said_and_nothing_goes(shop, deployments, texts, said):
    with pytest.raises(CannotSteer, match=said):
        without(shop.admission, deployments, texts)


def test_what_cannot_be_taken_out_alone_is_said():
    anchored = {**SHOP, "v2.yaml": SHOP["v2.yaml"].rstrip() + "\n---\n" + SHOP["v2.yaml"]}
    server = Server(SHOP)
    with pytest.raises(CannotSteer, match=r"v2\.yaml"):
        without(server.admission, [V2], anchored)
