"""Failures that are nobody's input. A fault in a record is a `Problem`, not one of these."""

from collections.abc import Iterator


class XdsServerError(Exception):
    """Base of every exception that this server raises on purpose."""


class SourceUnavailable(XdsServerError):
    """Records cannot be read now. What was read before stays in force; try again."""


class StateUnwritable(XdsServerError):
    """The state directory cannot be written now: its disk is full, say. What has to be written first is not done."""


class PeerMisbehaved(XdsServerError):
    """An xDS client broke the protocol. Its stream is closed with a gRPC status; nobody else is affected."""


def leaves(failures: BaseExceptionGroup[XdsServerError]) -> Iterator[XdsServerError]:
    """The failures themselves, out of the groups of the tasks in which they happened."""
    for each in failures.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from leaves(each)
        else:
            yield each
