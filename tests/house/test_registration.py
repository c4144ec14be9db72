"""Kinds of resources and of sources are registered: no code of the operator branches on one of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields

import pytest
from tests.house.tree import OPERATOR

from agentex_operator.api.sources import BuildSource

ONE_PLACE = {"core/source_facts.py"}  # what the decisions know of each kind of source
MEMBERS = {field.name for field in fields(BuildSource)} - {"undeclared"}
RECORDS = {"BuildRecord", "DeploymentRecord"}
KINDS = {"AGENT_BUILD", "AGENT_DEPLOYMENT"}


def test_no_code_branches_on_a_registered_kind() -> None:
    found = {(str(path.relative_to(OPERATOR)), branch) for path in sorted(OPERATOR.rglob("*.py"))
             for branch in branches(path.read_text())}

    assert {(path, branch) for path, branch in found if path not in ONE_PLACE} == set()
    assert found != set()


@pytest.mark.parametrize("code", [
    "if spec.source.http is not None: pass",
    "found = source.config_map_key_ref or source.secret_key_ref",
    "isinstance(record, DeploymentRecord)",
    "isinstance(record, (BuildRecord, Other))",
    "noun = 'build' if self.kind is AGENT_BUILD else 'deployment'",
    "kind == kinds.AGENT_DEPLOYMENT",
])
def test_each_way_of_branching_is_noticed(code: str) -> None:
    assert list(branches(code)) != []


def branches(code: str) -> Iterator[str]:
    """The expressions that ask which registered kind a source, a record or a resource is of."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and node.attr in MEMBERS and _name(node.value) == "source":
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and _name(node.func) == "isinstance" and RECORDS & _names(node.args[1]):
            yield ast.unparse(node)
        if isinstance(node, ast.Compare) and KINDS & {_name(one) for one in (node.left, *node.comparators)}:
            yield ast.unparse(node)


def _names(node: ast.expr) -> set[str]:
    return {_name(one) for one in ast.walk(node) if isinstance(one, ast.expr)}


def _name(node: ast.expr) -> str:
    """The last part of a dotted name; "" for another expression."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def test_every_secret_is_read_through_the_check() -> None:
    """A Secret that is read past `CheckedObjects` could be one that may not be used."""
    readers = {str(path.relative_to(OPERATOR)) for path in sorted(OPERATOR.rglob("*.py"))
               for node in ast.walk(ast.parse(path.read_text()))
               if isinstance(node, ast.Attribute) and node.attr == "secret" and "cluster" in ast.unparse(node.value)}

    assert readers == {"kube/secret_reads.py", "sources/cluster_objects.py"}
