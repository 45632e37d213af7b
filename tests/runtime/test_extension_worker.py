from base64 import b64decode, b64encode
from dataclasses import asdict
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import Node

from xds_server.extension import Context
from xds_server.runtime.extension_worker import Loaded, NoExtension, answer, load, loaded_from

HERE = __file__
CONTEXT = Context("AppDeployment", "default", "shop-v1", {"seconds": "7"}, "")


def slow(cluster: Cluster, context: Context) -> None:
    cluster.connect_timeout = timedelta(seconds=int(context.annotations["seconds"]))


def another(cluster: Cluster, _context: Context) -> Cluster:
    return Cluster(name=cluster.name)


def raising(cluster: Cluster, _context: Context) -> None:
    raise LookupError(cluster.name)


def nonsense(_cluster: Cluster, _context: Context) -> int:
    return 7


def mistyped(cluster: Cluster, _context: Context) -> None:
    cluster.name = 7  # type: ignore[assignment]


def unannotated(cluster, context): ...


def of_another_type(node: Node, context: Context) -> None: ...


def of_one_argument(cluster: Cluster) -> None: ...


async def waiting(cluster: Cluster, context: Context) -> None: ...


def said_by(function: Any) -> list[dict[str, Any]]:
    """What the worker says to one order."""
    said: list[dict[str, Any]] = []
    order = {"body": b64encode(bytes(Cluster(name="shop-v1/web"))).decode(), "context": asdict(CONTEXT)}
    answer(Loaded(function, Cluster, HERE), order, said.append)
    return said


@pytest.mark.parametrize(
    ("function", "cluster"),
    [
        (slow, Cluster(name="shop-v1/web", connect_timeout=timedelta(seconds=7))),
        (another, Cluster(name="shop-v1/web")),
    ],
)
def test_a_resource_is_changed_in_place_or_given_back(function: Any, cluster: Cluster) -> None:
    calling, called, last = said_by(function)

    assert (calling, called) == ({"step": "calling"}, {"step": "called"})
    assert Cluster.parse(b64decode(last["body"])) == cluster


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (raising, "LookupError: shop-v1/web"),
        (nonsense, "gave a int, not a Cluster"),
        (mistyped, "ValidationError: 1 validation error"),
    ],
)
def test_what_goes_wrong_is_said(function: Any, fault: str) -> None:
    assert fault in said_by(function)[-1]["fault"]


def test_the_line_of_the_extension_is_said() -> None:
    line = raising.__code__.co_firstlineno + 1

    assert said_by(raising)[-1]["where"] == f"{HERE}:{line}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "has no function 'missing'"),
        ("HERE", "has no function 'HERE'"),
        ("waiting", "has no function 'waiting'"),
        ("of_one_argument", "must take two arguments"),
        ("unannotated", "must be annotated with one of envoy_data_plane's Listener, VirtualHost, Cluster"),
        ("of_another_type", "must be annotated with one of"),
    ],
)
def test_what_is_no_extension_is_not_loaded(name: str, why: str) -> None:
    module = ModuleType("an_extension")
    vars(module).update(globals())

    with pytest.raises(NoExtension, match=why):
        loaded_from(module, name)


def test_extensions_of_a_module_are_loaded_by_name() -> None:
    assert load("e2e.support.extensions", ["tuned"])["tuned"].takes is Cluster
