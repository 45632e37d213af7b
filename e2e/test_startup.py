"""Neither a sidecar nor its application has to be there first, and neither is started again for the other."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from e2e.support.client import Client, Reply, answers
from e2e.support.envoy import EnvoyVersion
from e2e.support.mesh import Place
from e2e.support.pair import Pair, application, pair_of
from e2e.support.server import Mode

pytestmark = pytest.mark.e2e

CONTEXT = ("x-deployment", "order-v1")


@pytest.fixture
def order(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair_of(*pair, tmp_path_factory.mktemp("startup")) as ready:
        yield ready


def asked(port: int) -> Reply:
    """For `api`: at its sidecar's inbound port, or at its caller's outbound port."""
    with Client(port) as client:
        return client.get("api", "/", [CONTEXT])


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_a_sidecar_that_is_there_first_answers_503_until_its_application_listens(order: Pair) -> None:
    with order.sidecar(order.first):
        before = asked(order.first.inbound)
        with application(order.first):
            after = asked(order.first.inbound)
        gone = asked(order.first.inbound)
        with application(order.first):
            again = asked(order.first.inbound)

    assert [each.status for each in (before, after, gone, again)] == [503, 200, 503, 200]
    assert [each.json["reason"] for each in (before, gone)] == ["ConnectionFailed"] * 2


def test_callers_try_another_instance_as_long_as_the_application_does_not_listen(order: Pair) -> None:
    with order.sidecar(order.first) as first, order.instance(order.second), order.sidecar(order.ui):
        found = [asked(order.ui.outbound).status for _ in range(20)]
        tried = first.total(r"^http[.].*inbound[.]downstream_rq_5xx$")

    assert found == [200] * 20
    assert tried > 0, "the one without an application was asked too"


def test_an_application_that_is_there_first_is_refused_until_its_sidecar_serves(order: Pair) -> None:
    with ExitStack() as stack:
        stack.enter_context(application(order.ui))
        stack.enter_context(order.instance(order.first))
        with pytest.raises(ConnectionRefusedError):
            asked(order.ui.outbound)
        stack.enter_context(order.sidecar(order.ui))

        assert asked(order.ui.outbound).status == 200


def test_a_sidecar_is_ready_when_both_of_its_listeners_serve_and_not_before(order: Pair) -> None:
    order.server.child.stop()
    with order.starting(order.first) as envoy:
        envoy.wait_live()
        assert not answers(order.first.admin, "/ready")
        assert not listening(order.first)
        order.server.start()
        envoy.wait_ready()

        assert listening(order.first)


def listening(place: Place) -> bool:
    return listens(place.inbound) and listens(place.outbound)
