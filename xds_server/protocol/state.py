"""What one stream knows of one type, for people to read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from xds_server.protocol.channel import ABSENT, Channel
from xds_server.snapshot import Resource


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
        owed = {*channel.due, *channel.leaving, *channel.denied}
        answer = channel.awaited
        return cls(
            held={name: each for name, each in channel.held.items() if each.version != ABSENT},
            owed={name: _version(channel.content(name)) for name in owed},
            awaited={name: _version(each) for name, each in answer.news.items()} if answer else {},
            nonce=answer.nonce if answer else "",
            refused=dict(channel.refused),
        )

    @property
    def in_sync(self) -> bool:
        """It has accepted all that it is to have."""
        return not (self.owed or self.awaited or self.refused)


def _version(resource: Resource | None) -> str | None:
    return None if resource is None else resource.version
