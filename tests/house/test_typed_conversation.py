"""The seam between decisions and shell is typed: strict mypy refuses each of these mistakes, seeded into a copy."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.house.tree import OPERATOR, ROOT

MOST_ANY = 15  # functions of core/ and reconcile/ with Any in their signature
WHY_ANY = {
    "reconcile/": "raw objects of the API server, before they are parsed or for one field of them",
}


@dataclass(frozen=True)
class Seed:
    """A mistake: one replacement in one file, and a word of the error that mypy must print for that file."""

    path: str
    right: str
    wrong: str
    word: str


SEEDS = {
    "settle is called with its parameters swapped": Seed(
        "reconcile/shell.py", "core.settle(observed, planned.call, outcome,",
        "core.settle(observed, outcome, planned.call,", "arg-type"),
    "the shell forgets a call of its kind": Seed(
        "reconcile/build.py",
        "            case calls.FindAgent():\n                return call.answer(await self._find_agent(call))\n", "",
        "FindAgent"),
    "the shell forgets a call that all kinds make": Seed(
        "reconcile/remote.py",
        "            case calls.Confirm() | calls.ReadCandidate():\n"
        "                return call.answer(await self.remote.get(self.session.client, call.id))\n", "", "Confirm"),
    "the core forgets an outcome": Seed(
        "core/protocol/settle.py",
        "        case calls.AddFinalizer():\n            return replace(observed, meta=call.read(outcome))\n", "",
        "AddFinalizer"),
    "a call is answered by a bare number": Seed(
        "reconcile/build.py", "return call.answer(await self._find_agent(call))", "return 42", "return-value"),
    "a call is answered by an outcome of another type": Seed(
        "reconcile/build.py", "return call.answer(await self._find_agent(call))", "return call.answer(42)", "arg-type"),
    "a field of a status is misspelt": Seed(
        "core/protocol/settle.py", "else status.operator.refused_at", "else status.operator.refusd_at", "refusd_at"),
    "a field of a listing is misspelt": Seed(
        "core/protocol/settle.py", "in listing.records", "in listing.recordz", "recordz"),
    "a field is misspelt where it is replaced": Seed(
        "core/protocol/removal.py", "removal=removal)", "remval=removal)", "remval"),
    "a bare value stands where a tuple is due": Seed(
        "core/deployment/build_ref.py", "named_build=(call.read(outcome),)", "named_build=call.read(outcome)",
        "named_build"),
    "a bare event stands where a tuple is due": Seed(
        "core/deployment/previews.py", "notices=(kept,) if", "notices=kept if", "notices"),
    "a condition has a reason that is no constant": Seed(
        "core/deployment/rollout.py", "reason=reasons.DEPLOYING if known", "reason=record.raw_status if known",
        "arg-type"),
    "a rule answers with a call, not with a plan": Seed(
        "core/protocol/create.py", "else Plan(calls.AddFinalizer())", "else calls.AddFinalizer()", "return-value"),
    "a rule asks for a call that its kind does not make": Seed(
        "core/build/report.py", "return Plan(calls.ReadLogTail(observed.status.build_id))",
        "return Plan(calls.ConfirmBuild(observed.status.build_id))", "ReadLogTail"),
}


@dataclass(frozen=True)
class Copy:
    """A copy of the packages with a mypy cache of its own, so that each mistake costs one small check."""

    root: Path

    def errors(self) -> str:
        """What strict mypy prints of the copy, with the project's own configuration."""
        command = [sys.executable, "-m", "mypy", "--cache-dir", str(self.root / "cache"), "--hide-error-context",
                   "-p", "agentex_operator"]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False).stdout

    def path(self, seed: Seed) -> Path:
        """The file of the copy that the mistake is made in."""
        return self.root / "operator" / "agentex_operator" / seed.path


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("typed")
    shutil.copytree(OPERATOR, root / "operator" / "agentex_operator", ignore=shutil.ignore_patterns("__pycache__"))
    settings = (ROOT / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(settings)
    made = Copy(root)
    assert made.errors().startswith("Success")
    return made


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
def test_mypy_refuses_a_mistake_at_the_seam(copy: Copy, seed: Seed) -> None:
    path = copy.path(seed)
    right = path.read_text()
    assert right.count(seed.right) == 1
    path.write_text(right.replace(seed.right, seed.wrong))
    try:
        errors = copy.errors()
    finally:
        path.write_text(right)

    assert any(f"{seed.path}:" in line and seed.word in line for line in errors.splitlines()), errors


def test_few_signatures_of_core_and_shell_say_any() -> None:
    found = list(untyped())

    assert len(found) <= MOST_ANY, "\n".join(found)
    assert [one for one in found if not one.startswith(tuple(WHY_ANY))] == []


def untyped() -> Iterator[str]:
    """Every function of core/ and reconcile/ that has Any in its signature."""
    for folder in ("core", "reconcile"):
        for path in sorted((OPERATOR / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _says_any(node):
                    yield f"{path.relative_to(OPERATOR)}:{node.lineno} {node.name}"


def _says_any(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg)
    annotations = [node.returns, *(one.annotation for one in arguments if one is not None)]
    return any("Any" in ast.unparse(one).replace(".", " ").replace("[", " ").replace("]", " ").replace(",", " ").split()
               for one in annotations if one is not None)
