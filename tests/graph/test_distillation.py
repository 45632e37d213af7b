from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.graph import distil, footprint, shift
from xds_server.records.models import API_VERSION, AppDeployment

SHOP = Ref("default", "shop")


def deployment(name: str, **builds: str) -> AppDeployment:
    return AppDeployment.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "AppDeployment",
            "metadata": {"name": name},
            "spec": {"app": "shop", "version": name, "components": {c: {"build": b} for c, b in builds.items()}},
        }
    )


V1 = deployment("v1", worker="w1", api="a1", ui="u1")
V2 = deployment("v2", worker="w1", api="a2", ui="u1")
V3 = deployment("v3", worker="w1", api="a2", ui="u3", review="r1")


def build(component: str, content: str) -> BuildId:
    return BuildId(SHOP, component, content)


def test_the_live_set_is_the_union_over_all_deployments():
    users = distil([V1, V2, V3])

    assert {b.word for b in users} == {
        "shop/worker@w1", "shop/api@a1", "shop/api@a2", "shop/ui@u1", "shop/ui@u3", "shop/review@r1"
    }  # fmt: skip
    assert users[build("worker", "w1")] == {V1.ref, V2.ref, V3.ref}


def test_a_deployment_adds_what_nobody_else_has_and_shares_the_rest():
    found = footprint(distil([V1, V2]), V2.ref)

    assert found.owns == (build("api", "a2"),)
    assert found.shares == {build("worker", "w1"): {V1.ref}, build("ui", "u1"): {V1.ref}}


def test_what_leaves_with_a_deployment_is_what_it_owns():
    with_v2, without = distil([V1, V2, V3]), distil([V1, V3])

    assert footprint(with_v2, V2.ref).owns == ()
    assert shift(with_v2, without).left == ()
    assert shift(without, distil([V1])).left == (build("api", "a2"), build("review", "r1"), build("ui", "u3"))


def test_a_deploy_turns_owned_builds_into_shared_ones():
    assert shift(distil([V1]), distil([V1, V2])).shared == (build("ui", "u1"), build("worker", "w1"))


def test_a_delete_turns_shared_builds_into_owned_ones():
    assert shift(distil([V1, V2]), distil([V1])).owned == (build("ui", "u1"), build("worker", "w1"))


def test_the_order_of_deployments_changes_nothing():
    assert list(distil([V3, V1, V2]).items()) == list(distil([V1, V2, V3]).items())
