import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.certificates import self_signed
from tests.conftest import Golden
from xds_server.cli.ctl import app

SAMPLE = Path(__file__).parents[2] / "manifests" / "shop"
RELEASE = (SAMPLE / "release.yaml").read_text("utf-8")
V2 = (SAMPLE / "v2.yaml").read_text("utf-8")
V3 = V2.replace("shop-v2", "shop-v3").replace('"v2"', '"v3"')
GATEWAY = (SAMPLE / "gateway.yaml").read_text("utf-8")
PLAIN = "listeners: [{name: http, address: 127.0.0.1, port: 10000}]"
REDIRECT = GATEWAY.replace(
    PLAIN,
    """\
listeners:
    - {name: http, address: 127.0.0.1, port: 10000, redirect: https}
    - {name: https, address: 127.0.0.1, port: 10443, tls: {secret: edge-cert}}
  secrets: {edge-cert: {certificate: edge.pem, privateKey: edge.key}}""",
).replace("rule: true", "rule: false")
PEMS = dict(zip(("edge.pem", "edge.key"), self_signed("shop.localhost"), strict=True))
CANARY = RELEASE.replace("v1, weight: 100", "v1, weight: 75").replace("v2, weight: 0", "v2, weight: 25")
ONLY_V1 = RELEASE[: RELEASE.index("  audiences:")].replace(", {deployment: shop-v2, weight: 0}", "")
APP = """\
apiVersion: xds-server.dev/v1alpha1
kind: App
metadata: {name: shop}
spec: {withoutContext: released}
"""
CALLS_CHANGE = "calls without a context change from 2 builds"
BETA = """\
    - name: beta
      match: {headers: [{name: x-beta, prefix: "1"}]}
      deployment: shop-v3
"""

Edit = Callable[[Mapping[str, str | None]], Path]


def run(*arguments: str | Path, width: int = 200) -> Result:
    return CliRunner().invoke(app, ["diff", *(str(each) for each in arguments)], env={"COLUMNS": str(width)})


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """The sample with other files; None: without."""

    def made(files: Mapping[str, str | None]) -> Path:
        folder = tmp_path / "new"
        shutil.copytree(SAMPLE, folder)
        for name, text in files.items():
            if text is None:
                (folder / name).unlink()
            else:
                (folder / name).write_text(text, "utf-8")
        return folder

    return made


CASES: dict[str, Mapping[str, str | None]] = {
    "canary": {"release.yaml": CANARY},
    "deploy": {"v3.yaml": V3},
    "beta": {"v3.yaml": V3, "release.yaml": CANARY + BETA},
    "hosts": {"release.yaml": RELEASE.replace("[shop.localhost]", "[shop.localhost, www.shop.localhost]")},
    "no-audiences": {"release.yaml": RELEASE[: RELEASE.index("  audiences:")]},
    "deletion": {"v2.yaml": None, "release.yaml": ONLY_V1},
    "redirect": {"gateway.yaml": REDIRECT, **PEMS},
    "move": {"gateway.yaml": GATEWAY.replace("10000", "10001")},
    "denied": {"gateway.yaml": GATEWAY.replace("explicit:", "explicit:\n    access: denied")},
    "refused": {"v1.yaml": None, "v2.yaml": V2.replace("15s", "20s"), "release.yaml": CANARY},
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_printed(case: str, edit: Edit, golden: Golden) -> None:
    result = run(SAMPLE, edit(CASES[case]))

    assert result.exit_code == (1 if case == "refused" else 2)
    golden.check("diff.txt", result.stdout)


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_as_data(style: str, edit: Edit) -> None:
    result = run(SAMPLE, edit(CASES["canary"]), "-o", style)
    found = json.loads(result.stdout) if style == "json" else yaml.safe_load(result.stdout)

    assert result.exit_code == 2
    assert found["changes"] is True
    host, _ = found["traffic"], found["resources"]
    assert host == [
        {
            "gateway": "edge",
            "host": "shop.localhost",
            "release": {"before": "shop", "after": "shop"},
            "rules": [
                {
                    "rule": "default",
                    "change": "changed",
                    "instead": "",
                    "match": {"before": None, "after": None},
                    "before": [{"deployment": "shop-v1", "percent": 100.0}],
                    "after": [
                        {"deployment": "shop-v1", "percent": 75.0},
                        {"deployment": "shop-v2", "percent": 25.0},
                    ],
                    "moves": [{"from": {"deployment": "shop-v1"}, "to": {"deployment": "shop-v2"}, "percent": 25.0}],
                    "drawnAnew": False,
                }
            ],
            "order": [],
        }
    ]
    assert found["records"] == [
        {
            "record": "Release/default/shop",
            "change": "changed",
            "fields": [
                {"path": "spec.default.shop-v1.weight", "before": 100, "after": 75},
                {"path": "spec.default.shop-v2.weight", "before": 0, "after": 25},
            ],
        }
    ]


EVERYTHING = {**CASES["beta"], **CASES["redirect"], **CASES["refused"]}


def test_every_case_as_data(edit: Edit, golden: Golden) -> None:
    golden.check("diff.yaml", run(SAMPLE, edit(EVERYTHING), "-o", "yaml").stdout)


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        (REDIRECT, "1 record differs; 1 listener opens, 1 listener changes; settings of 1 gateway change"),
        (GATEWAY.replace("name: http", "name: web"), "1 record differs; 1 listener changes"),
        (GATEWAY.replace(".preview.", ".beta."), "1 record differs; explicit access changes at 1 gateway"),
        (GATEWAY.replace("rule: true", "rule: false"), "1 record differs; settings of 1 gateway change"),
        (GATEWAY.replace("{name: edge}", "{name: edge, labels: {team: shop}}"), "1 record differs; no traffic moves"),
        (
            GATEWAY + "---\n" + GATEWAY.replace("edge", "inner").replace("preview", "inner"),
            "1 record differs; 1 listener opens; explicit access changes at 1 gateway",
        ),
    ],
    ids=["redirect", "name", "template", "reveal", "labels", "second-gateway"],
)
def test_what_a_gateway_does_otherwise_is_in_the_last_line(gateway: str, said: str, edit: Edit) -> None:
    assert run(SAMPLE, edit({"gateway.yaml": gateway, **PEMS})).stdout.splitlines()[-1] == said


