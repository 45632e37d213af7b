"""Extensions: what the operator's own Python makes of resources, and what becomes of it when it fails."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.support import records
from e2e.support.client import Client
from e2e.support.envoy import EnvoyVersion
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.world import GATEWAY, V1, V2, World
from e2e.support.world import world as new_world

pytestmark = pytest.mark.e2e

ANNOTATION = "xds-server.dev/extension"
NAMES = ("teapot", "tuned", "greeting", "endless", "emptied")
OPTIONS = [word for name in NAMES for word in ("--extension", f"e2e.support.extensions:{name}")]
PATIENCE = 40.0
"""Seconds: a call that fails because the machine is busy is made again after a while."""


@pytest.fixture(scope="module")
def extended(envoy_version: EnvoyVersion, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Extensions are called before a proxy's dialect matters, so one is enough."""
    with new_world(Mode.DELTA, envoy_version, tmp_path_factory.mktemp("extended"), *OPTIONS) as ready:
        yield ready


def annotated(document: records.Document, extension: str, **annotations: str) -> records.Document:
    document["metadata"]["annotations"] = {ANNOTATION: extension, **annotations}
    return document


def wait_problem(world: World, *words: str) -> None:
    """A problem is logged that says all of this."""
    wait_until(
        lambda: any(
            all(word in line for word in ("ExtensionFailed", *words)) for line in world.server.log().split("\n")
        ),
        f"a problem says {words}",
        PATIENCE,
    )


def web_of(build: str) -> dict[str, Any]:
    return {"web": {"build": build, "routes": [{"pathPrefix": "/"}]}}


def test_a_listener_gets_a_filter_of_the_operators(extended: World) -> None:
    app = extended.app("teapots")
    app.released(app.deploy("v1", V1))

    def status() -> int:
        """Over a new connection: a changed listener drains those that it has."""
        with Client(extended.port) as client:
            return client.get(app.host, headers=[("x-envoy-fault-abort-request", "418")]).status

    assert status() == 200
    extended.folder.write("gateway-edge.yaml", annotated(records.gateway(GATEWAY, extended.port), "teapot"))
    wait_until(lambda: status() == 418, "the filter acts", PATIENCE)
    assert app.get().status == 200

    extended.folder.write("gateway-edge.yaml", records.gateway(GATEWAY, extended.port))
    wait_until(lambda: status() == 200, "the filter is gone")


def test_a_host_keeps_what_the_extension_adds_through_a_flip(extended: World) -> None:
    app = extended.app("greeted")
    for deployment in (app.deploy("v1", V1), app.deploy("v2", V2)):
        app.write(annotated(records.release(app.name, {deployment: 100}), "greeting", greeting="hello"))
        wait_until(lambda expected=deployment: app.get().served == expected, "the flip", PATIENCE)  # type: ignore[misc]
        assert app.get().header("x-greeting") == "hello from greeted"


def test_clusters_and_endpoints_are_changed_too(extended: World) -> None:
    app = extended.app("changed")
    v1 = app.deploy("v1", V1)
    app.write(annotated(records.deployment(app.name, "v2", web_of(V1["web"])), "tuned", seconds="77"))
    wait_until(lambda: app.explicit("changed-v2").status == 200, "the cluster is asked for, and there", PATIENCE)
    resources = extended.envoy.resources()
    assert resources["cluster/changed-v2/web"]["connect_timeout"] == "77s"
    assert resources[f"cluster/{v1}/web"]["connect_timeout"] != "77s"

    build = records.Build(app.name, "cart", V1["cart"])
    address = extended.addresses[build.identity]
    extended.envoy.wait_endpoints(build.identity, {address})
    app.write(annotated(build.record([address]), "emptied"))
    wait_until(lambda: not extended.envoy.endpoints()[build.identity], "the endpoints are gone", PATIENCE)


@pytest.mark.parametrize(
    ("extension", "said"),
    [
        pytest.param("greeting", ("KeyError", "'greeting'", "e2e/support/extensions.py:"), id="one that raises"),
        pytest.param("unheard-of", ("this server has no such extension",), id="one that is not there"),
    ],
)
def test_a_new_host_is_refused_and_everybody_else_is_served(
    extended: World, extension: str, said: tuple[str, ...]
) -> None:
    app, other = extended.app(f"guarded-{extension}"), extended.app(f"beside-{extension}")
    v1, v2 = app.deploy("v1", V1), other.deploy("v1", V1)
    app.write(annotated(records.release(app.name, {v1: 100}), extension))
    other.released(v2)

    wait_problem(extended, f"Release/default/{app.name}", *said)
    refused = app.get()
    assert (refused.status, refused.json["reason"]) == (503, "Withheld")
    assert other.get().served == v2

    app.released(v1)


@pytest.mark.parametrize(
    ("trick", "said"), [("rename", "changed the name of the Cluster to 'another'"), ("nonsense", "gave a str")]
)
def test_what_is_no_such_resource_any_more_is_not_taken(extended: World, trick: str, said: str) -> None:
    app = extended.app(f"tricked-{trick}")
    app.deploy("v1", V1)
    app.write(annotated(records.deployment(app.name, "v2", web_of(V1["web"])), "tuned", trick=trick))
    wait_problem(extended, f"AppDeployment/default/{app.name}-v2", said)
    assert f"cluster/{app.name}-v2/web" not in extended.envoy.resources()


def test_one_that_never_comes_back_leaves_its_host_as_it_was_and_holds_up_nobody(extended: World) -> None:
    app, other = extended.app("waiting"), extended.app("passing")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.write(annotated(records.release(app.name, {v1: 100}), "endless"))
    wait_until(lambda: app.get().served == v1, "the first content is taken", PATIENCE)

    app.write(annotated(records.release(app.name, {v2: 100}), "endless", endless="yes"))
    passing = other.deploy("v1", V1)
    other.released(passing)
    wait_problem(extended, f"Release/default/{app.name}", "took more than 1 s")
    assert app.get().served == v1

    app.released(v2)
