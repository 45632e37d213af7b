"""What extensions last made of each resource, as rows of the state directory."""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime

from xds_server.records.saved import EXTENDED, Row
from xds_server.resources.extensions import Slot


def extended_key(slot: Slot) -> tuple[str, str, str]:
    """As a row's kind, namespace and name. A space is in no type and in no gateway's name."""
    return EXTENDED, f"{slot.type_url} {slot.gateway}", slot.name


def extended_row(slot: Slot, body: bytes, now: datetime) -> Row:
    return Row(*extended_key(slot), b64encode(body).decode(), now)


def extended_in(rows: Iterable[Row]) -> Mapping[Slot, bytes]:
    return {_slot(row): b64decode(row.document) for row in rows if row.kind == EXTENDED}


def _slot(row: Row) -> Slot:
    type_url, _, gateway = row.namespace.partition(" ")
    return Slot(type_url, gateway, row.name)
