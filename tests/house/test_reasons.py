"""Reasons: each is a constant, and docs/reasons.md has its meaning and the next step."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import get_args

import pytest
from tests.house import documents
from tests.house.tree import OPERATOR, ROOT

from agentex_operator.api.operator_memory import RemovalReason
from agentex_operator.core import reasons
from agentex_operator.core.adoptions import AdoptionReason
from agentex_operator.core.deployment import facts, records

DOCUMENT = ROOT / "docs" / "reasons.md"
KNOWN = {value for name, value in vars(reasons).items() if name.isupper()}
OF_ACTS = {*get_args(RemovalReason), *get_args(AdoptionReason)}
# Where the reason stands among the arguments of what reaches a condition, an Event or the log.
PLACES = {"Verdict": 1, "Fact": 2, "Failure": 1, "Notice": 1, "AccountProblem": 0, "InvalidInput": 0, "NotReady": 0,
          "Readiness": 1}
READ_BACK = "reasons.stored("  # of a condition in a status: another version may have written it


def test_every_reason_is_described_and_no_other() -> None:
    assert sorted(documents.first_column(DOCUMENT, "reason")) == sorted(KNOWN)


def test_every_reason_of_a_remote_act_is_described_and_no_other() -> None:
    assert sorted(documents.first_column(DOCUMENT, "reason of the act")) == sorted(OF_ACTS)


def test_every_reason_has_a_meaning_and_a_next_step() -> None:
    rows = [line.strip("|").split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]

    assert [row for row in rows if len(row) != 4 or not all(cell.strip() for cell in row)] == []


def test_every_reason_that_the_code_gives_is_a_constant() -> None:
    found = {(str(path.relative_to(OPERATOR)), made) for path in sorted(OPERATOR.rglob("*.py"))
             for made in reasons_made(path.read_text())}

    assert found == set()


@pytest.mark.parametrize("code", [
    'Fact("Deployed", "False", state.value, "It is gone.")',
    'Fact("Deployed", "False", reasons.DELETING if deleting else state.value.capitalize(), "It is gone.")',
    'Verdict("False", f"Not{noun}", "It is gone.")',
    'Verdict(ready="False", reason="Not" + noun, message="It is gone.")',
    'replace(verdict, reason="Gone")',
    'raise NotReady("NotThere", "There is none.")',
])
def test_each_way_of_making_a_reason_is_noticed(code: str) -> None:
    assert list(reasons_made(code)) != []


def test_a_reason_is_made_in_one_place() -> None:
    made = {str(path.relative_to(OPERATOR)) for path in OPERATOR.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Reason")}

    assert made == {"core/reasons.py"}


def test_deployed_has_a_reason_for_each_state_of_a_deployment_that_is_gone() -> None:
    assert facts.GONE.keys() == records.DEAD


def reasons_made(code: str) -> Iterator[str]:
    """The expressions for a reason that make one, instead of naming a constant; mypy checks the types of the names."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            for given in _reasons_given(node):
                if any(map(_makes_text, ast.walk(given))) and not ast.unparse(given).startswith(READ_BACK):
                    yield ast.unparse(given)


def _reasons_given(call: ast.Call) -> Iterator[ast.expr]:
    place = PLACES.get(ast.unparse(call.func).rpartition(".")[2])
    yield from (one.value for one in call.keywords if one.arg == "reason")
    if place is not None and len(call.args) > place and not any(isinstance(one, ast.Starred) for one in call.args):
        yield call.args[place]


def _makes_text(node: ast.AST) -> bool:
    text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return text or isinstance(node, ast.Call | ast.JoinedStr | ast.BinOp) or (
        isinstance(node, ast.Attribute) and node.attr == "value")
