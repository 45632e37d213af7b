import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain import names
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref, ref

LABELS = st.from_regex(r"[a-z0-9](?:[-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
REFS = st.builds(Ref, st.just("default") | LABELS, LABELS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(Ref("default", "shop-v2").word, "shop-v2", id="the-default-namespace-is-not-said"),
        pytest.param(Ref("prod", "shop-v2").word, "prod.shop-v2", id="another-namespace-is"),
        pytest.param(names.record_id("Release", Ref("prod", "shop")), "Release/prod/shop", id="a-record"),
        pytest.param(names.cluster(Ref("prod", "shop-v2"), "web"), "prod.shop-v2/web", id="a-cluster"),
        pytest.param(names.cluster_stat("prod.shop-v2/web"), "prod_shop-v2/web", id="a-cluster-in-statistics"),
        pytest.param(BuildId(Ref("default", "shop"), "web", "1.0").word, "shop/web@1.0", id="a-build"),
        pytest.param(names.listener(Ref("default", "edge"), "http"), "edge/http", id="a-listener"),
        pytest.param(names.virtual_host("edge/http", "*.test"), "edge/http/*.test", id="a-virtual-host"),
        pytest.param(names.route("acme", Ref("default", "v2"), "web.0"), "acme/v2/web.0", id="a-route"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert name == expected


@given(REFS, LABELS)
def test_a_word_is_read_as_it_was_said(who: Ref, namespace: str) -> None:
    assert ref(who.word) == who
    assert ref(f"{who.namespace}.{who.name}", namespace) == who
    assert ref(who.name, namespace) == Ref(namespace, who.name)


@given(REFS, REFS, LABELS, LABELS)
def test_different_things_have_different_names(one: Ref, other: Ref, component: str, another: str) -> None:
    if (one, component) != (other, another):
        pair = names.cluster(one, component), names.cluster(other, another)
        assert pair[0] != pair[1]
        assert names.cluster_stat(pair[0]) != names.cluster_stat(pair[1])
