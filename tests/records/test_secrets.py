"""Certificates that a gateway names: which are in force, which last good stays, what is said of the others."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.certificates import Pair, self_signed
from tests.records.folder import NOON, Content, Server, record
from xds_server.domain.problems import Reason, Severity

ONE = self_signed("shop.test", begins=NOON, lasts=timedelta(days=90))
TWO = self_signed("shop.test", begins=NOON, lasts=timedelta(days=91))
OLD = self_signed("shop.test", begins=NOON - timedelta(days=90), lasts=timedelta(days=89))

LISTENER = {"name": "https", "port": 8443, "tls": {"secret": "cert"}}


def edge(certificate: str = "certs/edge.pem") -> str:
    secrets = {"cert": {"certificate": certificate, "privateKey": "certs/edge.key"}}
    return record("Gateway", "edge", {"listeners": [LISTENER], "secrets": secrets})


def folder(pair: Pair) -> Mapping[str, Content]:
    return {"edge.yaml": edge(), **files(pair)}


def files(pair: Pair) -> Mapping[str, Content]:
    return {"certs/edge.pem": pair.certificate, "certs/edge.key": pair.key}


def served(server: Server) -> str:
    return server.admission.world.secrets["edge/cert"].certificate


def problems(server: Server) -> list[tuple[Reason, Severity, str]]:
    return [(each.reason, each.severity, each.what) for each in server.admission.problems]


def test_a_pair_is_in_force_and_saved() -> None:
    server = Server(folder(ONE))

    assert served(server) == ONE.certificate
    assert ("Secret", "", "edge/cert") in server.rows
    assert not problems(server)


def test_a_renewed_pair_is_in_force_at_once_although_no_record_changed() -> None:
    server = Server(folder(ONE))
    server.hears(files(TWO))

    assert served(server) == TWO.certificate
    assert not server.admission.touched


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (Pair("nonsense", ONE.key), "the file certs/edge.pem holds no certificate that can be read"),
        (Pair(ONE.certificate, TWO.key), "the file certs/edge.key does not belong to the certificate"),
        (OLD, "the file certs/edge.pem has expired: CN=shop.test ended 2026-11-22 12:00 UTC"),
    ],
)
def test_what_was_good_is_served_until_the_files_are_good_again(pair: Pair, why: str) -> None:
    server = Server(folder(ONE))
    server.hears(files(pair))

    assert served(server) == ONE.certificate
    [problem] = server.admission.problems
    assert (problem.reason, problem.what, problem.record) == (Reason.CERTIFICATE, why, "Gateway/default/edge")
    assert "the one from before is served, which ends 2027-02-21" in problem.fix
    assert problem.where.file == "edge.yaml"
    assert problem.where.path.startswith("spec.secrets.cert.")

    server.hears(files(TWO))
    assert served(server) == TWO.certificate
    assert not server.admission.problems


def test_files_that_are_replaced_one_after_the_other_never_serve_half_a_pair() -> None:
    server = Server(folder(ONE))
    server.hears({"certs/edge.pem": TWO.certificate})
    assert served(server) == ONE.certificate

    server.hears({"certs/edge.key": TWO.key})
    assert served(server) == TWO.certificate


def test_a_file_that_is_gone_takes_nothing_away() -> None:
    server = Server(folder(ONE))
    server.hears({"certs/edge.pem": None})

    assert served(server) == ONE.certificate
    assert problems(server) == [
        (Reason.CERTIFICATE, Severity.ERROR, "the file certs/edge.pem is not in the folder of the records")
    ]


def test_a_gateway_whose_certificate_was_never_good_is_in_force_without_it() -> None:
    server = Server(folder(OLD))

    assert server.admission.world.gateways
    assert not server.admission.world.secrets
    [problem] = server.admission.problems
    assert "stays closed" in problem.fix


def test_a_restart_serves_what_was_good_while_the_files_are_bad() -> None:
    again = Server(folder(ONE))
    again.restarts()
    assert served(again) == ONE.certificate

    again.reads(folder(OLD))
    assert served(again) == ONE.certificate
    assert [each.reason for each in again.admission.problems] == [Reason.CERTIFICATE]


def test_a_restart_finds_that_a_file_is_gone() -> None:
    again = Server(folder(ONE))
    again.restarts()
    again.reads({"edge.yaml": edge()})

    assert served(again) == ONE.certificate
    assert [each.reason for each in again.admission.problems] == [Reason.CERTIFICATE]


def test_a_gateway_that_names_the_secret_no_more_gives_it_up() -> None:
    server = Server(folder(ONE))
    plain = record("Gateway", "edge", {"listeners": [{"name": "http", "port": 8080}]})
    server.hears({"edge.yaml": plain})

    assert not server.admission.world.secrets
    assert ("Secret", "", "edge/cert") not in server.rows
    server.hears(files(OLD))
    assert not server.admission.problems


def test_a_certificate_that_comes_to_its_end_is_a_warning_and_then_an_error_and_is_served_all_the_same() -> None:
    server = Server(folder(ONE))
    assert server.admission.wake_at == NOON + timedelta(days=76)

    server.waits(timedelta(days=76))
    assert problems(server) == [
        (
            Reason.CERTIFICATE_EXPIRES,
            Severity.WARNING,
            "the certificate of certs/edge.pem ends 2027-02-21 12:00 UTC",
        )
    ]
    assert server.admission.wake_at == NOON + timedelta(days=90)

    server.waits(timedelta(days=14))
    [problem] = server.admission.problems
    assert (problem.severity, served(server)) == (Severity.ERROR, ONE.certificate)
    assert "the one that has expired is served" in problem.fix
    assert server.admission.wake_at is None


def test_a_certificate_of_tomorrow_is_served_from_tomorrow_on() -> None:
    tomorrow = self_signed("shop.test", begins=NOON + timedelta(days=1))
    server = Server(folder(ONE))
    server.hears(files(tomorrow))
    assert served(server) == ONE.certificate

    assert server.admission.wake_at is not None
    server.waits(server.admission.wake_at - NOON)
    assert served(server) == tomorrow.certificate
    assert not server.admission.problems


def test_nothing_shows_the_private_key() -> None:
    server = Server(folder(ONE))

    assert "PRIVATE" not in repr(server.admission.world.secrets["edge/cert"])
    assert not any("PRIVATE" in str(each) for each in Server(folder(OLD)).admission.problems)
