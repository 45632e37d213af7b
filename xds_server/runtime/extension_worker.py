"""The process in which a module's extensions run: `python -m xds_server.runtime.extension_worker MODULE FUNCTION...`.

It is given one order a line on its standard input, and says on its standard output, a line each, how far it is:

    {"takes": {FUNCTION: TYPE, ...}}              once: they are loaded
    {"step": "calling"}, {"step": "called"}       between these two the extension runs
    {"body": ENCODED}, or {"fault": WHY, "where": FILE AND LINE}

What extensions themselves print goes to standard error. The process ends with its standard input, so that it does not
outlive a server that was killed.
"""

import importlib
import inspect
import json
import os
import sys
import threading
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from types import ModuleType
from typing import Any, NamedTuple, get_type_hints

from xds_server.extension import Context
from xds_server.messages.dataclasses import Dataclass, dataclass_url, explore, parsed, warm_up, written
from xds_server.resources.extensions import TAKES
from xds_server.snapshot import kind_of

LONGEST = 300
"""Characters of what an exception says."""

Say = Callable[[dict[str, Any]], None]


class NoExtension(Exception):
    """What was named is not an extension."""


class Loaded(NamedTuple):
    """An extension: the function, the type that it takes, and the file that it is in."""

    function: Callable[..., object]
    takes: type[Dataclass]
    file: str


def load(module_name: str, names: Iterable[str]) -> dict[str, Loaded]:
    module = importlib.import_module(module_name)
    loaded = {name: loaded_from(module, name) for name in names}
    for used in (*vars(module).values(), *(each.takes for each in loaded.values())):
        if dataclass_url(used):
            warm_up(used)  # now, and not in the time that the first call has
    return loaded


def loaded_from(module: ModuleType, name: str) -> Loaded:
    function = getattr(module, name, None)
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        raise NoExtension(f"{module.__name__} has no function {name!r}")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise NoExtension(f"{name} must take two arguments: the resource and its context") from None
    takes = get_type_hints(function).get(next(iter(inspect.signature(function).parameters)))
    if takes is None or dataclass_url(takes) not in TAKES:
        kinds = ", ".join(kind_of(url) for url in TAKES)
        raise NoExtension(f"the first parameter of {name} must be annotated with one of envoy_data_plane's {kinds}")
    return Loaded(function, takes, inspect.getfile(function))


def prepare(extension: Loaded, order: dict[str, Any]) -> None:
    """What only the first message of each type costs is not to count as the extension's own time."""
    with suppress(Exception):
        explore(parsed(extension.takes, b64decode(order["body"])))


def answer(extension: Loaded, order: dict[str, Any], say: Say) -> None:
    try:
        message = parsed(extension.takes, b64decode(order["body"]))
        say({"step": "calling"})
        given = extension.function(message, Context(**order["context"]))
        say({"step": "called"})
        changed = message if given is None else given
        if not isinstance(changed, extension.takes):
            say({"fault": f"gave a {type(changed).__name__}, not a {extension.takes.__name__}", "where": ""})
            return
        say({"body": b64encode(written(changed)).decode()})
    except Exception as error:  # noqa: BLE001 - whatever an extension raises is told to the server
        say({"fault": said(error), "where": place(error, extension.file)})


def said(error: Exception) -> str:
    """The end of its traceback, in one line."""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def place(error: Exception, file: str) -> str:
    """Where in the extension's own file it was, or else where it was at all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def _orders() -> Iterator[str]:
    """Lines as they come. The thread hears the end of the input even while the extension runs."""
    lines = SimpleQueue[str]()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


def main() -> None:
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as pipe:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

        def say(line: dict[str, Any]) -> None:
            print(json.dumps(line), file=pipe, flush=True)

        sys.path.append(os.getcwd())  # noqa: PTH109 - last, so that no file there hides a module of Python
        try:
            extensions = load(sys.argv[1], sys.argv[2:])
        except NoExtension as error:
            say({"fault": str(error)})
        except Exception as error:  # noqa: BLE001 - whatever a module raises when it is imported
            say({"fault": said(error)})
        else:
            say({"takes": {name: dataclass_url(each.takes) for name, each in extensions.items()}})
            unprepared = set(extensions)
            for line in _orders():
                order = json.loads(line)
                name = order["function"]
                if name in unprepared:
                    prepare(extensions[name], order)
                    unprepared.remove(name)
                answer(extensions[name], order, say)


if __name__ == "__main__":
    main()
