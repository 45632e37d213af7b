from typing import Any

from xds_server.domain.errors import PeerMisbehaved, SourceUnavailable, XdsServerError, leaves


def test_leaves_are_the_failures_themselves() -> None:
    one, two, three = SourceUnavailable("1"), PeerMisbehaved("2"), XdsServerError("3")
    group: Any = ExceptionGroup("all", [one, ExceptionGroup("some", [two, ExceptionGroup("one", [three])])])

    assert list(leaves(group)) == [one, two, three]
