"""What the documents say is there, is there; what users copy, works."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from tests.core.core_fixture import a_build
from tests.house import documents
from tests.house.documents import DOCUMENTS, SEEN_FROM, name_of
from tests.house.tree import OPERATOR, ROOT

from agentex_operator.api.account import AgentexAccount, ClusterAgentexAccount
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.cli.run import run

KINDS = {kind.__name__: kind for kind in (AgentBuild, AgentDeployment, AgentexAccount, ClusterAgentexAccount)}
METADATA = {"uid": "u", "creationTimestamp": "2026-11-23T00:00:00Z"}
RULES = ROOT / "deploy" / "helm" / "agentex-operator" / "files" / "cluster-role-rules.yaml"
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)


@every_document
def test_every_path_it_names_exists(document: Path) -> None:
    assert [path for path in documents.paths(document) if not is_there(path)] == []


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    assert [link for link in documents.links(document) if not (document.parent / link).exists()] == []


def test_the_walk_through_the_code_names_functions() -> None:
    named = documents.paths(ROOT / "operator" / "ARCHITECTURE.md")

    assert sum(":" in path for path in named) > 20


@pytest.mark.parametrize(("document", "text"), [
    pytest.param(name_of(document), text, id=f"{name_of(document)}-{number}")
    for document in DOCUMENTS for number, text in enumerate(documents.blocks(document, "yaml"))
    if yaml.safe_load(text)["kind"] != "ConfigMap"  # of Argo CD: test_argo_cd.py
])
def test_every_resource_it_shows_is_valid(document: str, text: str) -> None:
    obj = yaml.safe_load(text)
    known = set(obj) | {f"spec.{name}" for name in obj["spec"]}
    read = KINDS[obj["kind"]].parse({**obj, "metadata": {**METADATA, **obj["metadata"]}})

    assert obj["apiVersion"] == "agentex.scale.com/v1alpha1"
    assert known - {"apiVersion", "kind", "metadata", "spec"} <= fields_of(obj["kind"])
    assert read.meta.name == obj["metadata"]["name"]


def test_the_walk_names_the_calls_of_a_first_pass_in_their_order() -> None:
    text = (ROOT / "operator" / "ARCHITECTURE.md").read_text()
    sentence = re.search(r"calls of a healthy first pass, in order:(.*?)\(", text, re.DOTALL)
    world = a_build()

    world.run()

    assert sentence is not None
    assert re.findall(r"`(\w+)`", sentence[1]) == [type(call).__name__ for call in world.calls]


def test_every_phase_is_in_the_table() -> None:
    table = re.findall(r"^\| ([A-Z][a-z]+) \| [A-Za-z]", (ROOT / "docs" / "status.md").read_text(), re.MULTILINE)

    assert phases() <= set(table)


def test_every_flag_is_in_the_table_with_its_default() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \| ?`?([^`|]*?)`? ?\|", text, re.MULTILINE))

    assert rows == {option.opts[0]: shown_default(option) for option in run.params if isinstance(option, click.Option)}


def test_every_right_is_in_the_table_with_its_reason() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| ((?:`[a-z/]+`(?: \([a-z0-9.]+\))?(?:, )?)+) \| ([a-z, ]+) \| [^|]+ \|$", text, re.MULTILINE)
    described = {(frozenset(re.findall(r"`([a-z/]+)`", names)), frozenset(verbs.split(", "))) for names, verbs in rows}
    granted = {(frozenset(rule["resources"]), frozenset(rule["verbs"])) for rule in yaml.safe_load(RULES.read_text())}

    assert described == granted


# --- how ------------------------------------------------------------------------------------------------------------


def is_there(path: str) -> bool:
    file, _, name = path.partition(":")
    found = [base / file for base in SEEN_FROM if (base / file).exists()]
    return bool(found) and (not name or defines(found[0], name.split(".")))


def defines(file: Path, name: list[str]) -> bool:
    """Whether the module has that name, or its class that method."""
    body: list[ast.stmt] = ast.parse(file.read_text()).body
    for part in name:
        found = [node for node in body if part in names_bound(node)]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def names_bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def fields_of(kind: str) -> set[str]:
    """The fields of a kind's spec, as users write them."""
    plural = KINDS[kind].names.plural
    crd = yaml.safe_load((ROOT / "crds" / f"agentex.scale.com_{plural}.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return {f"spec.{name}" for name in schema["properties"]["spec"]["properties"]}


def phases() -> set[str]:
    """Every word that the core says as a phase."""
    text = "\n".join(path.read_text() for path in (OPERATOR / "core").glob("*.py"))
    spoken = re.findall(r'phase="([A-Z][a-z]+)"(?: if [a-z_]+ else\s+"([A-Z][a-z]+)")?', text)
    return {word for pair in spoken for word in pair if word} | {"Queued", "Building", "Cancelling"}


def shown_default(option: click.Option) -> str:
    default: Any = option.default
    return "off" if default is False else "" if default in (None, "") else str(default)
