import pytest

from tests.records.folder import SHOP, documents, release
from xds_server.ledger.content import document_content, short
from xds_server.records.documents import read_documents


def content(text: str) -> str | None:
    [document] = read_documents("shop.yaml", text)
    return document_content(document)


SAID = release("shop", "shop.test")


def test_a_content_is_a_short_word() -> None:
    found = content(SAID)

    assert found is not None
    assert (len(found), short(found)) == (32, found[:12])


def test_order_labels_and_the_usual_namespace_are_no_content() -> None:
    yaml = """
        kind: Release
        apiVersion: xds-server.dev/v1alpha1
        spec: {default: [{deployment: v1}], hosts: [shop.test], gateways: [edge], app: shop}
        metadata: {namespace: default, name: shop, labels: {team: checkout}}
    """
    assert content(yaml) == content(SAID)


@pytest.mark.parametrize(
    "other",
    [
        release("shop", "new.test"),
        release("other", "shop.test"),
        release("shop", "shop.test", metadata={"namespace": "p"}),
    ],
    ids=["spec", "name", "namespace"],
)
def test_another_release_or_another_spec_is_another_content(other: str) -> None:
    assert content(other) != content(SAID)


def test_what_is_no_release_or_a_broken_one_has_no_content() -> None:
    found = read_documents("all.yaml", documents(SHOP["edge.yaml"], release("shop")))

    assert [document_content(each) for each in found] == [None, None]
