import re

import pytest

from xds_server.messages.codec import to_json
from xds_server.resources.first_requests import NAME, ON_DEMAND


@pytest.mark.parametrize(("length", "asked"), [(1, True), (259, True), (260, False), (60_000, False)])
def test_nobody_is_asked_for_a_host_that_is_longer_than_names_may_be(length: int, asked: bool) -> None:
    packed = ON_DEMAND.typed_config
    assert packed is not None
    said = to_json(packed.type_url, packed.value)
    [skipped] = said["xds_matcher"]["matcher_list"]["matchers"]
    matched = skipped["predicate"]["single_predicate"]

    assert (ON_DEMAND.name, said["extension_config"]["name"]) == (NAME, NAME), "it keeps its name and place"
    assert skipped["on_match"]["action"]["name"] == "skip"
    assert matched["input"]["typed_config"]["header_name"] == ":authority"
    regex = matched["value_match"]["safe_regex"]["regex"].replace(r"\C", "[^$]")  # `re` knows no `\C`
    assert (re.fullmatch(regex, "a" * length) is None) is asked
