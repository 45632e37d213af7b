"""What a release says, as one short word: equal contents are equal on every server and in every file."""

import json
from hashlib import blake2b

from xds_server.records.documents import Document, Key

DIGITS = 32
"""Of a whole content, in hexadecimal."""
SHOWN = 12
"""Digits that people are shown."""
SHORTEST = 8
"""Digits that are enough to name one."""


def content_of(key: Key, canonical: str) -> str:
    """`canonical` is the record's document as admission keeps it. Labels and the like are no content."""
    said = {"release": key.ref.word, "spec": json.loads(canonical)["spec"]}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return blake2b(text.encode(), digest_size=DIGITS // 2).hexdigest()


def document_content(document: Document) -> str | None:
    """The content of a release that a document states; None if it states none, or a broken one."""
    if document.key is None or document.key.kind != "Release" or document.record is None:
        return None
    return content_of(document.key, document.content)


def short(content: str) -> str:
    return content[:SHOWN]
