"""On which record, and where in it, an operator finds what proxies refuse."""

from datetime import UTC, datetime

import pytest

from tests.certificates import self_signed
from tests.records.folder import Server, build, deployment, documents, record, release
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.domain.sidecars import Sidecar
from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable
from xds_server.resources.refusals import Refusal, refusal_problems
from xds_server.snapshot import TypeUrl

PAIR = self_signed("shop.test")
GATEWAY = record(
    "Gateway",
    "edge",
    {
        "listeners": [
            {"name": "http", "port": 8080},
            {"name": "https", "port": 8443, "tls": {"secret": "cert"}, "http3": True},
        ],
        "secrets": {"cert": {"certificate": "edge.pem", "privateKey": "edge.key"}},
        "explicit": {"host": "{deployment}.p.test"},
        "accessLog": {"otlp": "collector.test:4317"},
    },
    annotations={"xds-server.dev/extension": "framed, patient"},
)
TLS = {"serverName": "web.test", "ca": "edge.pem", "certificate": "edge.pem", "privateKey": "edge.key"}
FILES = {
    "edge.yaml": GATEWAY,
    "edge.pem": PAIR.certificate,
    "edge.key": PAIR.key,
    "builds.yaml": documents(build("web-1", "b1", tls=TLS), build("web-2", "b1", "10.0.0.2:80", tls=TLS)),
    "app.yaml": record("App", "shop", {"accessLog": {"otlp": "collector.test:4317"}}),
    "v1.yaml": deployment("v1", "b1"),
    "shop.yaml": release("shop", "shop.test", "*.shop.test"),
}


@pytest.fixture(scope="module")
def admission() -> Admission:
    files = {name: Readable(text) for name, text in FILES.items()}
    found = admit(Admission(), Batch(files, complete=True), datetime.now(UTC), folder="records")  # noqa: TID251
    assert not [each for each in found.problems if each.severity == "error"]
    return found


def found(admission: Admission, type_url: TypeUrl, name: str, why: str = "no") -> list[Problem]:
    return list(refusal_problems(Refusal(Ref("default", "edge"), type_url, name, "edge-1", True, why), admission))


BUILDS = [(f"Build/default/web-{number}", "builds.yaml", "spec") for number in (1, 2)]


@pytest.mark.parametrize(
    ("type_url", "name", "places"),
    [
        (TypeUrl.LISTENER, "edge/http", [("Gateway/default/edge", "edge.yaml", "spec.listeners.0")]),
        (TypeUrl.LISTENER, "edge/https_http3", [("Gateway/default/edge", "edge.yaml", "spec.listeners.1")]),
        (TypeUrl.ROUTES, "edge/https", [("Gateway/default/edge", "edge.yaml", "spec.listeners.1")]),
        (TypeUrl.ROUTES, "edge/gone", [("Gateway/default/edge", "edge.yaml", "spec.listeners")]),
        (TypeUrl.CLUSTER, "access-log", [("Gateway/default/edge", "edge.yaml", "spec.accessLog")]),
        (TypeUrl.CLUSTER, "v1/web", [("AppDeployment/default/v1", "v1.yaml", "spec.components.web"), *BUILDS]),
        (TypeUrl.SECRET, "edge/cert", [("Gateway/default/edge", "edge.yaml", "spec.secrets.cert")]),
        (TypeUrl.SECRET, "build/web-1/ca", [("Build/default/web-1", "builds.yaml", "spec.tls")]),
        (
            TypeUrl.ENDPOINTS,
            "shop/web@b1",
            [
                ("Build/default/web-1", "builds.yaml", "spec.endpoints"),
                ("Build/default/web-2", "builds.yaml", "spec.endpoints"),
            ],
        ),
        (TypeUrl.CLUSTER, "v9/web", []),
        (TypeUrl.VIRTUAL_HOST, "edge/http/shop.test", [("Release/default/shop", "shop.yaml", "spec")]),
        (TypeUrl.VIRTUAL_HOST, "edge/http/x.shop.test", [("Release/default/shop", "shop.yaml", "spec")]),
        (TypeUrl.VIRTUAL_HOST, "edge/http/v1.p.test", [("AppDeployment/default/v1", "v1.yaml", "spec")]),
        (TypeUrl.VIRTUAL_HOST, "edge/http/xds-server.invalid", [("Gateway/default/edge", "edge.yaml", "spec")]),
    ],
)
def test_a_refusal_is_a_problem_of_the_records_that_it_comes_from(
    admission: Admission, type_url: TypeUrl, name: str, places: list[tuple[str, str, str]]
) -> None:
    problems = found(admission, type_url, name)

    assert [(each.record, each.where.file, each.where.path) for each in problems] == places


