"""Write `xds_server/messages/since.json` from the binaries of every minor version of Envoy: `make since`.

For each version after the oldest supported: the messages, fields and enum values that it knows and the one before does
not. Of a message that is new itself only its own name is listed.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from e2e.install_envoy import ROOT, install
from tests.messages.binary import definitions

VERSIONS = ("1.36.4", "1.37.0", "1.38.3", "1.39.3", "1.40.0")
FILE = ROOT / "xds_server" / "messages" / "since.json"

Names = dict[str, str]
"""What an Envoy knows, and the message that has it (its own name for a message)."""


def known(envoy: Path) -> Names:
    files = definitions(envoy).values()
    values = {f".{enum}": found for file in files for enum, found in _enums(file)}
    return {
        name: message
        for file in files
        for prefix, each in _messages(file.package, file.message_type)
        for name, message in _names(prefix, each, values)
    }


def _messages(prefix: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for each in messages:
        name = f"{prefix}.{each.name}"
        yield name, each
        yield from _messages(name, each.nested_type)


def _enums(file: FileDescriptorProto) -> Iterator[tuple[str, list[str]]]:
    for enum in file.enum_type:
        yield f"{file.package}.{enum.name}", [value.name for value in enum.value]
    for name, message in _messages(file.package, file.message_type):
        for enum in message.enum_type:
            yield f"{name}.{enum.name}", [value.name for value in enum.value]


def _names(message: str, described: DescriptorProto, values: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    yield message, message
    for field in described.field:
        yield f"{message}.{field.name}", message
        for value in values.get(field.type_name, ()):
            yield f"{message}.{field.name}={value}", message


def news(before: Names, after: Names) -> list[str]:
    """What the later one knows and the earlier one does not."""
    return sorted(
        name
        for name, message in after.items()
        if name not in before
        and (name == message or message in before)
        and ("=" not in name or name.partition("=")[0] in before)
    )


def minor(version: str) -> str:
    return version.rpartition(".")[0]


def main() -> None:
    found = {version: known(install(version)) for version in VERSIONS}
    table = {minor(after): news(found[before], found[after]) for before, after in pairwise(VERSIONS)}
    FILE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
