"""Bytes as a file of records, mutated by what they reach in our code: `python -m tests.fuzz.texts FOLDER [OPTION...]`.

FOLDER is where inputs are kept that reach something new; options are libFuzzer's (`-max_total_time=600`). The run ends
with the first input that raises, takes longer than `-timeout` seconds or more memory than `-rss_limit_mb`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore] # no wheel but for 3.11

with atheris.instrument_imports(include=["xds_server"], enable_loader_override=False):
    from tests.fuzz.road import admitted, travelled
    from xds_server.records.models import KINDS

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 1 << 16
LIMITS = ("-timeout=5", "-rss_limit_mb=2048", f"-max_len={LARGEST}")


def one_input(data: bytes) -> None:
    """A file that is not UTF-8 is never read as text."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return
    travelled(admitted(text))


def seeds() -> Iterator[bytes]:
    """Every document that we ship or test with: alone, and with the others of its folder."""
    folders = [ROOT / "manifests", *sorted((ROOT / "tests" / "cases").iterdir()), ROOT / "tests" / "records"]
    for folder in folders:
        texts = [file.read_bytes() for file in sorted(folder.rglob("*.yaml"))]
        yield from texts
        yield b"\n---\n".join(texts)[:LARGEST]


def words() -> Iterator[str]:
    """What a mutation may write: the fields and words of the records, and of YAML."""
    yield from ("---\n", ": ", "- ", "{", "}", "[", "]", "&a ", "*a", "!!str ", "|\n", '"', "'", "\\", "#", "~", "<<: ")
    for model in KINDS.values():
        yield from _words(model.model_json_schema(by_alias=True))


def _words(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        yield from (word for word in schema.get("enum", ()) if isinstance(word, str))
        for inner in schema.values():
            yield from _words(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _words(inner)


def prepared(folder: Path) -> list[str]:
    """The arguments of a run that begins with our documents and knows our words."""
    corpus, dictionary = folder / "corpus", folder / "words.dict"
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds()):
        (corpus / f"seed-{index}").write_bytes(seed)
    dictionary.write_text("".join(f"{_quoted(word)}\n" for word in sorted({*words()})))
    return [str(corpus), f"-dict={dictionary}", f"-artifact_prefix={folder}/", *LIMITS]


def _quoted(word: str) -> str:
    return json.dumps(word).replace("\\n", "\\x0a")


def main() -> None:
    folder, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *prepared(Path(folder)), *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
