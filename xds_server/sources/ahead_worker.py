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
        content = read_file(f"{folder}/{path}").content
        if isinstance(content, Readable):
            said = handed_over(content.text)
            sys.stdout.buffer.write(HEAD.pack(digest(content.text), len(said)) + said)


if __name__ == "__main__":
    main()
