"""Certificates and keys that records name: read from files beside them; the last good ones stay in force.

A record names files; what they hold changes without the record, whenever a certificate is renewed. So a secret has a
last good of its own: one that cannot be used is a problem of the record that names it, and what was served before
stays. It is saved with the records in force, and is in no log and no report.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from immutables import Map

from xds_server.domain import names
from xds_server.domain.names import Ref
from xds_server.records.models import Build, Gateway, Record
from xds_server.records.pem import KeyFault, PemFault, check_authorities, check_pair
from xds_server.records.reading import Readable, Unreadable
from xds_server.records.yaml import FieldPath

Files = Map[str, Readable | Unreadable]


@dataclass(frozen=True, slots=True)
class Secret:
    """A certificate chain with its key, or the authorities that are trusted; PEM. `gateway`: only it may have it."""

    expires: datetime
    certificate: str = ""
    private_key: str = field(default="", repr=False)
    authorities: str = ""
    gateway: Ref | None = None


class Use(NamedTuple):
    """A record names files for the secret that Envoy knows by `name`: a pair, or authorities.

    `path` leads to the mapping in which they are named.
    """

    name: str
    path: FieldPath
    certificate: str = ""
    private_key: str = ""
    authorities: str = ""
    gateway: Ref | None = None

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(each for each in (self.certificate, self.private_key, self.authorities) if each)


class SecretFault(NamedTuple):
    """What is wrong with one of the files of a use."""

    path: FieldPath
    what: str
    fix: str
    until: datetime | None = None


USERS = ("Build", "Gateway")
"""The kinds of records that may name secrets."""


def uses(record: Record) -> tuple[Use, ...]:
    """The secrets that a record names."""
    if isinstance(record, Build):
        return tuple(_of_build(record))
    if isinstance(record, Gateway):
        return tuple(
            Use(
                names.secret(record.ref, name),
                ("spec", "secrets", name),
                certificate=files.certificate,
                private_key=files.private_key,
                gateway=record.ref,
            )
            for name, files in sorted(record.spec.secrets.items())
        )
    return ()


def _of_build(record: Build) -> Iterator[Use]:
    tls = record.spec.tls
    if tls is not None and tls.ca is not None:
        yield Use(names.trust(record.ref), ("spec", "tls"), authorities=tls.ca)
    if tls is not None and tls.certificate is not None and tls.private_key is not None:
        pair = tls.certificate, tls.private_key
        yield Use(names.identity(record.ref), ("spec", "tls"), *pair)


def read(use: Use, files: Files, now: datetime) -> Secret | SecretFault:
    """The secret as its files say it now."""
    texts = {}
    for name, path in (("certificate", use.certificate), ("privateKey", use.private_key), ("ca", use.authorities)):
        content = files.get(path) if path else Readable("")
        if not isinstance(content, Readable):
            why = "is not in the folder of the records" if content is None else content.why
            fix = "Put it there, or a link to it; paths are relative to that folder"
            return SecretFault((*use.path, name), f"the file {path} {why}", fix)
        texts[name] = content.text
    try:
        if use.authorities:
            return Secret(check_authorities(texts["ca"], now), authorities=texts["ca"], gateway=use.gateway)
        expires = check_pair(texts["certificate"], texts["privateKey"], now)
    except PemFault as fault:
        name, path = _at_fault(use, fault)
        return SecretFault((*use.path, name), f"the file {path} {fault.what}", fault.fix, fault.until)
    return Secret(expires, texts["certificate"], texts["privateKey"], gateway=use.gateway)


def _at_fault(use: Use, fault: PemFault) -> tuple[str, str]:
    if use.authorities:
        return "ca", use.authorities
    return ("privateKey", use.private_key) if isinstance(fault, KeyFault) else ("certificate", use.certificate)


def saved(secret: Secret) -> str:
    """For the state directory."""
    said = {
        "expires": secret.expires.isoformat(),
        "certificate": secret.certificate,
        "privateKey": secret.private_key,
        "ca": secret.authorities,
        "gateway": secret.gateway,
    }
    return json.dumps(said, separators=(",", ":"))


def restored(document: str) -> Secret:
    said = json.loads(document)
    return Secret(
        datetime.fromisoformat(said["expires"]),
        said["certificate"],
        said["privateKey"],
        said["ca"],
        Ref(*said["gateway"]) if said["gateway"] else None,
    )
