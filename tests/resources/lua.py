"""Our Lua filters in LuaJIT, as Envoy runs them, with a model of what Envoy gives to it (`handle.lua`)."""

from pathlib import Path

from lupa.luajit21 import LuaRuntime

HANDLE = Path(__file__).with_name("handle.lua").read_text("utf-8")

Line = tuple[str, str]
"""A header's name in lower case, and a value byte for byte, as latin-1."""


class Headers:
    """The header map that the filter has left, and what it told the access log."""

    def __init__(self, lines: list[Line], said: dict[str, str]) -> None:
        self.lines = lines
        self.said = said

    def of(self, name: str) -> list[str]:
        return [value for each, value in self.lines if each == name]


class Filter:
    """The filter, loaded once, as in a worker of Envoy."""

    def __init__(self, source: str) -> None:
        self._lua = LuaRuntime(encoding="latin-1", register_eval=False, register_builtins=False)
        self._lua.execute(source)
        self._lua.execute(HANDLE)

    @property
    def answers(self) -> bool:
        """It wants to see answers too."""
        return self._lua.globals().envoy_on_response is not None

    def request(self, route: str, *lines: Line) -> Headers:
        """What becomes of a request whose route has this name."""
        return self._run("envoy_on_request", route, lines)

    def answer(self, route: str, *lines: Line) -> Headers:
        return self._run("envoy_on_response", route, lines)

    def _run(self, hook: str, route: str, lines: tuple[Line, ...]) -> Headers:
        table = self._lua.table_from([self._lua.table_from(line) for line in lines])
        found, said = self._lua.globals().run(hook, route, table)
        return Headers([(line[1], line[2]) for line in found.values()], dict(said.items()))
