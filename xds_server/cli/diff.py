"""`xdsctl diff`: two folders of records, the second as a server that runs the first would take it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from xds_server.cli.folders import read_folder
from xds_server.difference.comparison import Difference, difference, served
from xds_server.records.admission import admit
from xds_server.records.admitted import Admission
from xds_server.records.reading import Batch, Readable, Unreadable

Content = Readable | Unreadable | None


def compared(old: Path, new: Path, now: datetime, *, allow_empty: bool) -> Difference:
    one, two = read_folder(old), read_folder(new)
    before = admit(Admission(), one, now, folder=str(old), allow_empty=True)
    # What is the same in both is not read again, so a small change of a large folder costs little.
    later = now + timedelta(seconds=1)  # of two deployments that share a build the older counts
    after = admit(before, Batch(_changed(one.files, two.files)), later, folder=str(new), allow_empty=allow_empty)
    running = served(before)
    return difference(running, served(after, running))


def _changed(before: Mapping[str, Content], after: Mapping[str, Content]) -> dict[str, Content]:
    gone: dict[str, Content] = dict.fromkeys(name for name in before if name not in after)
    return gone | {name: content for name, content in after.items() if before.get(name) != content}
