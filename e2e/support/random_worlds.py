"""Worlds and requests by chance, from a small vocabulary: near misses and collisions are what they are for."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from e2e.support.records import Build, Document, deployment, gateway, record

GATEWAYS: Final[Mapping[str, dict[str, Any]]] = {
    "all": {},
    "header": {"explicit": {"header": "x-v"}, "http": {"underscores": "allow"}},
    "query": {"explicit": {"query": "v"}, "http": {"underscores": "drop", "trustedHops": 1}},
    "denied": {"explicit": {"access": "denied", "host": "{deployment}.p.test", "header": "x-v", "query": "v"}},
    "none": {"explicit": None},
    "redirect": {"redirect": {"port": 8443}},
}
"""Every kind of gateway that there is as far as choices go; `redirect` is its listener's."""
SERVING = tuple(name for name, spec in GATEWAYS.items() if "redirect" not in spec)
ALL = {"explicit": {"host": "{deployment}.p.test", "header": "x-v", "query": "v"}}

COMPONENTS = ("web", "cart", "api")
HOSTS = ("a.test", "b.a.test", "shop.test", "*.a.test", "*.b.a.test", "*.shop.test", "*.test")
PATHS = ("/", "/cart", "/cart/items", "/reviews", "/c", "/a%20b", "/cart.v1")
REGEXES = ("/items/[0-9]+", "/cart(/.*)?", "/[a-z]+", "/.*", "/(?i:CART)", r"/\w+/\w+", "/[^/]*")
SPELLINGS = (
    "%2fx",
    "%5Cx",
    "\\x",
    "/./x",
    "/../c",
    "/%2e%2E/cart",
    "//x",
    ";a=1",
    ".v1",
    "%",
    "%4%31",
    "|",
    '"',
    "%00",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
ODD_METHODS = ("get", "Post", "FOO", "QUERY", "M-SEARCH", "PURGE", "TRACE", "MKCOL")
"""Some that Envoy's HTTP/1 codec knows, and some that it does not."""
HEADERS = ("x-a", "x-b", "x-group", "x_u", "host", "user-agent", "cookie", "x-forwarded-proto")
PARAMETERS = ("q", "beta", "v", "a b", "é", "q.x")
COOKIES = ("c", "beta", "user")
VALUES = ("1", "true", "a", "ab", "b", "b,a", "é", "a b", "a%20b", "a+b", 'x"y')
PATTERNS = ("a.*", "[0-9]+", "true|1", ".*", "(?:a|b)+", "[^,]*", ".+b", "a")
UNSEEN = ("connect-failure", "refused-stream", "reset-before-request")
SEEN = ("5xx", "reset", "gateway-error", "retriable-4xx", "unavailable")
"""With `UNSEEN`, the conditions under which a request is tried again: by these an application may have seen it."""
HASHES = ({"header": "x-a"}, {"cookie": {"name": "c"}}, {"query": "q"}, {"sourceIp": True})
SELECTORS = ("x-v", "x-xds-server-explicit")
LOOPBACK = "127.0.0.1"
PROBE = "probe.test"
"""A host of every world, whose rule names the world."""


def maybe(dice: random.Random, chance: float = 0.5) -> bool:
    return dice.random() < chance


def some(dice: random.Random, words: Sequence[str], most: int) -> list[str]:
    return dice.sample(words, dice.randint(0, min(most, len(words))))


@dataclass(frozen=True, slots=True)
class Request:
    """What goes over the socket, byte by byte."""

    method: str
    target: bytes
    lines: tuple[tuple[bytes, bytes], ...]

    def wire(self) -> bytes:
        head = [self.method.encode() + b" " + self.target + b" HTTP/1.1"]
        head += [name + b": " + value for name, value in self.lines]
        return b"\r\n".join([*head, b"connection: close", b"content-length: 0", b"", b""])


@dataclass(frozen=True, slots=True)
class Pair:
    """A world, and a request to one of its gateways. As text it is a file of `e2e/pairs`, which is tried again."""

    world: Sequence[Document]
    gateway: str
    request: Request

    def text(self) -> str:
        lines = [[_latin(name), _latin(value)] for name, value in self.request.lines]
        asked = {"gateway": self.gateway, "method": self.request.method, "target": _latin(self.request.target)}
        return yaml.safe_dump_all([{**asked, "lines": lines}, *self.world], sort_keys=False, allow_unicode=True)


def read_pair(text: str) -> Pair:
    asked, *world = yaml.safe_load_all(text)
    lines = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in asked["lines"])
    return Pair(world, asked["gateway"], Request(asked["method"], asked["target"].encode("latin-1"), lines))