@pytest.mark.parametrize("why", ["Invalid path: /etc/ssl/ca.pem (trusted_ca)", "health_checks[0]: no", "TLS error"])
def test_what_is_about_how_a_build_is_spoken_to_is_a_problem_of_that_alone(admission: Admission, why: str) -> None:
    problems = found(admission, TypeUrl.CLUSTER, "v1/web", why)

    assert [(each.record, each.where.file, each.where.path) for each in problems] == BUILDS


def test_it_is_told_in_the_words_of_the_proxy(admission: Admission) -> None:
    why = "Error adding/updating listener(s) edge/http:\n  cannot bind '127.0.0.1:80': Permission denied.\n"
    [problem] = found(admission, TypeUrl.LISTENER, "edge/http", why)

    assert problem.what == (
        "proxy edge-1 refuses Listener edge/http: Error adding/updating listener(s) edge/http: "
        "cannot bind '127.0.0.1:80': Permission denied"
    )
    assert problem.fix.startswith("Free what it says is taken, or change the record")
    assert problem.fix.endswith("What it refuses was made by extensions: framed, patient")


def test_a_proxy_that_says_much_or_nothing_is_told_in_short(admission: Admission) -> None:
    assert len(found(admission, TypeUrl.CLUSTER, "v1/web", "x" * 5000)[0].what) < 500
    assert found(admission, TypeUrl.CLUSTER, "v1/web", "")[0].what.endswith(": no reason given")


def test_one_proxy_speaks_for_all() -> None:
    server = Server({"edge.yaml": record("Gateway", "edge", {"listeners": [{"name": "http", "port": 80}]})})
    refusal = Refusal(Ref("default", "edge"), TypeUrl.LISTENER, "edge/http", "edge-1", False, "no")
    [problem] = refusal_problems(refusal, server.admission)

    assert problem.what == "proxy edge-1 and others refuse Listener edge/http: no"


# --- at sidecars

WEB = Sidecar(BuildId(Ref("default", "shop"), "web", "b1"))


def at_sidecar(admission: Admission, type_url: TypeUrl, name: str) -> list[Problem]:
    return list(refusal_problems(Refusal(WEB, type_url, name, "web-1", True, "cannot bind"), admission))


@pytest.mark.parametrize(
    ("type_url", "name", "places"),
    [
        (TypeUrl.LISTENER, "shop/web@b1/outbound", BUILDS),
        (TypeUrl.ROUTES, "shop/web@b1/inbound", BUILDS),
        (TypeUrl.CLUSTER, "shop/web@b1/application", BUILDS),
        (TypeUrl.CLUSTER, "access-log", [("App/default/shop", "app.yaml", "spec.accessLog")]),
        (TypeUrl.CLUSTER, "v1/web", [("AppDeployment/default/v1", "v1.yaml", "spec.components.web"), *BUILDS]),
        (TypeUrl.SECRET, "build/web-1/ca", [("Build/default/web-1", "builds.yaml", "spec.tls")]),
        (
            TypeUrl.ENDPOINTS,
            "shop/web@b1",
            [(record, file, f"{path}.endpoints") for record, file, path in BUILDS],
        ),
    ],
)
def test_what_a_sidecar_refuses_is_a_problem_of_what_it_comes_from(
    admission: Admission, type_url: TypeUrl, name: str, places: list[tuple[str, str, str]]
) -> None:
    problems = at_sidecar(admission, type_url, name)

    assert [(each.record, each.where.file, each.where.path) for each in problems] == places


def test_a_port_that_is_taken_beside_an_application_is_freed_there(admission: Admission) -> None:
    problem, _ = at_sidecar(admission, TypeUrl.LISTENER, "shop/web@b1/outbound")

    assert problem.what == "proxy web-1 refuses Listener shop/web@b1/outbound: cannot bind"
    assert problem.fix.startswith("Free what it says is taken, or start it with other ports")
