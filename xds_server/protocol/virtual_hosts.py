"""The virtual hosts of one on-demand stream (R38): those that were asked for, and those that every proxy gets.

Envoy asks for the virtual host of a host that it has not loaded as `<route configuration>/<host>`, once, and never
again. So every answer stands for as long as the stream, and is followed by pushes when it changes:

    loaded    what the world has by that name, else what the longest wildcard makes of it (`Resource.exact`)
    unknown   the world has nothing but a refusal for it. The client is told so without a virtual host, which costs it
              less; and is sent one as soon as there is one
    gone      it is loaded, and the world has nothing but a refusal for it: it is replaced by that refusal. Envoy would
              go on using what it is told does not exist, and hang if it is told that it is removed

A virtual host is sent when its route configuration is there and its clusters are, which the `OnDemandPlan` sees to.
Envoy drops the virtual hosts of a route configuration that it is sent again, so all are owed once more.

A name with a port is the host without it, and asked for under an alias: under two names Envoy would have one domain
twice, and refuse both.

There is no end to unknown names if somebody tries them at random. They are answered as the `Budget` allows, a name that
waits or is remembered costs little more than its text, and beyond `REMEMBERED` names are forgotten: from then on every
host that appears in the world is pushed, because it may be one of them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from itertools import chain, islice

from typing_extensions import override

from xds_server.domain.names import wildcards_over
from xds_server.protocol import budget
from xds_server.protocol.budget import Budget
from xds_server.protocol.channel import ABSENT, Channel, Response
from xds_server.protocol.clusters import Clusters
from xds_server.protocol.subscription import Asked
from xds_server.snapshot import NOTHING, Resource, Resources, Snapshot, TypeUrl

WILDCARD = "*"
WAITS = 4
"""Seconds that a first request waits for its host, before Envoy answers it by itself."""


class VirtualHosts(Channel):
    """`configured`: the route configurations that the client holds, and is not just being sent.

    `strange`: what the client holds since before the stream began, in a version of which the needs are not known.
    """

    __slots__ = (
        "_aliases",
        "_always",
        "_answering",
        "_clusters",
        "_seen",
        "_wanted",
        "budget",
        "configured",
        "strange",
    )

    def __init__(self, clusters: Clusters) -> None:
        self._wanted = Asked()
        super().__init__(TypeUrl.VIRTUAL_HOST, deniable=True, subscription=self._wanted)
        self._clusters = clusters
        self._seen: Resources = NOTHING
        self._always: Set[str] = frozenset()
        self._aliases: dict[str, set[str]] = {}
        self._answering: dict[str, set[str]] = {}
        self.budget = Budget()
        self.configured: set[str] = set()
        self.strange: set[str] = set()

    @override
    def content(self, name: str) -> Resource | None:
        found = self._source(name)
        return None if found is None else found.called(name)

    def needs(self, name: str) -> tuple[str, ...]:
        """Of its content, which is not made for that: many names may be under one wildcard, and need what it does."""
        found = self._source(name)
        return () if found is None else found.needs

    @override
    def aim(self, snapshot: Snapshot) -> None:
        super().aim(snapshot)
        self._always = snapshot.always.get(TypeUrl.VIRTUAL_HOST, frozenset())

    @override
    def publish(self, snapshot: Snapshot, *, follows: bool) -> None:
        super().publish(snapshot, follows=follows)
        changed = snapshot.changed.get(TypeUrl.VIRTUAL_HOST, frozenset())
        always = filter(self._always.__contains__, changed) if follows else self._always
        self._pick(filter(self.is_configured, always))
        if self._wanted.forgetful:
            there = changed if follows else self.target
            appeared = (name for name in there if name not in self._seen and self.lookup(name) is not None)
            self._pick(name for name in appeared if not is_wildcard(name))  # its listener may be about to come, too
            self._seen = self.target

    @override
    def touched(self, changed: frozenset[str]) -> Iterable[str]:
        found = {name for name in changed if self._wanted.covers(name)}
        for wildcard in filter(is_wildcard, changed):
            begin, _, end = wildcard.rpartition(WILDCARD)
            found.update(self._wanted.names.under(begin, end), self._wanted.unknown.under(begin, end))
        return found

    @override
    def look(self, names: Iterable[str]) -> None:
        for name in names:
            self.due.discard(name)
            content = self.content(name)
            if self._refused_as_it_is(name):
                self._asked.discard(name)
            elif content is None:
                self._look_at_unknown(name)
            else:
                self._look_at_known(name, content)

    @override
    def ask(self, names: Collection[str]) -> None:
        known: set[str] = set()
        for name in sorted(names):
            host = without_port(name)
            if self.lookup(f"{name}/{WILDCARD}") is not None:  # a route configuration: any virtual host of it will do
                known.update(self._always_of(name) if name in self.configured else ())
            elif self._source(host) is None or self._is_beyond_the_budget(host):
                self._deny(name)
            else:
                known.add(host)
                self._remember_alias(name)
        super().ask(known)

    @override
    def claim(self, resource: Resource) -> None:
        name = resource.name
        if resource.version == ABSENT:
            self._wanted.miss(without_port(name))
            self.look([without_port(name)])
            return
        self._wanted.pick([name])
        super().claim(resource)
        ours = self.content(name)
        if ours == resource:
            self._hold({name: ours})
        else:
            self.strange.add(name)

    @override
    def recall(self, names: Iterable[str]) -> Iterable[str]:
        return names  # what was pushed unasked is listed, and not asked for

    @override
    def wants(self, name: str) -> bool:
        return super().wants(without_port(name))

    def aliases(self, name: str) -> tuple[str, ...]:
        """By which names the client has asked for it."""
        return (name, *sorted(self._aliases[name] - {name})) if name in self._aliases else (name,)

    @override
    def denials(self) -> Collection[str]:
        if not self.denied or self.budget.tokens <= 0:
            return ()
        ready = (name for name in self.denied if self.is_configured(name) and self._source(without_port(name)) is None)
        return tuple(islice(ready, self.budget.tokens))

    def load_who_waits(self) -> None:
        """Names under wildcards that were beyond the budget, as many as it has by now."""
        found = (name for name in self.denied if self._source(without_port(name)) is not None)
        chosen = [*islice(found, max(0, self.budget.tokens))]
        for name in chosen:
            self.denied.pop(name, None)
        self.ask(chosen)

    def _is_beyond_the_budget(self, host: str) -> bool:
        """Who tries names at random may do so under a wildcard, too. A name that is new there costs a token."""
        if self._loaded(host) or host in self.due or self.lookup(host) is not None:
            return False
        if self.budget.tokens <= 0:
            return True
        self.budget.take(1)
        return False

    @override
    def sent(self, response: Response) -> None:
        super().sent(response)
        self.budget.take(len(response.denied))
        for name in response.denied:
            self._drop_alias(name)
        self._answering = {name: self._aliases.pop(name) for name in response.news if name in self._aliases}

    @override
    def accept(self) -> dict[str, Resource | None]:
        # What was perhaps loaded, and owed a refusal for that, is known not to be now.
        unsure = self.doubtful & self.due
        news = super().accept()
        self.look(unsure)
        return news

    @override
    def refuse(self, reason: str) -> dict[str, str]:
        for name, aliases in self._answering.items():
            self._aliases.setdefault(name, set()).update(aliases)
        return super().refuse(reason)

    def configure(self, configuration: str, *, anew: bool) -> None:
        """The client holds this route configuration. `anew`: it was sent it, and has dropped its virtual hosts."""
        self.configured.add(configuration)
        self._pick(self._always_of(configuration))
        if anew:
            awaited = self.awaited.news if self.awaited else {}
            dropped = [name for name in {*self.held, *awaited} if configuration_of(name) == configuration]
            # It is denied what has gone meanwhile, and has it no more: else it would not be sent that when it returns.
            self._hold({name: None for name in dropped if self._source(name) is None})
            self.ask([name for name in dropped if name not in self.refused])

    def leave(self, configuration: str) -> None:
        """The client has let go of this route configuration."""
        self.configured.discard(configuration)
        for name in [name for name in self._known() if configuration_of(name) == configuration]:
            self._hold({name: None})
            self.look([name])  # it is still wanted, if the route configuration returns

    def is_configured(self, name: str) -> bool:
        """The client has the route configuration of this virtual host: otherwise it would drop it (R38)."""
        return configuration_of(name) in self.configured

    def in_use(self) -> Iterator[Resource]:
        """What the client holds, or will once it accepts what is on its way."""
        yield from self.held.values()
        if self.awaited is not None:
            yield from (each for each in self.awaited.news.values() if each is not None)

    def needed(self) -> set[str]:
        """The clusters of what the client holds, and shall hold."""
        coming = (self.needs(name) for name in self.due)
        return {need for needs in chain((host.needs for host in self.in_use()), coming) for need in needs}

    def _source(self, name: str) -> Resource | None:
        """What its content is, or is made of."""
        exact = self.lookup(name)
        if exact is not None and (exact.exact is None or name in self._always):
            return exact
        found = self._wildcard(name)
        if found is None or found.exact is None or (found.refuses and not self._loaded(name)):
            return None
        return found

    def _wildcard(self, name: str) -> Resource | None:
        """The longest wildcard that the name is under."""
        configuration, _, host = name.rpartition("/")
        if WILDCARD in host and not self._loaded(name):
            return None  # it would shadow what is not loaded
        for each in wildcards_over(name):
            found = self.lookup(each)
            if found is not None:
                return found
        return self.lookup(f"{configuration}/{WILDCARD}")

    def _loaded(self, name: str) -> bool:
        return name in self.held or self.expected(name) is not None or name in self.doubtful

    def _always_of(self, configuration: str) -> list[str]:
        return [name for name in self._always if configuration_of(name) == configuration]

    def _pick(self, names: Iterable[str]) -> None:
        """The client shall have these."""
        new = [name for name in names if name not in self._wanted.names]
        if new:
            self._wanted.pick(new)
            self.look(new)

    def _look_at_known(self, name: str, content: Resource) -> None:
        """It is owed. Who waits for a first answer has none before it is sent, and asks no more (R38)."""
        waiting = [asked for asked in self.aliases(name) if asked in self.denied] if self.denied else ()
        for asked in waiting:
            del self.denied[asked]
        if waiting:
            self._asked.add(name)  # if it goes before it is sent, that is to be denied after all
        if name not in self._wanted.names:
            self._wanted.pick([name])
        self._clusters.pick(content.needs)
        expected = self.expected(name)
        if name in self._asked or not (expected is content or expected == content):
            self.due.add(name)

    def _look_at_unknown(self, name: str) -> None:
        if name in self._asked:
            self._asked.discard(name)
            for asked in sorted(self._aliases.pop(name, {name})):
                self._deny(asked)
        elif name in self._wanted.names and not self._loaded(name):
            self._wanted.miss(name)

    def _deny(self, name: str) -> None:
        # The client gives up after a while: more than can be answered until then need not wait.
        self._wanted.miss(without_port(name))
        if len(self.denied) < max(0, self.budget.tokens) + WAITS * budget.EACH_SECOND:
            self.denied[name] = None
            self._remember_alias(name)

    def _remember_alias(self, name: str) -> None:
        """Until it is answered, it is one of the names by which its host was asked for."""
        self._aliases.setdefault(without_port(name), set()).add(name)

    def _drop_alias(self, name: str) -> None:
        host = without_port(name)
        if host in self._aliases:
            self._aliases[host].discard(name)
            if not self._aliases[host]:
                del self._aliases[host]

    @override
    def _known(self) -> set[str]:
        return super()._known() | self._wanted.unknown

    @override
    def _forget(self, names: Iterable[str]) -> None:
        names = list(names)
        super()._forget(names)
        self._wanted.drop(names)
        for name in names:
            for asked in self._aliases.pop(name, ()):
                self.denied.pop(asked, None)

    @override
    def _hold(self, news: Mapping[str, Resource | None]) -> None:
        self.strange.difference_update(news)
        super()._hold(news)


class RouteConfigurations(Channel):
    """Tells the virtual hosts when their route configurations come and go."""

    __slots__ = ("_hosts",)

    def __init__(self, hosts: VirtualHosts) -> None:
        super().__init__(TypeUrl.ROUTES, deniable=True)
        self._hosts = hosts

    @override
    def claim(self, resource: Resource) -> None:
        super().claim(resource)
        self._hosts.configure(resource.name, anew=False)

    @override
    def sent(self, response: Response) -> None:
        super().sent(response)
        self._hosts.configured.difference_update(response.news)

    @override
    def accept(self) -> dict[str, Resource | None]:
        news = super().accept()
        for name in news:
            self._hosts.configure(name, anew=True)
        return news

    @override
    def refuse(self, reason: str) -> dict[str, str]:
        assert self.awaited is not None
        for name in [name for name in self.awaited.news if name in self.held]:
            self._hosts.configure(name, anew=False)
        return super().refuse(reason)

    @override
    def _forget(self, names: Iterable[str]) -> None:
        names = list(names)
        super()._forget(names)
        for name in names:
            self._hosts.leave(name)


def configuration_of(name: str) -> str:
    """The route configuration of a virtual host (R38)."""
    return name.rpartition("/")[0]


def without_port(name: str) -> str:
    """As Envoy reads it, to which a colon without a number behind it is one, too."""
    host, _, port = name.rpartition(":")
    return host if host and (port.isdecimal() or not port) else name


def is_wildcard(name: str) -> bool:
    return name[name.rfind("/") + 1 :].startswith(WILDCARD)
