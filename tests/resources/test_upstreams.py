from typing import Any

from xds_server.records.models import API_VERSION, Build, Protocol
from xds_server.resources.upstreams import UNPLACED, upstream


def placed(name: str, **spec: Any) -> Build:
    said = {"app": "shop", "component": "web", "build": "b1", "endpoints": {"addresses": []}, **spec}
    return Build.model_validate({"apiVersion": API_VERSION, "kind": "Build", "metadata": {"name": name}, "spec": said})


def test_what_no_record_places_is_spoken_to_in_http1() -> None:
    assert upstream([]) == UNPLACED
    assert UNPLACED.protocol is Protocol.HTTP1


def test_endpoints_are_no_part_of_it() -> None:
    assert upstream([placed("a")]) == upstream([placed("a", endpoints={"addresses": ["10.0.0.1:80"]})])


def test_every_name_that_dns_resolves_is() -> None:
    records = [placed("a", endpoints={"dns": "b.internal:80"}), placed("b", endpoints={"dns": "a.internal:80"})]

    assert upstream(records).dns == ("a.internal:80", "b.internal:80")


def test_secrets_are_those_of_its_first_record() -> None:
    tls = {"serverName": "web.internal", "ca": "ca.pem"}

    assert upstream([placed("a", tls=tls), placed("b", tls=tls)]).record == placed("a").ref
    assert upstream([placed("a")]).record is None
