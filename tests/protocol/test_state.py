from typing import Any

import pytest

from tests.protocol.worlds import CDS, world
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Node, Send, SotwRequest
from xds_server.protocol.sotw import SotwStream
from xds_server.protocol.state import ResourceState, ResourceStatus

NODE = Node("edge-1", "edge")


def counted(stream: Any) -> tuple[int, int, str, bool]:
    progress = stream.progress()[CDS]
    return progress.held, progress.owed, progress.nonce, progress.in_sync


@pytest.mark.parametrize(("stream", "request_of"), [(SotwStream(), SotwRequest), (DeltaStream(), DeltaRequest)])
def test_a_stream_says_how_far_its_client_has_come(stream: Any, request_of: Any) -> None:
    assert stream.state() == {}
    stream.publish(first := world(clusters=["a", "b"]))
    [sent] = [each for each in stream.receive(request_of(CDS, node=NODE)) if isinstance(each, Send)]
    state = stream.state()[CDS]
    assert (state.held, dict(state.awaited), state.nonce) == ({}, {"a": "1", "b": "1"}, sent.nonce)
    assert counted(stream) == (0, 2, sent.nonce, False)
    assert [*state.resources()] == [ResourceState(name, "1", ResourceStatus.STALE) for name in "ab"]

    stream.publish(world(clusters=["a=2", "b"], after=first))
    state = stream.state()[CDS]
    assert dict(state.owed) == {"a": "2"}
    stream.receive(request_of(CDS, nonce=sent.nonce))
    state = stream.state()[CDS]
    assert (state.held["a"].version, dict(state.awaited)) == ("1", {"a": "2"})
    stream.receive(request_of(CDS, nonce=state.nonce, error="a is bad"))
    state = stream.state()[CDS]
    assert dict(state.refused) == dict(stream.progress()[CDS].refused) == {"a": "2"}
    assert counted(stream) == (2, 0, "", False)
    assert next(state.resources()) == ResourceState("a", "2", ResourceStatus.ERROR)
    assert {name: each.version for name, each in stream.holds(CDS).items()} == {"a": "1", "b": "1"}


def test_what_is_held_and_nothing_else_is_in_sync() -> None:
    stream = DeltaStream()
    stream.publish(world(clusters=["a"]))
    [sent] = [each for each in stream.receive(DeltaRequest(CDS, node=NODE)) if isinstance(each, Send)]
    stream.receive(DeltaRequest(CDS, nonce=sent.nonce))

    assert counted(stream) == (1, 0, "", True)
    assert [*stream.state()[CDS].resources()] == [ResourceState("a", "1", ResourceStatus.SYNCED)]


def test_who_has_no_older_content_of_what_it_refuses_lacks_it() -> None:
    stream = DeltaStream()
    stream.publish(first := world(clusters=["a"]))
    [sent] = [each for each in stream.receive(DeltaRequest(CDS, node=NODE)) if isinstance(each, Send)]
    stream.receive(DeltaRequest(CDS, nonce=sent.nonce))
    [sent] = [each for each in stream.publish(world(clusters=["a=2", "b"], after=first)) if isinstance(each, Send)]
    assert not stream.lacks(CDS, "b", "1")
    stream.receive(DeltaRequest(CDS, nonce=sent.nonce, error="a and b are bad"))

    assert [stream.lacks(CDS, *each) for each in (("a", "2"), ("b", "1"), ("b", "2"))] == [False, True, False]
