"""`xdsctl apply` and `set` against a real server, its folder and its HTTP interface."""

import asyncio
import json
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.test_steering import lines, ran
from tests.conftest import Golden
from tests.records.folder import SHOP, deployment, documents, gateway, record, release, shop_in
from tests.runtime.test_waiting import SHOP_REF, House, house
from xds_server.cli.ctl import app
from xds_server.cli.waiting import Code
from xds_server.difference.history import Word
from xds_server.domain.names import Ref
from xds_server.records.documents import Key
from xds_server.runtime.clock import clock

WHO = ["--who", "ada@desk", "--why", "v2 is good"]
COMMENTED = """\
# The shop.
apiVersion: xds-server.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  app: shop
  gateways: [edge]
  hosts: [shop.test]
  default:
    - {deployment: v1, weight: 95}   # the old one
    - {deployment: v2, weight: 5}    # the canary
"""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    folder = shop_in(tmp_path)
    (folder / "shop.yaml").write_text(COMMENTED)
    return folder


@pytest.fixture
def new(tmp_path: Path) -> Path:
    folder = tmp_path / "new"
    folder.mkdir()
    return folder


def gives(here: House, name: str = "shop") -> dict[str, float]:
    found = here.control.admission.world.app(Ref("default", "shop")).releases[Ref("default", name)].weights
    return {deployment.word: weight / 100 for deployment, weight in found}


async def test_shares_are_set_in_the_record_and_nothing_else_is(records: Path) -> None:
    async with house(records) as here, here.proxy() as proxy:
        setting = asyncio.create_task(ran(here, "set", "shop", "v2=25", *WHO))  # noqa: TID251 - it ends in this test
        await proxy.routes()
        await proxy.accept()
        done = await setting

        assert done.exit_code == 0, done.output
        assert lines(done)[0] == "shop: default: v1 95 %, v2 5 % -> v1 75 %, v2 25 %"
        assert "live: 1 of 1 accepted" in lines(done)[1]
        assert (records / "shop.yaml").read_text() == COMMENTED.replace("95", "75").replace("weight: 5", "weight: 25")
        assert gives(here) == {"v1": 75, "v2": 25}
        [event, *_] = here.control.history(SHOP_REF)
        assert (event.word, event.what) == (
            Word("ada@desk", "v2 is good"),
            "default: v1 95 %, v2 5 % -> v1 75 %, v2 25 %",
        )


async def test_what_is_not_set_is_said(records: Path) -> None:
    async with house(records) as here:
        for words, said in (
            (("shap", "v2=5"), "no Release shap is in force; there is shop"),
            (("shop", "v9=5"), "v9 is not deployed for app shop"),
            (("shop", "v2=5", "--expect", "0123abcd"), "where 0123abcd is expected"),
        ):
            result = await ran(here, "set", *words, *WHO)
            assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
        for share in ("v2", "=5", "v2=x", "v2=nan", "v2=5.001", "v2=100.1", "v2=-1"):
            assert (await ran(here, "set", "shop", share, *WHO)).exit_code == 2, share
        assert "is written twice" in (await ran(here, "set", "shop", "v2=5", "v2=6", *WHO)).stderr

        await ran(here, "rollback", "shop", "--to", "v1", "--timeout", "0s", *WHO)
        assert "xdsctl unpin shop comes first" in (await ran(here, "set", "shop", "v2=5", *WHO)).stderr
    assert (records / "shop.yaml").read_text() == COMMENTED


async def test_of_two_who_set_at_once_nothing_is_lost(records: Path) -> None:
    (records / "v3.yaml").write_text(deployment("v3", "b2"))
    async with house(records) as here:
        one, two = await asyncio.gather(
            ran(here, "set", "shop", "v2=10", "--timeout", "0s", "--who", "ada"),
            ran(here, "set", "shop", "v3=50", "--timeout", "0s", "--who", "bob"),
        )
        # No proxy is there to have it; what was set first may have been replaced before that was said.
        assert {one.exit_code, two.exit_code} <= {Code.SUPERSEDED, Code.NO_PROXIES}, one.output + two.output
        last, first = here.control.history(SHOP_REF)
        assert {last.word.who, first.word.who} == {"ada", "bob"}
        assert last.before == first.after
        assert gives(here)[{"ada": "v2", "bob": "v3"}[last.word.who]] == {"ada": 10, "bob": 50}[last.word.who]


