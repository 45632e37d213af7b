"""What is guaranteed, and what is not, has the tests that its rows name, and every test of delivery has a row."""

import ast
import re
from pathlib import Path

from xds_server.records.documents import read_documents

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "guaranteed-delivery.md").read_text("utf-8")
SECTIONS = ("Guaranteed", "Guaranteed if the record says so", "Not guaranteed")
TEST = re.compile(r"`(e2e/test_\w+\.py)::(test_\w+)`")


def rows(section: str) -> list[str]:
    [said] = re.findall(rf"^## {section}\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    _, _, *found = (line for line in said.splitlines() if line.startswith("|"))
    return found


def found_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}


def test_every_row_names_tests() -> None:
    lists = {section: rows(section) for section in SECTIONS}

    assert all(lists.values())
    assert [row for found in lists.values() for row in found if not TEST.search(row.split(" | ")[-1])] == []


def test_every_test_that_is_named_exists() -> None:
    assert [(file, test) for file, test in TEST.findall(PAGE) if test not in found_in(file)] == []


def test_every_test_of_delivery_has_a_row() -> None:
    named = {test for section in SECTIONS for row in rows(section) for _, test in TEST.findall(row)}

    assert found_in("e2e/test_delivery.py") - named == set()


def test_its_record_is_one() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    [found] = read_documents("guaranteed-delivery.md", text)

    assert (found.record is not None, found.problems) == (True, ())
