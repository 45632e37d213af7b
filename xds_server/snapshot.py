"""What a proxy could be told: encoded once, versioned by content, and what changed since the last time."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum

from immutables import Map
from typing_extensions import override

from xds_server.domain.names import virtual_host, wildcards_over
from xds_server.domain.versions import OLDEST, Minor


class TypeUrl(StrEnum):
    """The resource types that this server speaks, in the order in which they are pushed (R28)."""

    CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type
    LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
    ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    VIRTUAL_HOST = "type.googleapis.com/envoy.config.route.v3.VirtualHost"


def kind_of(type_url: str) -> str:
    """`VirtualHost` and the like, for people."""
    return type_url.rpartition(".")[2]


class Delivery(StrEnum):
    """How a gateway's proxies get its virtual hosts and clusters: all of them, or each when it is asked for."""

    FULL = "full"
    ON_DEMAND = "on-demand"


class Resource:
    """One Envoy message, encoded once.

    `body` is the encoded message itself, without its `Any`; a large one is put together when it is first sent.
    `version` is a hash of the content alone: equal versions mean equal bodies, on every replica.
    `needs` names what Envoy will ask for because of it: a cluster's endpoints, a listener's route configuration. Of a
    virtual host it names the clusters that shall be warm before it is used.
    `occupies` is what only one resource of its type can have: a listener's addresses.
    `since` is the oldest Envoy that knows all that it says; `older` is what proxies before that get in its place.
    `exact` is there for virtual hosts of wildcard domains (`edge/http/*.shop.test`), which Envoy must not be sent while
    hosts that they would shadow are not loaded: it makes the virtual host of one name under them. `refuses`:
    nothing but a refusal is made there.
    Immutable; two resources are equal if their names and versions are.
    """

    __slots__ = ("__weakref__", "_body", "exact", "name", "needs", "occupies", "older", "refuses", "since", "version")

    def __init__(
        self,
        name: str,
        version: str,
        body: bytes | Callable[[], bytes],
        needs: tuple[str, ...] = (),
        occupies: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.version = version
        self.needs = needs
        self.occupies = occupies
        self.since = OLDEST
        self.older: Resource | None = None
        self.exact: Callable[[str], Resource] | None = None
        self.refuses = False
        self._body = body

    @property
    def body(self) -> bytes:
        if not isinstance(self._body, bytes):
            self._body = self._body()
        return self._body

    def for_envoys(self, since: Minor, older: "Resource | None" = None) -> "Resource":
        """The same for Envoys from this version on, and another one, or nothing, for those before."""
        made = Resource(self.name, self.version, self._body, self.needs, self.occupies)
        made.since, made.older = since, older
        made.exact, made.refuses = self.exact, self.refuses
        return made

    def for_names(self, exact: "Callable[[str], Resource]", *, refuses: bool = False) -> "Resource":
        """The same as a wildcard, of which `exact` makes the virtual host of each name under it."""
        made = Resource(self.name, self.version, self._body, self.needs, self.occupies)
        made.since, made.older = self.since, self.older
        made.exact, made.refuses = exact, refuses
        return made

    def called(self, name: str) -> "Resource":
        """What it is by this name, which is its own or one under it as a wildcard."""
        return self if self.exact is None or name == self.name else self.exact(name)

    @property
    def versions(self) -> Iterator[str]:
        """Of what newer and older proxies get."""
        found: Resource | None = self
        while found is not None:
            yield found.version
            found = found.older

    def known_to(self, envoy: Minor) -> "Resource | None":
        """What a proxy of this version gets."""
        found: Resource | None = self
        while found is not None and found.since > envoy:
            found = found.older
        return found

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and (self.name, self.version) == (other.name, other.version)

    @override
    def __hash__(self) -> int:
        return hash((self.name, self.version))

    @override
    def __repr__(self) -> str:
        return f"Resource({self.name!r}, {self.version!r})"


Resources = Map[str, Resource]
NOTHING: Resources = Map()


def difference(before: Resources, after: Resources) -> frozenset[str]:
    """The names of what is not the same in both."""
    if before is after:
        return frozenset()
    return frozenset(name for name in {*before, *after} if before.get(name) != after.get(name))


class Serving(Set[str]):
    """The names of all virtual hosts that do more than refuse. To ask for one costs the same however many there are."""

    __slots__ = ("_resources",)

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @override
    def __contains__(self, name: object) -> bool:
        found = self._resources.get(name) if isinstance(name, str) else None
        return found is not None and not found.refuses

    @override
    def __iter__(self) -> Iterator[str]:
        return (name for name, found in self._resources.items() if not found.refuses)

    @override
    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything that the proxies of one gateway could be told.

    `changed` names, for each type, what differs from the snapshot whose `serial` is `since`; a stream that holds
    another snapshot compares everything. Serials order the snapshots of one server process and are never sent.
    `newer` names what not every supported Envoy knows whole; one of version `newest` or later knows all of it.
    `on_demand`: virtual hosts and clusters are sent when they are asked for or needed; `always` names those that every
    proxy gets nevertheless. Proxies before version `unasked_before` get all virtual hosts so that do not just refuse.
    """

    resources: Mapping[TypeUrl, Resources]
    serial: int = 0
    since: int = -1
    changed: Mapping[TypeUrl, frozenset[str]] = field(default_factory=dict)
    newer: Mapping[TypeUrl, frozenset[str]] = field(default_factory=dict)
    newest: Minor = OLDEST
    on_demand: bool = False
    always: Mapping[TypeUrl, Set[str]] = field(default_factory=dict)
    unasked_before: Minor = OLDEST
    _known: dict[Minor, "Snapshot"] = field(default_factory=dict, repr=False)

    def of(self, type_url: TypeUrl) -> Resources:
        return self.resources.get(type_url, NOTHING)

    def find(self, type_url: TypeUrl, name: str) -> Resource | None:
        """The resource of this name, or the wildcard that it is made of, which has another version."""
        found = self.of(type_url)
        if name in found or type_url is not TypeUrl.VIRTUAL_HOST:
            return found.get(name)
        last = found.get(virtual_host(name.rpartition("/")[0], "*"))
        return next((found[each] for each in wildcards_over(name) if each in found), last)

    def known_to(self, envoy: Minor) -> "Snapshot":
        """What proxies of this version could be told: this very snapshot, unless there is something newer in it."""
        if envoy >= max(self.newest, self.unasked_before):
            return self
        if envoy not in self._known:
            self._known[envoy] = self._as_known_to(envoy, self.resources, self.newer)
        return self._known[envoy]

    def followed_by(
        self, resources: Mapping[TypeUrl, Resources], serial: int, changed: Mapping[TypeUrl, frozenset[str]]
    ) -> "Snapshot":
        """The next snapshot, with what differs. What older proxies are told of it is made from that alone, too."""
        newer = {kind: self._newer(kind, changed[kind], found) for kind, found in resources.items()}
        brought = [resources[kind][name].since for kind, names in newer.items() for name in names & changed[kind]]
        newest = max([self.newest, *brought]) if any(newer.values()) else OLDEST
        after: Snapshot = replace(
            self,
            resources=resources,
            serial=serial,
            since=self.serial,
            changed=changed,
            newer=newer,
            newest=newest,
            _known={},
        )
        for envoy, known in self._known.items():
            if envoy < max(newest, self.unasked_before):
                after._known[envoy] = after._as_known_to(envoy, known.resources, changed)
        return after

    def _newer(self, kind: TypeUrl, changed: frozenset[str], resources: Resources) -> frozenset[str]:
        before = self.newer.get(kind, frozenset())
        found = {name for name in changed if name in resources and resources[name].since > OLDEST}
        return before - changed | found if before or found else before

    def _as_known_to(
        self, envoy: Minor, base: Mapping[TypeUrl, Resources], names: Mapping[TypeUrl, frozenset[str]]
    ) -> "Snapshot":
        """`base` is right but for these names."""
        resources = {}
        for kind, found in self.resources.items():
            known = base.get(kind, NOTHING).mutate()
            for name in names.get(kind, ()):
                said = found[name].known_to(envoy) if name in found else None
                if said is not None:
                    known[name] = said
                else:
                    known.pop(name, None)
            resources[kind] = known.finish()
        always = self.always
        if envoy < self.unasked_before:
            always = {**always, TypeUrl.VIRTUAL_HOST: Serving(resources[TypeUrl.VIRTUAL_HOST])}
        return replace(
            self, resources=resources, newer={}, newest=OLDEST, always=always, unasked_before=OLDEST, _known={}
        )
