"""Every promise has a test on real Envoys, and every test of a promise says what it holds."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "promises.md"
ABOUT_PROMISES = (
    *("test_retries.py", "test_instances.py", "test_balancing.py"),
    *("test_streams.py", "test_upgrades.py", "test_grpc.py", "test_dns.py", "test_upstream_tls.py"),
    *("test_tls.py", "test_certificates.py", "test_xds_tls.py"),
    *("test_mesh.py", "test_mesh_load.py", "test_mesh_protocols.py", "test_mesh_rules.py", "test_fleet_order.py"),
    *("test_delivery.py", "test_startup.py", "test_shutdown.py", "test_history.py"),
)
ROW = re.compile(r"^\| (?P<promise>[^|]+) \| (?P<how>[^|]+) \| (?P<tests>[^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(e2e/\w+\.py::\w+)`")


def rows() -> list[tuple[str, list[str]]]:
    found = [(row["promise"], TEST.findall(row["tests"])) for row in ROW.finditer(PAGE.read_text("utf-8"))]
    return [row for row in found if row[0] not in {"what is promised", "---"}]


def found_in(file: Path) -> set[str]:
    functions = (node for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.FunctionDef))
    return {f"e2e/{file.name}::{each.name}" for each in functions if each.name.startswith("test_")}


def test_every_row_names_tests_that_exist():
    exist = set().union(*map(found_in, (ROOT / "e2e").glob("test_*.py")))

    assert rows()
    assert [promise for promise, named in rows() if not named or not exist.issuperset(named)] == []


def test_every_line_of_a_table_is_a_row():
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|") and "---" not in line]

    assert len(lines) - lines.count("| what is promised | how to set it | test |") == len(rows())


def test_every_test_of_a_promise_has_a_row():
    named = {test for _, tests in rows() for test in tests}
    written = set().union(*(found_in(ROOT / "e2e" / file) for file in ABOUT_PROMISES))

    assert written - named == set()
