"""A decision with its reasons: plain frozen values that can be printed, and sent as JSON."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Something that the request was tried against, whether it matched, and why or why not."""

    what: str
    matched: bool
    because: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An endpoint of a build."""

    address: str
    zone: str
    weight: int
    priority: int
    draining: bool


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a route sends a request: names as Envoy, its access log and its statistics have them."""

    route: str
    component: str
    cluster: str
    build: str
    endpoints: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a proxy says itself, so that no application is reached. `location` is where a redirect leads.

    `status` is 0 where there is no connection.
    """

    status: int
    reason: str
    message: str
    location: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `share` percent of such requests get.

    `rule` and `deployment` are what the gateway reveals: `-` is none. `slot` decided it, where a user or a request id
    is known; `sets_cookie` is the cookie that makes a new user known. `routes` are those tried, in order. Without an
    `answer` the application at the `destination` answers.
    """

    share: float
    rule: str
    deployment: str
    routes: tuple[Step, ...] = ()
    destination: Destination | None = None
    answer: Answer | None = None
    slot: int | None = None
    sets_cookie: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a proxy does with a request, and why: `steps` in the order in which they are decided, then outcomes.

    `caller` is the build whose sidecar it is, with its app; empty: it is a gateway, and `gateway`, `listener` and
    `address` say which. There are several outcomes where chance decides. `release` and `app` are empty where the host
    is of none. `whence` says why the rule that decided gives what it gives, where that is not because its record says
    so: a pin, a rollout. `problems` are those of the records that decided: what they say now may not be what is in
    force.
    """

    method: str
    url: str
    gateway: str
    listener: str
    address: str
    app: str
    release: str
    steps: tuple[Step, ...]
    outcomes: tuple[Outcome, ...]
    problems: tuple[str, ...] = ()
    caller: str = ""
    whence: str = ""

    @property
    def arrives(self) -> bool:
        """Every such request reaches an application."""
        return all(outcome.answer is None for outcome in self.outcomes)
