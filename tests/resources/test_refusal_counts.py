from xds_server.messages.codec import to_json
from xds_server.resources.refusal_counts import COUNT_REFUSALS, REFUSALS


def test_every_reason_is_counted_and_whoever_has_none_is_not_looked_at() -> None:
    packed = COUNT_REFUSALS.typed_config
    assert packed is not None
    said = to_json(packed.type_url, packed.value)
    rules = said["extension_config"]["typed_config"]
    [skipped] = said["xds_matcher"]["matcher_list"]["matchers"]

    assert set(rules["shadow_rules"]["policies"]) == {each.reason for each in REFUSALS}
    assert "rules" not in rules, "it refuses nobody"
    assert skipped["on_match"]["action"]["name"] == "skip"
    assert "not_matcher" in skipped["predicate"]


def test_envoy_is_told_nothing_that_it_calls_deprecated() -> None:
    packed = COUNT_REFUSALS.typed_config
    assert packed is not None
    rules = to_json(packed.type_url, packed.value)["extension_config"]["typed_config"]["shadow_rules"]
    permissions = [permission for policy in rules["policies"].values() for permission in policy["permissions"]]

    assert permissions
    assert {kind for permission in permissions for kind in permission} == {"sourced_metadata"}
