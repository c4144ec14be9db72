"""Outcomes are kept by a digest that changes with everything they depend on, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.programme.digest import ROOT, digest, files

CODE = ("operator/agentex_operator/core/plan.py", "tests/faults/programme/parts.py", "crds/a.yaml",
        "deploy/helm/agentex-operator/files/cluster-role-rules.yaml", "requirements/dev.txt", "pyproject.toml")
NO_CODE = ("operator/ARCHITECTURE.md", "operator/decisions/0001-x.md", "tests/faults/README.md", "docs/reliability.md",
           "operator/agentex_operator/__pycache__/plan.cpython-311.pyc", "operator/a.egg-info/PKG-INFO")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository."""
    for name in (*CODE, *NO_CODE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    return tmp_path


@pytest.mark.parametrize("name", CODE)
def test_another_content_is_another_digest(tree: Path, name: str) -> None:
    before = digest(tree)
    (tree / name).write_text("after")

    assert digest(tree) != before


def test_a_new_module_is_another_digest(tree: Path) -> None:
    before = digest(tree)
    (tree / "operator/agentex_operator/core/new.py").write_text("")

    assert digest(tree) != before


@pytest.mark.parametrize("name", NO_CODE)
def test_documents_and_what_tools_leave_behind_do_not_count(tree: Path, name: str) -> None:
    before = digest(tree)
    (tree / name).write_text("after")

    assert digest(tree) == before


def test_every_module_that_the_programme_imports_counts() -> None:
    code = ("import sys, tests.faults.__main__, agentex_operator.cli.run, agentex_testkit.prefork\n"
            "print('\\n'.join(str(one.__file__) for one in sys.modules.values() if getattr(one, '__file__', None)))")
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ours = {path for path in map(Path, shown.splitlines())
            if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / ".venv")}

    assert len(ours) > 100
    assert ours - set(files(ROOT)) == set()