def _latin(text: bytes) -> str:
    return text.decode("latin-1")


def gateways(ports: Mapping[str, int]) -> list[Document]:
    made = [gateway(name, ports[name], **(ALL | spec)) for name, spec in GATEWAYS.items()]
    for each in made:
        redirect = each["spec"].pop("redirect", None)
        each["spec"]["listeners"][0] |= {"redirect": redirect} if redirect else {}
    return made


def in_namespace(document: Document, namespace: str) -> Document:
    """The record there, which names the gateways by their whole names."""
    spec = dict(document["spec"])
    if "gateways" in spec:
        spec["gateways"] = [f"default.{each}" for each in spec["gateways"]]
    return document | {"metadata": {**document["metadata"], "namespace": namespace}, "spec": spec}


def word_of(document: Document) -> str:
    metadata = document["metadata"]
    return ".".join([metadata["namespace"], metadata["name"]] if "namespace" in metadata else [metadata["name"]])


def placed(app: str, component: str, build: str, *, draining: bool = False) -> Document:
    """Where the build runs is for whoever runs it to say."""
    return Build(app, component, build).record([{"address": f"{LOOPBACK}:1", "draining": draining}])


def probe(serial: int) -> list[Document]:
    app = f"probe{serial}"
    audience = {"name": f"world-{serial}", "hosts": [PROBE], "deployment": f"{app}-v1"}
    spec = {"app": app, "gateways": list(SERVING), "audiences": [audience]}
    routed = {"web": {"build": "b1", "routes": [{}]}}
    return [placed(app, "web", "b1"), deployment(app, "v1", routed), record("Release", app, spec)]


