"""Build and encode a small virtual host: betterproto2, upb behind our constructors, and upb alone, in one run."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from envoy_data_plane.envoy.config.route import v3 as dataclasses

from bench.report import Figure, parser, report
from xds_server.messages import envoy
from xds_server.messages.bridge import upb_class
from xds_server.messages.codec import encode


def virtual_host(types: Any, wrapped: Callable[[int], object]) -> Any:
    """One host with a header route and a 90/10 split, in the words of whichever library `types` is."""
    shares = [("shop-v1/web", 90), ("shop-v2/web", 10)]
    return types.VirtualHost(
        name="edge/http/shop.example.com",
        domains=["shop.example.com"],
        routes=[
            types.Route(
                match=types.RouteMatch(prefix="/", headers=[types.HeaderMatcher(name="x-tester", present_match=True)]),
                route=types.RouteAction(cluster="shop-v2/web"),
            ),
            types.Route(
                match=types.RouteMatch(prefix="/"),
                route=types.RouteAction(
                    weighted_clusters=types.WeightedCluster(
                        clusters=[
                            types.WeightedClusterClusterWeight(name=name, weight=wrapped(weight))
                            for name, weight in shares
                        ]
                    )
                ),
            ),
        ],
    )


class Upb:
    """upb's own classes, under the names that the constructors have."""

    VirtualHost = upb_class(envoy.VirtualHost)
    Route = upb_class(envoy.Route)
    RouteMatch = upb_class(envoy.RouteMatch)
    HeaderMatcher = upb_class(envoy.HeaderMatcher)
    RouteAction = upb_class(envoy.RouteAction)
    WeightedCluster = upb_class(envoy.WeightedCluster)
    WeightedClusterClusterWeight = upb_class(envoy.WeightedClusterClusterWeight)


class Way(NamedTuple):
    """One way to turn arguments into bytes."""

    build: Callable[[], Any]
    encode: Callable[[Any], bytes]
    rounds: int


def microseconds(action: Callable[[], object], rounds: int) -> float:
    """Per call, in the best of five runs: what it costs while nobody else disturbs the machine."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(rounds):
            action()
        best = min(best, time.perf_counter() - start)
    return best / rounds * 1e6


def measure(name: str, way: Way) -> list[Figure]:
    message = way.build()
    size = len(way.encode(message))
    build = microseconds(way.build, way.rounds)
    encoding = microseconds(lambda: way.encode(message), way.rounds)
    return [
        Figure(f"{name}: build", build, "µs"),
        Figure(f"{name}: encode", encoding, "µs"),
        Figure(f"{name}: both, {size} bytes", build + encoding, "µs"),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=2000, help="virtual hosts per run of ours (default 2000)")
    asked = options.parse_args()
    rounds = asked.rounds
    slow = measure("betterproto2", Way(lambda: virtual_host(dataclasses, int), bytes, max(rounds // 100, 1)))
    ours = measure("xds-server", Way(lambda: virtual_host(envoy, int), encode, rounds))
    bare = measure("upb alone", Way(lambda: virtual_host(Upb, lambda weight: {"value": weight}), encode, rounds))
    ratios = [
        Figure("betterproto2 to xds-server", slow[-1].value / ours[-1].value, "x"),
        Figure("xds-server to upb alone", ours[-1].value / bare[-1].value, "x"),
    ]
    report("encode", [*slow, *ours, *bare, *ratios], asked.json)


if __name__ == "__main__":
    main()
