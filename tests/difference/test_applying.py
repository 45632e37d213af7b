"""Records that are applied: where they go, what is refused, and with which line of the applied file."""

import pytest

from tests.records.folder import SHOP, Server, deployment, documents, release
from xds_server.difference.applying import (
    Applied,
    Faulty,
    Outcome,
    applied,
    check_expected,
    homes,
    objections,
    rewritten,
)
from xds_server.difference.steering import CannotSteer
from xds_server.domain.names import Ref
from xds_server.records.reading import FileChange

SHOP_REF = Ref("default", "shop")
NEW = release("shop", "shop.test", to="v2")
V3 = deployment("v3", "b2")


def outcomes(*files: tuple[str, str], folder: dict[str, str] = SHOP) -> dict[str, tuple[str, str]]:
    return {str(each.key): (each.outcome.value, each.home) for each in applied(Server(folder).admission, dict(files))}


def changes(server: Server, texts: dict[str, str | None], **files: str) -> list[FileChange]:
    given = {f"{name}.yaml": text for name, text in files.items()}
    records = applied(server.admission, given)
    return list(rewritten(server.admission, records, given, {name: texts.get(name) for name in homes(records)}))


def test_a_record_goes_where_it_is_stated_and_a_new_one_where_its_file_is_called() -> None:
    assert outcomes(("new/all.yaml", documents(NEW, V3, deployment("v1", "b1")))) == {
        "Release/default/shop": ("changed", "shop.yaml"),
        "AppDeployment/default/v3": ("added", "all.yaml"),
        "AppDeployment/default/v1": ("unchanged", "v1.yaml"),
    }


def test_a_file_whose_records_are_all_new_is_taken_as_it_is() -> None:
    text = f"# Of the third.\n---\n{V3}# The end.\n"

    assert changes(Server(SHOP), {}, v3=text) == [FileChange("v3.yaml", None, text)]


def test_other_records_of_the_files_stay_as_they_are() -> None:
    both = documents(SHOP["v1.yaml"], "# Who gets what.\n" + SHOP["shop.yaml"])
    server = Server({name: text for name, text in SHOP.items() if name != "v1.yaml"} | {"shop.yaml": both})
    text = documents(NEW, V3)

    assert changes(server, {"shop.yaml": both}, shop=text) == [
        FileChange("shop.yaml", both, documents(SHOP["v1.yaml"], NEW, V3))
    ]


def test_a_new_record_is_not_put_among_somebody_elses() -> None:
    with pytest.raises(
        CannotSteer, match=r"v3 is new, and v1\.yaml of the folder states AppDeployment/default/v1: give"
    ):
        outcomes(("elsewhere/v1.yaml", V3))
    with pytest.raises(CannotSteer, match=r"a/new\.yaml would both become new\.yaml"):
        outcomes(("a/new.yaml", V3), ("b/new.yaml", deployment("v4", "b2")))


def test_a_record_that_is_stated_twice_is_not_guessed_at() -> None:
    with pytest.raises(CannotSteer, match="is stated more than once"):
        outcomes(("new.yaml", NEW), folder={**SHOP, "again.yaml": SHOP["shop.yaml"]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [", "new.yaml:2: error: the file is not YAML", id="no-yaml"),
        pytest.param("# nothing\n", "new.yaml: error: the file has no record", id="empty"),
        pytest.param(f"\n{V3.replace('spec', 'spek')}", "new.yaml:2 (document 1): error:", id="broken"),
        pytest.param(documents(V3, V3), "is applied twice: new.yaml:1 (document 1) and new.yaml:3", id="twice"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Faulty) as refused:
        outcomes(("new.yaml", text))

    assert said in str(refused.value)


def objected(server: Server, text: str) -> list[str]:
    """What is said of a file that is applied as `new/shop.yaml`, once the folder has it."""
    files = {"new/shop.yaml": text}
    records = applied(server.admission, files)
    found = rewritten(server.admission, records, files, {name: SHOP.get(name) for name in homes(records)})
    before = server.admission
    server.hears({each.name: each.after for each in found})
    return [str(each) for each in objections(before, server.admission, records)]


def test_what_would_be_wrong_is_said_with_the_line_of_the_applied_file() -> None:
    text = "\n# A release to nowhere.\n" + release("shop", "shop.test", to="v9")

    [said] = objected(Server(SHOP), text)
    assert said.startswith("new/shop.yaml:3 (document 1): error: Release/default/shop:")
    assert said.endswith("[UnknownDeployment]")


def test_what_else_it_brings_about_is_said_where_it_is() -> None:
    """A version that changes is refused by itself; the host that another release wants, by that release."""
    server = Server({**SHOP, "late.yaml": release("late", "late.test")})

    [said] = objected(server, release("shop", "shop.test", "late.test"))
    assert said.startswith("new/shop.yaml:1 (document 1): error: Release/default/shop: host late.test")


def test_a_record_that_is_unchanged_and_held_back_is_wrong_too() -> None:
    broken = release("shop", "shop.test", to="v9")
    server = Server(SHOP)
    server.hears({"shop.yaml": broken})
    records = applied(server.admission, {"new/shop.yaml": broken})

    [said] = objections(server.admission, server.admission, records)
    assert (records[0].outcome, said.where.file) == (Outcome.UNCHANGED, "shop.yaml")


def test_a_file_that_says_something_else_than_what_was_read_is_not_written() -> None:
    for text in (None, SHOP["shop.yaml"].replace("v1", "v2"), "a: ["):
        with pytest.raises(CannotSteer, match=r"shop\.yaml (was changed just now|is not YAML)"):
            changes(Server(SHOP), {"shop.yaml": text}, shop=NEW)
    with pytest.raises(CannotSteer, match=r"v3\.yaml was changed just now"):
        changes(Server(SHOP), {"v3.yaml": V3}, v3=V3)


def test_a_release_may_be_expected_to_be_what_somebody_saw() -> None:
    admission = Server(SHOP).admission
    records = applied(admission, {"new.yaml": NEW})
    seen = _content(applied(admission, {"new.yaml": SHOP["shop.yaml"]}))

    check_expected(admission, records, {SHOP_REF: seen[:8]})
    with pytest.raises(CannotSteer, match=f"says content {seen[:12]}, where 0123abcd is expected"):
        check_expected(admission, records, {SHOP_REF: "0123abcd"})
    with pytest.raises(CannotSteer, match="Release late is not among the records"):
        check_expected(admission, records, {Ref("default", "late"): seen})


def _content(records: tuple[Applied, ...]) -> str:
    return records[0].content