class Worlds:
    """Makes one world after another; their names differ, so that each may follow any."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def world(self, serial: int) -> list[Document]:
        """Records but for the gateways. A request to `PROBE` tells when they are live."""
        dice = self._dice
        hosts = list(HOSTS)
        dice.shuffle(hosts)
        found = probe(serial)
        for app in (f"one{serial}", f"two{serial}")[: dice.randint(1, 2)]:
            ours = [hosts.pop() for _ in range(dice.randint(1, 3))]
            made = self._app(app, ours)
            found += [in_namespace(each, "prod") for each in made] if maybe(dice, 0.25) else made
        return found

    def _app(self, app: str, hosts: list[str]) -> list[Document]:
        versions = [f"v{number}" for number in range(1, self._dice.randint(1, 4) + 1)]
        return [
            *(self._deployment(app, version) for version in versions),
            *(placed(app, component, build) for component in COMPONENTS for build in ("b1", "b2")),
            self._deployment(app, "bare", "b3"),
            placed(app, "web", "b3", draining=True),
            self._release(app, [f"{app}-{version}" for version in versions], hosts),
        ]

    def _deployment(self, app: str, version: str, build: str = "") -> Document:
        dice = self._dice
        rules = {str(rule): rule for rule in (self._rule() for _ in range(dice.randint(1, 8)))}
        if maybe(dice):
            rules[str({"pathPrefix": "/"})] = {"pathPrefix": "/"}
        components: dict[str, Any] = {}
        for rule in rules.values():
            name = dice.choice(COMPONENTS[: 2 if build else 3])
            components.setdefault(name, {"build": build or dice.choice(("b1", "b2")), "routes": []})
            components[name]["routes"].append(rule)
        for component in components.values():
            component["policy"] = self._policy()
        return deployment(app, version, components)

    def _policy(self) -> dict[str, Any]:
        """None of it changes what a request gets that is answered at once; half of the retries split a rule in two."""
        dice = self._dice
        found: dict[str, Any] = {}
        if maybe(dice, 0.7):
            conditions = [dice.choice(UNSEEN), dice.choice(SEEN)] if maybe(dice, 0.7) else some(dice, UNSEEN + SEEN, 3)
            found["retries"] = {"attempts": dice.choice((0, 1, 2)), "on": conditions}
            found["retries"] |= {"methods": "any"} if maybe(dice, 0.2) else {}
        if maybe(dice, 0.3):
            found |= {"loadBalancer": dice.choice(("ring_hash", "maglev")), "hash": dice.choice(HASHES)}
        if maybe(dice, 0.3):
            found |= {"timeout": dice.choice(("0s", "30s")), "upgrades": dice.choice(([], ["websocket"]))}
        return found

    def _rule(self) -> dict[str, Any]:
        dice = self._dice
        rule: dict[str, Any] = dice.choice(
            (
                {"path": dice.choice(PATHS)},
                {"pathPrefix": dice.choice(PATHS)},
                {"pathPrefix": dice.choice(PATHS)},
                {"pathRegex": dice.choice(REGEXES)},
                {"pathPrefix": "/"},
            )
        )
        if maybe(dice, 0.25):
            rule["methods"] = dice.sample(METHODS, dice.randint(1, 3))
        if maybe(dice, 0.35):
            rule["headers"] = [self._header() for _ in range(dice.randint(1, 2))]
        if maybe(dice, 0.35):
            rule["query"] = [self._condition(PARAMETERS, ("exact", "prefix", "regex", "present"))]
        return rule

    def _header(self) -> dict[str, Any]:
        kinds = ("exact", "prefix", "suffix", "contains", "regex", "present")
        found = self._condition(HEADERS, kinds)
        return found | ({"invert": True} if maybe(self._dice, 0.25) else {})

    def _condition(self, names: Sequence[str], kinds: Sequence[str]) -> dict[str, Any]:
        dice = self._dice
        kind = dice.choice(kinds)
        value: Any = dice.choice(PATTERNS if kind == "regex" else VALUES)
        if kind == "present":
            value = maybe(dice)
        elif kind == "exact" and maybe(dice, 0.1):
            value = ""
        return {"name": dice.choice(names), kind: value}

    def _release(self, app: str, deployments: list[str], hosts: list[str]) -> Document:
        dice = self._dice
        audiences = [self._audience(index, dice.choice(deployments), hosts) for index in range(dice.randint(0, 4))]
        spec: dict[str, Any] = {"app": app, "gateways": self._gateways(), "audiences": audiences}
        if maybe(dice, 0.8) or not any("hosts" in each for each in audiences):
            spec |= {"hosts": hosts[:2], "default": self._shares(deployments)}
            spec |= dice.choice(({}, {"sticky": {"cookie": "user"}}, {"sticky": {"header": "x-a"}}))
        return record("Release", app, spec)

    def _gateways(self) -> list[str]:
        names = list(SERVING)
        return names if maybe(self._dice, 0.8) else self._dice.sample(names, 3)

    def _shares(self, deployments: list[str]) -> list[dict[str, Any]]:
        dice = self._dice
        cuts = sorted(dice.choice((0, 1, 5000, dice.randint(0, 10000))) for _ in deployments[1:])
        weights = [high - low for low, high in zip([0, *cuts], [*cuts, 10000], strict=True)]
        return [{"deployment": name, "weight": weight / 100} for name, weight in zip(deployments, weights, strict=True)]

    def _audience(self, index: int, to: str, hosts: list[str]) -> dict[str, Any]:
        dice = self._dice
        found: dict[str, Any] = {"name": f"rule-{index}", "deployment": to}
        if maybe(dice, 0.3):
            found["hosts"] = [dice.choice(hosts)]
        if "hosts" not in found or maybe(dice):
            found["match"] = self._match()
        if maybe(dice, 0.15):
            found["until"] = dice.choice(("2020-01-31", "2999-12-31"))
        return found

    def _match(self) -> dict[str, Any]:
        dice = self._dice
        usual = ("exact", "prefix", "present")
        kinds = {
            "headers": self._header,
            "query": lambda: self._condition(PARAMETERS, usual),
            "cookies": lambda: self._condition(COOKIES, usual),
        }
        chosen = dice.sample(sorted(kinds), dice.choice((1, 1, 2)))
        return {kind: [kinds[kind]() for _ in range(dice.choice((1, 1, 2)))] for kind in chosen}


class Requests:
    """Makes requests that nearly meet what a world asks for; `doubled`: some headers come on several lines."""

    def __init__(self, dice: random.Random, world: Sequence[Document], *, doubled: bool = True) -> None:
        self._dice = dice
        self._deployments: list[str] = [word_of(each) for each in world if each["kind"] == "AppDeployment"]
        releases = [each["spec"] for each in world if each["kind"] == "Release"]
        hosts: list[str] = [
            host for spec in releases for part in (spec, *spec["audiences"]) for host in part.get("hosts", ())
        ]
        self._hosts: list[str] = [*hosts * 8, *HOSTS]
        self._doubled = doubled

    def request(self) -> Request:
        dice = self._dice
        method = "GET" if maybe(dice, 0.5) else dice.choice((*METHODS, *ODD_METHODS) if maybe(dice, 0.1) else METHODS)
        lines = [("host", self._host()), ("x-request-id", self._user())]
        names = [dice.choice(HEADERS[: 4 if maybe(dice, 0.1) else 3]) for _ in range(dice.randint(0, 3))]
        lines += [(name, self._value()) for name in (names if self._doubled else sorted({*names}))]
        if maybe(dice, 0.4):
            lines += [("cookie", self._cookies()) for _ in range(dice.choice((1, 1, 2)) if self._doubled else 1)]
        if maybe(dice, 0.2):
            lines += [(dice.choice(SELECTORS), self._deployment()) for _ in range(dice.choice((1, 1, 1, 2)))]
        if maybe(dice, 0.1):
            lines.append(("user-agent", self._value()))
        if maybe(dice, 0.05):
            lines.append(("x-forwarded-proto", dice.choice(("http", "https"))))
        wired = tuple((self._name(name), value.encode()) for name, value in lines)
        return Request(method, self._path() + self._query(), wired)

    def _name(self, name: str) -> bytes:
        return (name.title() if maybe(self._dice, 0.2) else name).encode()

    def _host(self) -> str:
        dice = self._dice
        host = dice.choice(self._hosts).replace("*", dice.choice(("x", "b", "x.y", "shop", "")))
        if maybe(dice, 0.25):
            host = f"{self._deployment().strip()}{dice.choice(('.p.test', '.p.test', '.p.test', '.test'))}"
        if maybe(dice, 0.1):
            host = host.swapcase()
        return host + (dice.choice((":80", ":8080", ":")) if maybe(dice, 0.2) else "")

    def _deployment(self) -> str:
        dice = self._dice
        found = dice.choice(self._deployments)
        written = (found, found, found, found, found.upper(), f"{found}x", "", f" {found} ")
        return dice.choice(written)

    def _value(self) -> str:
        dice = self._dice
        value = dice.choice(VALUES)
        return dice.choice((value, value, value, "", value.upper(), f"{value}{dice.choice(VALUES)}", f"  {value}"))

    def _user(self) -> str:
        dice = self._dice
        slot = dice.choice((0, 1, 0x7FFF, 0x8000, 0xFFFF, dice.randint(0, 0xFFFF)))
        user = f"{slot:04x}{dice.getrandbits(16):04x}-1111-4222-8333-{dice.getrandbits(48):012x}"
        return user if maybe(dice, 0.9) else dice.choice((user.upper(), user[:20], f"x{user}"))

    def _cookies(self) -> str:
        dice = self._dice
        pairs = []
        for name in some(dice, (*COOKIES, "user", "xuser"), 3):
            value = self._user() if "user" in name else dice.choice((*VALUES[:4], "", '"a"', "true;x"))
            pairs.append(f"{name}={value}")
        return dice.choice(("; ", ";", ",", " ; ")).join(pairs)

    def _path(self) -> bytes:
        """On the oldest Envoy dots with parameters (`..;a=1`) are no parent yet."""
        dice = self._dice
        path = dice.choice((*PATHS, "/items/12", "/items/x", "/Cart", "/cartx", "/reviews/1/2"))
        if maybe(dice, 0.3):
            path += dice.choice(("/", "x", "/x", "/items", *SPELLINGS))
        if self._doubled and maybe(dice, 0.02):
            path += dice.choice(("/..;a=1/c", "/.;/x"))
        if maybe(dice, 0.15):
            path = self._encoded(path)
        return path.encode()

    def _encoded(self, text: str) -> str:
        """Some of its bytes percent-encoded; `/` stays the first."""
        dice = self._dice
        bare = [f"%{byte:02{dice.choice('xX')}}" if maybe(dice, 0.3) else chr(byte) for byte in text[1:].encode()]
        return text[0] + "".join(char if char.isascii() else f"%{ord(char):02x}" for char in bare)

    def _query(self) -> bytes:
        dice = self._dice
        if maybe(dice, 0.4):
            return b""
        pairs = [self._parameter() for _ in range(dice.choice((0, 1, 1, 2, 3)))]
        return ("?" + "&".join(pairs)).encode()

    def _parameter(self) -> str:
        dice = self._dice
        name = dice.choice((*PARAMETERS, "v"))
        value = self._deployment().strip() if name == "v" else self._value().strip()
        written = [self._encoded("x" + text)[1:].replace(" ", dice.choice(("%20", "+"))) for text in (name, value)]
        written = [each.replace("é", "%C3%A9").replace("\n", "") for each in written]
        return written[0] if maybe(dice, 0.1) else "=".join(written)
