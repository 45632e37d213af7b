"""TLS to instances: who is believed, who is shown what, and what renewals and bad files do to requests.

`docs/upstream-tls.md` says the same in words.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.support import records
from e2e.support.applications import Applications, Service
from e2e.support.authority import Authority, Showing, load_certificate
from e2e.support.load import Shot, lost
from e2e.support.processes import wait_until
from e2e.support.streams import Grpc
from e2e.support.world import App, World, explicit_host
from tests.certificates import Pair

pytestmark = pytest.mark.e2e

NAME = "web.internal"
EXPIRED = datetime.now(UTC) - timedelta(minutes=1)  # noqa: TID251 - Envoy reads it too
WELL = {"path": "/healthz", "interval": "100ms", "timeout": "1s", "unhealthyThreshold": 1, "healthyThreshold": 1}
RATE = 100.0
"""Requests a second, each over a new connection to the instance."""
NOT_HELD_UP = 1.5
"""Seconds: a cluster without its secrets holds the others up for 1 s, and they need a moment themselves."""

_serial = itertools.count()


@dataclass(slots=True)
class Secured:
    """An app with one component, whose instances speak TLS, and the files that its record names."""

    app: App
    applications: Applications
    directory: Path
    authority: Authority = field(default_factory=Authority)

    @property
    def world(self) -> World:
        return self.app.world

    def file(self, name: str, text: str) -> str:
        path = f"{self.app.name}-{name}"
        self.world.folder.write_text(path, text)
        return path

    def trust(self, authorities: str | None = None) -> dict[str, Any]:
        """`tls` of a record, with a file of the authorities."""
        return {"serverName": NAME, "ca": self.file("ca.pem", authorities or self.authority.pem)}

    def identity(self, pair: Pair) -> dict[str, Any]:
        key, certificate = self.file("edge.key", pair.key), self.file("edge.pem", pair.certificate)
        return {"certificate": certificate, "privateKey": key}

    def place(self, address: str, tls: dict[str, Any], protocol: str = "http1", **build: Any) -> records.Document:
        record = records.Build(self.app.name, "web", "a1").record([address], protocol)
        record["spec"] |= {"tls": tls, **build}
        self.app.write(record)
        return record

    def deploy(self, **policy: Any) -> str:
        """Of the build that was placed; whether it answers is for the test to see."""
        web = {"build": "a1", "routes": [{"pathPrefix": "/"}], "policy": policy}
        self.app.write(records.deployment(self.app.name, "v1", {"web": web}))
        deployment = f"{self.app.name}-v1"
        wait_until(lambda: self.app.explicit(deployment).status != 404, f"{deployment} is known")
        return deployment

    def refused(self, deployment: str) -> None:
        """Its requests are answered with the reason, and everybody else moves on."""
        reply = self.app.explicit(deployment)
        assert (reply.status, reply.header("content-type"), reply.served) == (503, "application/json", deployment)
        assert reply.json["reason"] in ("ConnectionFailed", "ConnectionTerminated")
        begun = time.monotonic()
        self.world.app(f"beside-{self.app.name}").deploy("v1", {"web": "a1"})
        assert time.monotonic() - begun < NOT_HELD_UP

    def wait_problem(self, reason: str, since: int, *words: str) -> None:
        def said() -> bool:
            lines = self.world.server.log()[since:].split("\n")
            return any(all(word in line for word in (f'"reason": "{reason}"', *words)) for line in lines)

        wait_until(said, f"{reason} {words} is logged")

    def context_updates(self) -> int:
        return self.world.envoy.total(
            f"^cluster[.].*{self.app.name}.*client_ssl_socket_factory.ssl_context_update_by_sds$"
        )


@pytest.fixture
def secured(pair_world: World, applications: Applications, tmp_path: Path) -> Secured:
    return Secured(pair_world.app(f"tls{next(_serial)}"), applications, tmp_path)


def begin(secured: Secured, protocol: str, showing: Showing) -> str:
    match protocol:
        case "http1":
            return secured.applications.http1("web", showing.context(secured.directory))
        case "http2":
            return secured.applications.http2("web", showing.context(secured.directory, "h2"))
        case _:
            return secured.applications.grpc(Service("web"), showing.credentials)


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual-tls"])
@pytest.mark.parametrize("protocol", ["http1", "http2", "grpc"])
def test_an_instance_that_proves_who_it_is_gets_requests(secured: Secured, protocol: str, mutual: bool) -> None:
    clients = Authority() if mutual else None
    address = begin(secured, protocol, Showing(secured.authority.issue(NAME), clients))
    tls = secured.trust() | (secured.identity(clients.issue("edge.internal")) if clients else {})
    secured.place(address, tls, protocol)
    v1 = secured.deploy()

    if protocol == "grpc":
        call = Grpc(secured.world.port, explicit_host(v1))
        assert call.exchange() == call.unary() == "web"
        call.close()
    else:
        reply = secured.app.explicit(v1)
        assert (reply.status, reply.body) == (200, b"web")


@pytest.mark.parametrize("protocol", ["http1", "http2"])
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(lambda authority: authority.issue("other.internal"), id="another-name"),
        pytest.param(lambda _: Authority().issue(NAME), id="another-authority"),
        pytest.param(lambda authority: authority.issue(NAME, EXPIRED), id="expired"),
    ],
)
def test_an_instance_that_does_not_gets_none(
    secured: Secured, shown: Callable[[Authority], Pair], protocol: str
) -> None:
    secured.place(begin(secured, protocol, Showing(shown(secured.authority))), secured.trust(), protocol)

    secured.refused(secured.deploy())


def test_without_a_file_only_those_that_the_machine_trusts_are_believed(secured: Secured) -> None:
    address = begin(secured, "http1", Showing(secured.authority.issue(NAME)))
    secured.place(address, {"serverName": NAME})
    v1 = secured.deploy()
    secured.refused(v1)

    secured.place(address, secured.trust())
    wait_until(lambda: secured.app.explicit(v1).status == 200, "its own authority is believed")


def test_an_instance_that_asks_for_a_certificate_gets_nothing_from_who_has_none(secured: Secured) -> None:
    address = begin(secured, "http1", Showing(secured.authority.issue(NAME), Authority()))
    secured.place(address, secured.trust())

    secured.refused(secured.deploy())


def test_renewals_on_both_sides_under_load_lose_nothing_and_change_no_cluster(secured: Secured) -> None:
    """Each authority is replaced as it has to be: first both are believed, then certificates change, then one goes."""
    servers, clients = (secured.authority, Authority()), (Authority(), Authority())
    context = Showing(servers[0].issue(NAME), clients[0]).context(secured.directory)
    context.load_verify_locations(cadata=clients[1].pem)
    ours = clients[0].issue("edge.internal")
    address = secured.applications.http1("web", context)
    secured.place(address, secured.trust() | secured.identity(ours))
    v1 = secured.deploy()
    assert secured.app.explicit(v1, "/who").body.decode() == leaf(ours)
    envoy = secured.world.envoy
    clusters = envoy.stats("^cluster_manager[.](cluster_(added|modified|removed)|cds[.]update_success)$")
    shot = Shot("who", explicit_host(v1), "/who")

    def renewed(change: Callable[[], object]) -> None:
        before = secured.context_updates()
        change()
        wait_until(lambda: secured.context_updates() > before, "Envoy has taken it")
        secured.world.wait_answered(20)

    with secured.world.load([shot], RATE) as load:
        secured.world.wait_answered(20)
        renewed(lambda: secured.trust(servers[0].pem + servers[1].pem))
        load_certificate(context, servers[1].issue(NAME), secured.directory)
        secured.world.wait_answered(20)
        renewed(lambda: secured.trust(servers[1].pem))
        ours = clients[1].issue("edge.internal")
        renewed(lambda: secured.identity(ours))
        wait_until(lambda: secured.app.explicit(v1, "/who").body.decode() == leaf(ours), "ours is shown")
        results = load.stop()

    assert len(results.answers) > 80
    assert lost(results.answers) == []
    assert envoy.stats("^cluster_manager[.](cluster_(added|modified|removed)|cds[.]update_success)$") == clusters


def leaf(pair: Pair) -> str:
    return pair.certificate[: pair.certificate.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("file", ["ca.pem", "edge.pem", "edge.key"])
def test_a_bad_file_is_a_problem_of_the_record_and_the_last_good_one_serves(secured: Secured, file: str) -> None:
    clients = Authority()
    address = begin(secured, "http1", Showing(secured.authority.issue(NAME), clients))
    secured.place(address, secured.trust() | secured.identity(clients.issue("edge.internal")))
    v1 = secured.deploy()
    assert secured.app.explicit(v1, "/who").status == 200
    logged = len(secured.world.server.log())
    path = secured.file(file, "nonsense")
    secured.wait_problem("Certificate", logged, f"Build/default/{secured.app.name}-web-a1", path)
    secured.world.app(f"beside-{secured.app.name}").deploy("v1", {"web": "a1"})

    assert [secured.app.explicit(v1, "/who").status for _ in range(5)] == [200] * 5


def test_a_file_that_was_never_there_costs_only_the_requests_of_its_build(secured: Secured) -> None:
    logged = len(secured.world.server.log())
    address = begin(secured, "http1", Showing(secured.authority.issue(NAME)))
    secured.place(address, {"serverName": NAME, "ca": f"{secured.app.name}-ca.pem"})
    web = {"build": "a1", "routes": [{"pathPrefix": "/"}]}
    begun = secured.app.write(records.deployment(secured.app.name, "v1", {"web": web}))
    secured.world.app(f"after-{secured.app.name}").deploy("v1", {"web": "a1"})
    assert time.monotonic() - begun < NOT_HELD_UP
    v1 = secured.deploy()
    secured.refused(v1)
    secured.wait_problem("Certificate", logged, f"Build/default/{secured.app.name}-web-a1", "is not in the folder")

    secured.trust()
    wait_until(lambda: secured.app.explicit(v1).status == 200, "the file has come")


def test_records_of_one_build_must_agree_on_tls(secured: Secured) -> None:
    address = begin(secured, "http1", Showing(secured.authority.issue(NAME)))
    record = secured.place(address, secured.trust())
    v1 = secured.deploy()
    logged = len(secured.world.server.log())
    other = records.Build(secured.app.name, "web", "a1").record([address])
    other["metadata"]["name"] = f"{secured.app.name}-more"
    secured.app.write(other)
    secured.wait_problem("BuildConflict", logged, other["metadata"]["name"])
    assert secured.app.explicit(v1).status == 200

    other["spec"]["tls"] = record["spec"]["tls"]
    logged = len(secured.world.server.log())
    secured.app.write(other)
    wait_until(lambda: "problem gone" in secured.world.server.log()[logged:], "they agree")
    assert secured.app.explicit(v1).status == 200


def test_health_checks_are_made_by_tls(secured: Secured) -> None:
    name = secured.app.name
    context = Showing(secured.authority.issue(NAME)).context(secured.directory)
    secured.place(secured.applications.http1(name, context), secured.trust(), healthCheck=WELL)
    v1 = secured.deploy(panicThreshold=0)
    wait_until(lambda: secured.app.explicit(v1).status == 200, "it is well")
    secured.applications.sick.add(name)
    wait_until(lambda: secured.app.explicit(v1).status == 503, "it is not well")
    assert secured.app.explicit(v1).json["reason"] == "NoHealthyEndpoint"

    secured.applications.sick.discard(name)
    wait_until(lambda: secured.app.explicit(v1).status == 200, "it is well again")
