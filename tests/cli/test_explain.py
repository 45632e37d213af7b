import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.cli.answering import answering
from tests.conftest import Golden
from xds_server.cli.ctl import app

SAMPLE = Path(__file__).parents[2] / "manifests" / "shop"
DOCS = SAMPLE.parents[1] / "docs"
CANARY = "[{deployment: shop-v1, weight: 95}, {deployment: shop-v2, weight: 5}]"
WHOLE = "[{deployment: shop-v1, weight: 100}, {deployment: shop-v2, weight: 0}]"
SHOP = "http://shop.localhost:10000"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    for file in SAMPLE.iterdir():
        (tmp_path / file.name).write_text(file.read_text("utf-8").replace(WHOLE, CANARY), "utf-8")
    return tmp_path


PAGES = {
    "default": (f"{SHOP}/cart/items", []),
    "early-adopter": (f"{SHOP}/", ["-H", "x-early-adopter: true"]),
    "by-query": (f"{SHOP}/?explicit-deployment=shop-v2", []),
    "unknown-deployment": (f"{SHOP}/", ["-H", "x-explicit-deployment: shop-v9"]),
    "unknown-host": ("http://nobody.localhost:10000/", []),
    "new-user": (f"{SHOP}/", ["--request-id", "ff00aa11-2222-4333-8444-555566667777"]),
    "a-user-of-the-canary": (f"{SHOP}/", ["-H", "cookie: shop-user=ff000000-2222-4333-8444-555566667777"]),
    "a-user-whose-id-is-none": (f"{SHOP}/", ["-H", "cookie: shop-user=nobody"]),
    "an-audience-by-its-host": ("http://acme.shop.localhost:10000/reviews", []),
    "an-escaped-slash": (f"{SHOP}/..%2fcart", []),
    "a-call": ("http://cart/items", ["--from", "web@9f1c2d7e", "-H", "x-deployment: shop-v1"]),
    "a-call-without-a-context": ("http://reviews/", ["--from", "shop/cart@77aa01bc"]),
    "a-call-of-another-deployment": (
        "http://cart/",
        ["--from", "web@9f1c2d7e", "-H", "baggage: xds.deployment=shop-v2"],
    ),
    "a-call-of-no-component": ("http://nobody/", ["--from", "web@9f1c2d7e"]),
}


@pytest.mark.parametrize("page", PAGES)
def test_pages(page: str, canary: Path, golden: Golden) -> None:
    url, options = PAGES[page]
    result = run(canary, "GET", url, *options)

    assert result.stderr == ""
    golden.check("stdout.txt", f"{result.stdout}exit code {result.exit_code}\n")


def test_the_page_of_the_docs_is_what_is_printed(canary: Path) -> None:
    assert f"```\n{run(canary, f'{SHOP}/cart/items').stdout}```\n" in (DOCS / "explain.md").read_text("utf-8")


def test_the_call_of_the_docs_is_what_is_printed() -> None:
    printed = run(SAMPLE, "--from", "cart@77aa01bc", "http://reviews/", "-H", "baggage: xds.deployment=shop-v2").stdout
    assert f"```\n{printed}```\n" in (DOCS / "explain.md").read_text("utf-8")


def test_an_instance_is_shown_with_what_steers_requests(canary: Path) -> None:
    more = '{address: "127.0.0.1:9005", zone: b, weight: 2, priority: 1, draining: true}'
    builds = canary / "builds.yaml"
    builds.write_text(builds.read_text("utf-8").replace('["127.0.0.1:9003"]', f'["127.0.0.1:9003", {more}]'), "utf-8")
    [outcome] = json.loads(run(canary, f"{SHOP}/cart", "-o", "json").stdout)["outcomes"][:1]

    assert "127.0.0.1:9005, zone b, weight 2, priority 1, draining" in run(canary, f"{SHOP}/cart").stdout
    assert [each["priority"] for each in outcome["destination"]["endpoints"]] == [0, 1]


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_as_data(style: str) -> None:
    result = run(SAMPLE, f"{SHOP}/cart", "-o", style)
    data = json.loads(result.stdout) if style == "json" else yaml.safe_load(result.stdout)

    assert result.exit_code == 0
    assert (data["method"], data["gateway"], data["listener"], data["release"]) == ("GET", "edge", "http", "shop")
    [outcome] = data["outcomes"]
    assert (outcome["rule"], outcome["deployment"], outcome["answer"]) == ("default", "shop-v1", None)
    assert outcome["destination"]["cluster"] == "shop-v1/cart"