async def test_files_are_applied_and_in_force_when_the_command_ends(records: Path, new: Path) -> None:
    (new / "all.yaml").write_text(
        documents(deployment("v3", "b2"), "# To v3.\n" + release("shop", "shop.test", to="v3"))
    )
    async with house(records) as here:
        dry = await ran(here, "apply", str(new / "all.yaml"), "--dry-run", *WHO)
        assert lines(dry) == [
            "AppDeployment/default/v3: would be added to all.yaml",
            "Release/default/shop: would be changed in shop.yaml",
        ]
        assert gives(here) == {"v1": 95, "v2": 5}

        done = await ran(here, "apply", str(new / "all.yaml"), *WHO)
        assert lines(done) == [
            "AppDeployment/default/v3: added to all.yaml",
            "Release/default/shop: changed in shop.yaml",
        ]
        assert gives(here) == {"v3": 100}
        assert (records / "all.yaml").read_text() == deployment("v3", "b2")
        assert (records / "shop.yaml").read_text() == "# To v3.\n" + release("shop", "shop.test", to="v3")
        assert here.control.history(SHOP_REF)[0].word == Word("ada@desk", "v2 is good")
        written = (records / "shop.yaml").stat().st_mtime_ns

        again = await ran(here, "apply", str(new / "all.yaml"), *WHO)
        assert lines(again) == ["AppDeployment/default/v3: unchanged", "Release/default/shop: unchanged"]
        assert (records / "shop.yaml").stat().st_mtime_ns == written


async def test_applying_waits_until_the_releases_are_live(records: Path, new: Path) -> None:
    (new / "shop.yaml").write_text(COMMENTED.replace("95", "90").replace("weight: 5", "weight: 10"))
    async with house(records) as here, here.proxy() as proxy:
        words = ("apply", str(new / "shop.yaml"), "--wait", *WHO)
        applying = asyncio.create_task(ran(here, *words))  # noqa: TID251 - it ends in this test
        await proxy.routes()
        await proxy.accept()

        done = await applying
        assert (done.exit_code, "live: 1 of 1 accepted" in lines(done)[-1]) == (0, True)
        assert (await ran(here, *words)).exit_code == 0

        again = await ran(here, *words, "-o", "json")
        assert json.loads("\n".join(lines(again)))["records"][0]["outcome"] == "unchanged"
        assert "live: 1 of 1 accepted" in again.stderr


async def test_one_record_that_is_wrong_keeps_all_of_them_out(records: Path, new: Path) -> None:
    bad = documents(deployment("v3", "b2"), "\n" + release("shop", "shop.test", to="v9"))
    (new / "bad.yaml").write_text(bad)
    async with house(records) as here:
        refused = await ran(here, "apply", str(new / "bad.yaml"), *WHO)

        assert refused.exit_code == 1
        assert f"{new / 'bad.yaml'}:4 (document 2): error: Release/default/shop:" in refused.stderr
        assert "xdsctl: nothing is written" in refused.stderr
        assert Key("AppDeployment", Ref("default", "v3")) not in here.control.admission.in_force
    assert not (records / "bad.yaml").exists()


async def test_warnings_keep_nothing_out(records: Path, new: Path) -> None:
    shares = [{"deployment": "v1", "weight": 95}, {"deployment": "branch", "weight": 5}]
    branch = deployment("branch", "b2", version=None)
    (new / "branch.yaml").write_text(documents(branch, release("shop", "shop.test", default=shares)))
    async with house(records) as here:
        done = await ran(here, "apply", str(new / "branch.yaml"), *WHO)

        assert done.exit_code == 0, done.stderr
        assert f"{new / 'branch.yaml'}:3" in done.stderr
        assert "[MutableReleased]" in done.stderr
        assert gives(here) == {"v1": 95, "branch": 5}


async def test_a_file_that_was_changed_meanwhile_is_not_written(records: Path, new: Path) -> None:
    """The server has not read yet what somebody wrote just now."""
    (new / "shop.yaml").write_text(release("shop", "shop.test", to="v2"))
    async with house(records) as here:
        with (records / "shop.yaml").open("a") as editor:
            editor.write("# I am not done\n")
            editor.flush()
            refused = await ran(here, "apply", str(new / "shop.yaml"), *WHO)
        assert (refused.exit_code, "being written by somebody else" in refused.stderr) == (1, True), refused.stderr

        seen = await ran(here, "apply", str(new / "shop.yaml"), "--expect", "shop=0123abcd", *WHO)
        assert (seen.exit_code, "where 0123abcd is expected" in seen.stderr) == (1, True)


async def test_a_mount_of_kubernetes_is_not_written(records: Path, new: Path) -> None:
    (new / "v3.yaml").write_text(deployment("v3", "b2"))
    (records / "..data").symlink_to(records / "elsewhere")
    async with house(records) as here:
        refused = await ran(here, "apply", str(new / "v3.yaml"), *WHO)
        assert (refused.exit_code, "is a mount of Kubernetes" in refused.stderr) == (1, True)


async def test_a_folder_that_is_not_believed_is_not_written(records: Path, new: Path) -> None:
    (new / "v3.yaml").write_text(deployment("v3", "b2"))
    async with house(records) as here:
        (records / "shop.yaml").unlink()
        await here.until(lambda: bool(here.control.admission.source))
        refused = await ran(here, "apply", str(new / "v3.yaml"), *WHO)
        assert "nothing is written now: the folder has no release any more" in refused.stderr


