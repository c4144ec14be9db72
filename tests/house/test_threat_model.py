"""The threat model: every statement about an actor names the tests that show it, and these tests exist."""

from __future__ import annotations

import ast
import re

import pytest
from tests.house.tree import ROOT

ACTORS = ("Tenant", "GitOps engine", "Compromised pod", "Remote API", "Source host")
TEXT = (ROOT / "SECURITY.md").read_text()
ROWS = [line for line in TEXT.partition("### Actors")[2].partition("### Proxies")[0].splitlines()
        if line.startswith("| ") and not line.endswith("| test |")]
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", TEXT)))


def test_every_actor_has_a_table() -> None:
    sections = re.findall(r"^\*\*([A-Za-z ]+)\*\*.*?\n\n\| ", TEXT, re.MULTILINE)

    assert tuple(sections) == ACTORS


@pytest.mark.parametrize("row", ROWS)
def test_every_statement_ends_with_the_tests_that_show_it(row: str) -> None:
    last = row.strip("| ").rpartition("|")[2]

    assert re.fullmatch(r"\s*`tests/[^`]+`(, `tests/[^`]+`)*", last)


@pytest.mark.parametrize("name", NAMED)
def test_every_test_it_names_exists(name: str) -> None:
    file, _, function = name.partition(":")
    tree = ast.parse((ROOT / file).read_text())
    tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
             and node.name.startswith("test_")}

    assert function in tests if function else tests
