"""Our definitions against those that Envoy itself was built from: its binary holds them."""

from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_database import DescriptorDatabase
from google.protobuf.descriptor_pool import DescriptorPool

from tests.messages.arbitrary import MessageType, types_in_use
from tests.messages.binary import definitions
from xds_server.messages.descriptors import Definitions, full_name


class Essence(NamedTuple):
    """What the bytes and the JSON of a field depend on. The name of an enum is not part of it."""

    name: str
    number: int
    type: int
    repeated: bool
    oneof: str
    message: str


def essence(field: FieldDescriptor) -> Essence:
    return Essence(
        name=field.name,
        number=field.number,
        type=field.type,
        repeated=field.is_repeated,
        oneof=field.containing_oneof.name if field.containing_oneof else "",
        message=field.message_type.full_name if field.message_type else "",
    )


def values(field: FieldDescriptor) -> set[tuple[int, str]]:
    return {(value.number, value.name) for value in field.enum_type.values} if field.enum_type else set()


@pytest.fixture(scope="module")
def envoy() -> DescriptorPool:
    binary = resources.files("envoy").joinpath("_bin", "envoy")
    assert isinstance(binary, Path)
    database = DescriptorDatabase()
    for file in definitions(binary).values():
        database.Add(file)
    return DescriptorPool(database)


@pytest.fixture(scope="module")
def ours() -> DescriptorPool:
    return DescriptorPool(Definitions())


@pytest.mark.parametrize("cls", types_in_use(), ids=full_name)
def test_a_message_is_what_envoy_takes_it_for(cls: MessageType, ours: DescriptorPool, envoy: DescriptorPool) -> None:
    theirs = {field.number: field for field in envoy.FindMessageTypeByName(full_name(cls)).fields}
    for field in ours.FindMessageTypeByName(full_name(cls)).fields:
        assert essence(field) == essence(theirs[field.number])
        assert values(field) <= values(theirs[field.number])


@pytest.mark.parametrize(
    "symbol",
    [
        pytest.param("envoy.config.cluster.v3.Unheard", id="message-unknown-to-its-package"),
        pytest.param("envoy.config.unheard.v3.Cluster", id="unknown-package"),
        pytest.param("google.protobuf.Unheard", id="not-a-well-known-type"),
        pytest.param("nonsense", id="no-package"),
    ],
)
def test_an_unknown_symbol_is_a_key_error(symbol: str, ours: DescriptorPool) -> None:
    with pytest.raises(KeyError):
        ours.FindMessageTypeByName(symbol)


def test_a_package_that_nobody_imported_is_found_by_name(ours: DescriptorPool) -> None:
    found = ours.FindMessageTypeByName("envoy.extensions.filters.http.cors.v3.CorsPolicy")
    assert "allow_credentials" in found.fields_by_name