@pytest.mark.parametrize(
    "words",
    [
        [],
        [SHOP],
        [SAMPLE, "GET", SHOP, "more"],
        ["--server", "http://127.0.0.1:1", SAMPLE, "GET", SHOP],
        [SAMPLE / "none", "GET", SHOP],
    ],
    ids=["nothing", "no-folder", "too-much", "folder-and-server", "no-such-folder"],
)
def test_wrong_use(words: list[str | Path]) -> None:
    assert run(*words).exit_code == 2


@pytest.mark.parametrize("place", [[SAMPLE], ["--server", "127.0.0.1:1"]], ids=["folder", "server"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["GET", "shop.localhost/"], "is not an absolute URL, such as"),
        ([SHOP, "-H", "x-a"], "is not a header, such as"),
        (["BAD METHOD", SHOP], "is not a method that a gateway routes, such as GET"),
        ([SHOP, "--request-id", "12"], "is no request id"),
    ],
)
def test_what_is_no_request_is_a_wrong_use(place: list[str | Path], words: list[str], said: str) -> None:
    result = run(*place, *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.replace("│", "").split())


def test_a_folder_and_a_server_are_too_much() -> None:
    for words in (["GET", SHOP], [SHOP]):
        result = run(SAMPLE, *words, "--server", "127.0.0.1:1")
        assert result.exit_code == 2
        assert "write DIR or --server, not both" in result.stderr


def test_a_method_that_is_not_in_capitals_is_refused_as_envoy_does() -> None:
    result = run(SAMPLE, "get", SHOP)

    assert result.exit_code == 3
    assert "400 BadRequest: 'get' is no method of HTTP/1 that Envoy knows" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([SAMPLE, "GET", SHOP, "-g", "egde"], "there is no gateway 'egde'; there is: edge"),
        ([SAMPLE, "GET", "https://shop.localhost/"], "no listener for https on port 443; choose with --listener: http"),
        (["--server", "ftp://a", "GET", SHOP], "is not the address of a server"),
        (["--server", "127.0.0.1:1", "GET", SHOP], "does not answer"),
    ],
)
def test_what_cannot_be_told_says_what_to_write_instead(words: list[str | Path], said: str) -> None:
    result = run(*words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_what_is_held_back_is_said_beside_it(canary: Path) -> None:
    (canary / "bad.yaml").write_text("a: [", "utf-8")

    assert "bad.yaml" not in run(canary, SHOP).stdout
    assert "bad.yaml" in run(canary, "http://nobody.localhost/").stdout


def test_a_server_is_asked_in_place_of_a_folder() -> None:
    said = run(SAMPLE, f"{SHOP}/cart", "-o", "json").stdout
    with answering(200, said.encode()) as server:
        assert run("--server", server, f"{SHOP}/cart", "-o", "json").stdout == said


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"error": "several gateways"}', "xdsctl: several gateways"),
        (404, b"nothing", "answers 404: is it the address of --admin?"),
        (200, b"{}", "is not an xds-server of this version"),
    ],
)
def test_a_server_that_cannot_tell(status: int, body: bytes, said: str) -> None:
    with answering(status, body) as server:
        result = run("--server", server, SHOP)

    assert result.exit_code == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--from", "web"], 1, "'web' is no build: write COMPONENT@BUILD"),
        (["--from", "web@0"], 1, "no deployment in force contains web@0"),
        (["--from", "web@9f1c2d7e", "-g", "edge"], 2, "a call does not pass a gateway"),
    ],
)
def test_a_caller_that_is_none(words: list[str], code: int, said: str) -> None:
    result = run(SAMPLE, "http://cart/", *words)

    assert result.exit_code == code
    assert said in " ".join(result.stderr.replace("│", " ").split())
