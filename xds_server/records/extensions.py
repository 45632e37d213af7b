"""Which extensions a record asks for: `metadata.annotations: {"xds-server.dev/extension": "NAME[,NAME]"}`."""

from xds_server.records.models import Record

ANNOTATION = "xds-server.dev/extension"


def extensions_of(record: Record) -> tuple[str, ...]:
    """Their names, in the order in which they are called."""
    annotations = record.metadata.annotations
    if ANNOTATION not in annotations:
        return ()
    names = (name.strip() for name in annotations[ANNOTATION].split(","))
    return tuple(dict.fromkeys(name for name in names if name))
