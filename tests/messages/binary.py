"""The definitions that an Envoy was built from: its binary holds them."""

import re
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto

NAME_FIELD = 0x0A
LENGTH_DELIMITED = 2


def definitions(envoy: Path) -> dict[str, FileDescriptorProto]:
    """By file name. Envoy has most files twice, with other options: the first counts."""
    binary = envoy.read_bytes()
    files: dict[str, FileDescriptorProto] = {}
    for name in re.finditer(rb"\n([\x0a-\x7f])[a-z0-9_/]+\.proto", binary):
        if len(name[0]) == 2 + name[1][0]:
            file = FileDescriptorProto.FromString(binary[name.start() : _end_of_file(binary, name.start())])
            files.setdefault(file.name, file)
    return files


def _end_of_file(binary: bytes, start: int) -> int:
    """The fields of a `FileDescriptorProto` that Envoy has are length-delimited and ascend, after one name."""
    end, last = start, NAME_FIELD
    while binary[end] & 7 == LENGTH_DELIMITED and last <= binary[end] and (end == start or binary[end] != NAME_FIELD):
        last = binary[end]
        size, shift, end = 0, 0, end + 1
        while binary[end] & 0x80:
            size, shift, end = size | (binary[end] & 0x7F) << shift, shift + 7, end + 1
        end += 1 + (size | binary[end] << shift)
    return end
