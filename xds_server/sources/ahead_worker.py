"""The process that reads a folder ahead: `python -m xds_server.sources.ahead_worker FOLDER`.

On its standard output it says of each text what its documents say (`ahead.HEAD`). It ends when it has read all files.
"""

import sys

from xds_server.records.plain import handed_over
from xds_server.records.reading import Readable
from xds_server.sources.ahead import HEAD, digest, record_files
from xds_server.sources.contents import read_file


def main() -> None:
    folder = sys.argv[1]
    for path in sorted(record_files(folder), reverse=True):
        try:
            said = _said(f"{folder}/{path}")
        except Exception:  # noqa: BLE001, S112 - whatever it is, the server meets it when it reads this file itself
            continue
        sys.stdout.buffer.write(said)


def _said(path: str) -> bytes:
    content = read_file(path).content
    if not isinstance(content, Readable):
        return b""
    documents = handed_over(content.text)
    return HEAD.pack(digest(content.text), len(documents)) + documents


if __name__ == "__main__":
    main()
