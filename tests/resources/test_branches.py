"""What is put together field by field is what the messages themselves encode to."""

from xds_server.messages.codec import encode, pack
from xds_server.messages.envoy import Route, RouteList, VirtualHost
from xds_server.messages.xds import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicateSinglePredicate,
    MatcherMatcherTree,
    MatcherMatcherTreeMatchMap,
    MatcherOnMatch,
    RegexMatcher,
    RegexMatcherGoogleRe2,
    StringMatcher,
    TypedExtensionConfig,
)
from xds_server.resources import branches, predicates


def listed(name: str) -> RouteList:
    return RouteList(routes=[Route(name=name)])


def action(name: str) -> MatcherOnMatch:
    return MatcherOnMatch(action=TypedExtensionConfig(name="r", typed_config=pack(listed(name))))


ONE, TWO, REST = (branches.routes(encode(listed(name))) for name in ("one", "two", "rest"))


def predicate(regex: str) -> MatcherMatcherListPredicate:
    value = StringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcherGoogleRe2(), regex=regex))
    single = MatcherMatcherListPredicateSinglePredicate(input=predicates.header_input("x-a"), value_match=value)
    return MatcherMatcherListPredicate(single_predicate=single)


def test_routes():
    assert encode(action("one")) == ONE


def test_a_choice():
    matchers = [
        MatcherMatcherListFieldMatcher(predicate=predicate(regex), on_match=action(name))
        for regex, name in (("1+", "one"), ("2+", "two"))
    ]
    expected = MatcherOnMatch(
        matcher=Matcher(matcher_list=MatcherMatcherList(matchers=matchers), on_no_match=action("rest"))
    )
    tries = [(predicates.header_regex("x-a", "1+"), ONE), (predicates.header_regex("x-a", "2+"), TWO)]

    assert branches.choice(tries, REST) == encode(expected)


def test_a_choice_without_alternatives_is_none():
    assert branches.choice([], REST) == REST


def test_a_lookup():
    tree = MatcherMatcherTree(
        input=predicates.header_input("x-a"),
        exact_match_map=MatcherMatcherTreeMatchMap(map={"v1": action("one"), "v2": action("two")}),
    )
    expected = MatcherOnMatch(matcher=Matcher(matcher_tree=tree, on_no_match=action("rest")))

    assert branches.lookup("x-a", {"v2": TWO, "v1": ONE}, REST) == encode(expected)


def test_a_virtual_host():
    expected = VirtualHost(domains=["shop.example.com"], matcher=Matcher(on_no_match=action("one")))

    assert branches.virtual_host("shop.example.com", ONE) == encode(expected)