async def test_a_folder_that_is_empty_takes_its_first_records(tmp_path: Path, new: Path) -> None:
    (tmp_path / "records").mkdir()
    (new / "shop.yaml").write_text(documents(*SHOP.values()))
    async with house(tmp_path / "records") as here:
        done = await ran(here, "apply", str(new / "shop.yaml"), *WHO)
        assert (done.exit_code, gives(here)) == (0, {"v1": 100})
    assert (tmp_path / "records" / "shop.yaml").read_text() == documents(*SHOP.values())


async def test_the_answer_is_data_too(records: Path, new: Path) -> None:
    (new / "edge2.yaml").write_text(gateway("edge2"))
    async with house(records) as here:
        said = json.loads("".join(lines(await ran(here, "apply", str(new / "edge2.yaml"), "-o", "json", *WHO))))
        assert datetime.fromisoformat(said.pop("at")) <= clock()
        assert said == {
            "written": True,
            "records": [{"record": "Gateway/default/edge2", "outcome": "added", "file": "edge2.yaml", "content": ""}],
            "problems": [],
        }


async def test_what_is_written_wrong_is_said(records: Path, new: Path) -> None:
    (new / "other.yaml").write_text(record("Service", "web", {}))
    (new / "bytes.yaml").write_bytes(b"\xff")
    async with house(records) as here:
        assert "kind 'Service' is not known" in (await ran(here, "apply", str(new / "other.yaml"))).stderr
        assert (
            "bytes.yaml cannot be read: it is not UTF-8" in (await ran(here, "apply", str(new / "bytes.yaml"))).stderr
        )
        assert (await ran(here, "apply", str(new / "other.yaml"), "--expect", "shop")).exit_code == 2
        assert (await ran(here, "apply", str(new / "other.yaml"), "--expect", "shop=so")).exit_code == 2
        assert (await ran(here, "set", "shop", "v2=5", "--expect", "so")).exit_code == 2


ROLLING = COMMENTED + "  sticky: {cookie: shop-user}\n  rollout: {steps: [{to: 25, for: 20m}, {to: 100}]}\n"


async def test_a_plan_says_what_applying_would_do(records: Path, new: Path, golden: Golden) -> None:
    (new / "v3.yaml").write_text(deployment("v3", "b2"))
    (new / "shop.yaml").write_text(ROLLING.replace("95", "60").replace("weight: 5", "weight: 40"))
    (records / "shop.yaml").write_text(ROLLING)
    files = [str(new / "v3.yaml"), str(new / "shop.yaml")]
    offline = await asyncio.to_thread(CliRunner().invoke, app, ["plan", str(records), *files])
    async with house(records) as here:
        before = here.control.admission
        asked = await ran(here, "plan", *files)
        data = json.loads("\n".join(lines(await ran(here, "plan", *files, "-o", "json"))))
        assert here.control.admission is before

        await ran(here, "apply", *files, *WHO)
        again = await ran(here, "plan", *files)

    assert (asked.exit_code, offline.exit_code, again.exit_code) == (2, 2, 0)
    said = "".join(f"{line}\n" for line in lines(asked)).replace(str(new), "NEW")
    golden.check("plan.txt", said)
    assert offline.stdout.replace(str(new), "NEW") == said
    assert data["users"] == [
        {"release": "shop", "moves": {"slots": 22937, "of": 65536, "percent": 35.0}, "drawnAnew": False}
    ]
    assert [each["moves"]["slots"] for each in data["rollouts"][0]["steps"]] == [0, 39322]


async def test_a_plan_that_would_be_refused(records: Path, new: Path) -> None:
    (new / "shop.yaml").write_text(release("shop", "shop.test", to="v9"))
    (new / "broken.yaml").write_text("a: [")
    async with house(records) as here:
        refused = await ran(here, "plan", str(new / "shop.yaml"))
        malformed = await ran(here, "plan", str(new / "broken.yaml"))
        assert "what is wrong is not planned: put it right first" in malformed.stderr
        assert (refused.exit_code, f"{new / 'shop.yaml'}:1 (document 1): error" in refused.stdout) == (1, True)
        assert (await ran(here, "plan", str(new / "broken.yaml"))).exit_code == 1


@pytest.mark.parametrize("name", ["shop.yaml", "broken.yaml", "v1.yaml"])
def test_a_plan_against_a_folder_that_would_be_refused(records: Path, new: Path, name: str) -> None:
    (new / "shop.yaml").write_text(release("shop", "shop.test", to="v9"))
    (new / "broken.yaml").write_text("a: [")
    (new / "v1.yaml").write_text(deployment("v3", "b2"))
    found = CliRunner().invoke(app, ["plan", str(records), str(new / name)])

    assert found.exit_code == 1
    said = {"shop.yaml": "is not there", "broken.yaml": "is not YAML", "v1.yaml": "give"}
    assert said[name] in found.output or "[UnknownDeployment]" in found.output


def test_a_plan_needs_files(records: Path) -> None:
    for words in ([records], [records, records], [records / "v1.yaml", records]):
        found = CliRunner().invoke(app, ["plan", *map(str, words)])
        assert (found.exit_code, "the folder to compare with comes first" in found.stderr) == (1, True)