def test_a_released_deployment_that_is_edited_is_in_the_last_line(edit: Edit) -> None:
    branch = V2.replace('  version: "v2"\n', "")
    old = edit({"v2.yaml": branch})
    new = old.with_name("newer")
    shutil.copytree(old, new)
    (new / "v2.yaml").write_text(branch.replace("15s", "20s"), "utf-8")

    assert run(old, new).stdout.splitlines()[-1] == "1 record differs; 1 released deployment changes"


def test_calls_without_a_context_that_change_are_in_the_last_line(edit: Edit) -> None:
    refusing = APP.replace("released", "refuse")
    old = edit({"app.yaml": APP})
    shared = old.with_name("shared")
    shutil.copytree(old, shared)
    (shared / "app.yaml").write_text(refusing, "utf-8")

    assert run(old, shared).stdout.splitlines()[-1] == f"1 record differs; {CALLS_CHANGE}"


@pytest.mark.parametrize(("app", "said"), [("released", "no traffic moves"), ("refuse", CALLS_CHANGE)])
def test_a_deploy_that_has_calls_refused_says_so_in_the_last_line(app: str, said: str, edit: Edit) -> None:
    """The first other version turns builds from owned to shared."""
    new = edit({"app.yaml": APP.replace("released", app), "release.yaml": ONLY_V1})
    old = new.with_name("old")
    shutil.copytree(new, old)
    (old / "v2.yaml").unlink()

    assert run(old, new).stdout.splitlines()[-1] == f"1 record differs; {said}"


def test_a_folder_is_not_different_from_itself() -> None:
    result = run(SAMPLE, SAMPLE)

    assert (result.exit_code, result.stdout) == (0, "nothing changes\n")


def test_a_comment_is_no_difference(edit: Edit) -> None:
    assert run(SAMPLE, edit({"release.yaml": "# hello\n" + RELEASE})).exit_code == 0


def test_a_wrong_use_is_an_error_and_no_change(tmp_path: Path) -> None:
    """Exit code 2, which says wrong use elsewhere, means here that something changes."""
    for wrong in ((SAMPLE, tmp_path / "none"), (tmp_path / "none", SAMPLE), (SAMPLE,), (SAMPLE, SAMPLE, "-o", "xml")):
        assert run(*wrong).exit_code == 1


def test_an_empty_folder_is_believed_only_if_that_is_said(tmp_path: Path) -> None:
    refused, believed = run(SAMPLE, tmp_path), run(SAMPLE, tmp_path, "--allow-empty")

    assert refused.exit_code == 1
    assert "SourceUnreadable" in refused.stdout
    assert believed.exit_code == 2
    assert "no host of Release shop any more" in believed.stdout


def test_everything_is_new_to_an_empty_folder(tmp_path: Path) -> None:
    result = run(tmp_path, SAMPLE)

    assert result.exit_code == 2
    assert "new, of Release shop" in result.stdout
