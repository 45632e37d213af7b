from xds_server.domain.words import few


def test_a_few_are_named() -> None:
    assert few(["a"], 3) == "a"
    assert few(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"
