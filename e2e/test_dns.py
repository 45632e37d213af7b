"""Builds in DNS: what a proxy resolves by itself."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.support import records
from e2e.support.applications import Applications
from e2e.support.dns import NameServer
from e2e.support.envoy import EnvoyVersion
from e2e.support.load import Shot, lost
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.world import App, World, explicit_host
from e2e.support.world import world as new_world

pytestmark = pytest.mark.e2e

NOT_HELD_UP = {False: 1.5, True: 8.0}
"""Seconds. A name server that says nothing is given 3 s for each kind of address; others wait for that."""
TURNS = 6

_serial = itertools.count()


@dataclass(slots=True)
class Named:
    """An app of one component, whose build is where its records say: by addresses or by name."""

    app: App
    applications: Applications

    def at(self, address: str) -> str:
        """The same place, by a name that every machine resolves."""
        return address.replace("127.0.0.1", "localhost")

    def write(self, name: str, **endpoints: Any) -> None:
        record = records.Build(self.app.name, "web", "a1").record([])
        record["metadata"]["name"] = f"{self.app.name}-{name}"
        record["spec"]["endpoints"] = endpoints
        self.app.write(record)

    def deploy(self) -> str:
        web = {"build": "a1", "routes": [{"pathPrefix": "/"}]}
        self.app.write(records.deployment(self.app.name, "v1", {"web": web}))
        return f"{self.app.name}-v1"

    def answer(self) -> str:
        return self.app.explicit(f"{self.app.name}-v1").body.decode()


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with NameServer({"localhost": ["127.0.0.1"]}) as running:
        yield running


@pytest.fixture(scope="module")
def resolving(
    pair: tuple[Mode, EnvoyVersion], server: NameServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A world whose Envoy asks a name server of ours."""
    mode, version = pair
    with new_world(mode, version, tmp_path_factory.mktemp("resolving"), edit=server.asked_by) as ready:
        yield ready


@pytest.fixture
def named(resolving: World, applications: Applications) -> Named:
    return Named(resolving.app(f"named{next(_serial)}"), applications)


def is_resolved(world: World, deployment: str) -> bool:
    """By the proxy itself."""
    return "cluster_type" in world.envoy.resources()[f"cluster/{deployment}/web"]


def test_a_name_is_resolved_by_the_proxy_and_of_several_all_are_used(named: Named) -> None:
    for name in ("one", "two"):
        named.write(name, dns=named.at(named.applications.http1(name)))
    v1 = named.deploy()
    wait_until(lambda: named.answer() == "one", "the first is served")

    assert {named.answer() for _ in range(10)} == {"one", "two"}
    assert is_resolved(named.app.world, v1)
    assert "Deprecated" not in named.app.world.envoy.child.last_words()
    assert f"{named.app.name}/web@a1" not in named.app.world.envoy.endpoints()


def test_a_build_that_turns_from_addresses_to_a_name_and_back_loses_nothing(named: Named) -> None:
    world, address = named.app.world, named.applications.http1("one")
    named.write("only", addresses=[address])
    v1 = named.deploy()
    wait_until(lambda: named.answer() == "one", "it is served")
    with world.load([Shot("all", explicit_host(v1))]) as load:
        for turn in range(TURNS):
            dns = turn % 2 == 0
            named.write("only", **({"dns": named.at(address)} if dns else {"addresses": [address]}))
            wait_until(lambda: is_resolved(world, v1) is dns, "it has turned")  # noqa: B023
            world.wait_answered(20)
        results = load.stop()

    assert lost(results.answers) == []
    assert len(results.answers) > TURNS * 20


def test_records_of_one_build_must_agree_on_how_it_is_found(named: Named) -> None:
    world, address = named.app.world, named.applications.http1("one")
    named.write("by-address", addresses=[address])
    named.deploy()
    wait_until(lambda: named.answer() == "one", "it is served")
    logged = len(world.server.log())
    named.write("by-name", dns=named.at(address))
    wait_until(lambda: "BuildConflict" in world.server.log()[logged:], "the conflict is logged")

    assert named.answer() == "one"


def test_every_address_of_a_name_is_an_instance_and_changes_are_followed(named: Named, server: NameServer) -> None:
    """A second is how long the answer is good for; without that, Envoy would ask every five."""
    port = named.applications.http1("one").rpartition(":")[2]
    named.applications.http1("two", at=f"127.0.0.2:{port}")
    named.applications.http1("three", at=f"127.0.0.3:{port}")
    server.names["web.test"] = ["127.0.0.1", "127.0.0.2", "::1"]
    named.write("only", dns=f"web.test:{port}")
    v1 = named.deploy()
    wait_until(lambda: named.answer() == "one", "it is served")
    assert {named.answer() for _ in range(10)} == {"one", "two"}, "and nobody at ::1"

    server.names["web.test"] = ["127.0.0.3"]
    wait_until(lambda: named.answer() == "three", "the change is followed", 4)
    assert {named.answer() for _ in range(10)} == {"three"}

    attempts = f"cluster.{v1}/web.update_attempt"
    server.silent.add("web.test")
    named.app.world.envoy.wait_stat(attempts, named.app.world.envoy.stat(attempts) + 2, 40)
    assert {named.answer() for _ in range(10)} == {"three"}, "while nobody knows better"
    server.silent.clear()

    del server.names["web.test"]
    wait_until(lambda: named.app.explicit(v1).status == 503, "a name that is no more has no instance")
    assert named.app.explicit(v1).json["reason"] == "NoHealthyEndpoint"


def test_a_name_with_an_ipv6_address_alone_is_used(named: Named, server: NameServer) -> None:
    address = named.applications.http1("six", at="::1:0")
    server.names["six.test"] = ["::1"]
    named.write("only", dns=f"six.test:{address.rpartition(':')[2]}")
    named.deploy()

    wait_until(lambda: named.answer() == "six", "it is served")


@pytest.mark.parametrize("silent", [False, True], ids=["does-not-exist", "is-not-answered"])
def test_a_name_that_is_not_resolved_costs_only_the_requests_of_its_build(
    named: Named, server: NameServer, silent: bool
) -> None:
    world, name = named.app.world, f"{named.app.name}.test"
    server.silent |= {name} if silent else set()
    taken = world.envoy.stat("cluster_manager.cds.update_success")
    begun = time.monotonic()
    named.write("only", dns=f"{name}:80")
    v1 = named.deploy()
    world.app(f"beside-{named.app.name}").deploy("v1", {"web": "a1"})
    assert time.monotonic() - begun < NOT_HELD_UP[silent]
    world.envoy.wait_stat("cluster_manager.cds.update_success", taken + 1)
    wait_until(lambda: named.app.explicit(v1).status == 503, "it is known")
    wait_until(lambda: named.app.explicit(v1).json["reason"] == "NoHealthyEndpoint", "it says why")

    port = named.applications.http1("found").rpartition(":")[2]
    server.silent.clear()
    server.names[name] = ["127.0.0.1"]
    named.write("only", dns=f"{name}:{port}")
    wait_until(lambda: named.answer() == "found", "the name has come")
