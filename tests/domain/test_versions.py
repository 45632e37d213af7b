import pytest

from xds_server.domain.versions import OLDEST, Minor, minor, written


@pytest.mark.parametrize(
    ("version", "found"),
    [("1.40.0", (1, 40)), ("1.36", (1, 36)), ("2.0.1-dev", (2, 0)), ("", OLDEST), ("dev", OLDEST), ("1.x.2", OLDEST)],
)
def test_a_proxy_that_does_not_say_is_taken_for_the_oldest(version: str, found: Minor) -> None:
    assert minor(version) == found


def test_the_minor_versions_are_in_order() -> None:
    assert minor("1.9.0") < minor("1.36.4") == OLDEST < minor("1.40.0")
    assert written(minor("1.40.0")) == "1.40"
