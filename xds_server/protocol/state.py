"""What one stream knows of one type, for people to read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from xds_server.protocol.channel import ABSENT, LASTING, Channel
from xds_server.snapshot import Resource, TypeUrl


class ResourceStatus(StrEnum):
    """How far a client has come with one resource. `stale`: it was sent another content, and has not answered."""

    SYNCED = "synced"
    STALE = "stale"
    NOT_SENT = "not sent"
    ERROR = "error"


class ResourceState(NamedTuple):
    """A resource as it concerns one client: the version that it is to have, or has."""

    name: str
    version: str
    status: ResourceStatus


@dataclass(frozen=True, slots=True)
class TypeProgress:
    """How far a client has come with one type, counted: of each, how many resources. `nonce` is that of the response
    that it has not answered, `refused` as of a `TypeState`."""

    held: int
    owed: int
    nonce: str
    refused: Mapping[str, str]

    @classmethod
    def of(cls, channel: Channel) -> Self:
        answer = channel.awaited
        return cls(
            held=channel.holding,
            owed=len({*_owed(channel), *(answer.news if answer else ())}),
            nonce=answer.nonce if answer else "",
            refused=channel.refused,
        )

    @property
    def in_sync(self) -> bool:
        """It has accepted all that it is to have."""
        return not (self.owed or self.refused)


@dataclass(frozen=True, slots=True)
class TypeState:
    """`held` is what the client accepted last, `owed` what it is to be sent yet, `awaited` what it was sent and has
    not answered, with `nonce`; `refused` the versions that it refused. A version of None: nothing is told of it now.
    """

    held: Mapping[str, Resource]
    owed: Mapping[str, str | None]
    awaited: Mapping[str, str | None]
    nonce: str
    refused: Mapping[str, str]

    @classmethod
    def of(cls, channel: Channel) -> Self:
        answer = channel.awaited
        return cls(
            held={name: each for name, each in channel.held.items() if each.version != ABSENT},
            owed={name: _version(channel.content(name)) for name in _owed(channel)},
            awaited={name: _version(each) for name, each in answer.news.items()} if answer else {},
            nonce=answer.nonce if answer else "",
            refused=dict(channel.refused),
        )

    def resources(self) -> Iterator[ResourceState]:
        """Everything that is wanted, held or refused, by name."""
        for name in sorted({*self.held, *self.owed, *self.awaited, *self.refused}):
            yield self._resource(name)

    def _resource(self, name: str) -> ResourceState:
        if name in self.refused:
            return ResourceState(name, self.refused[name], ResourceStatus.ERROR)
        if name in self.awaited:
            return ResourceState(name, self.awaited[name] or "", ResourceStatus.STALE)
        if name in self.owed:
            return ResourceState(name, self.owed[name] or "", ResourceStatus.NOT_SENT)
        return ResourceState(name, self.held[name].version, ResourceStatus.SYNCED)


def _owed(channel: Channel) -> set[str]:
    # What Envoy lets go of by itself is not owed, however long that takes.
    leaving = () if channel.kind in (*LASTING, TypeUrl.VIRTUAL_HOST) else channel.leaving
    return {*channel.due, *leaving, *channel.denied}


def _version(resource: Resource | None) -> str | None:
    return None if resource is None else resource.version
