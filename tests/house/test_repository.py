"""The house itself: names, doors that stay shut, locks, and tests that are never skipped."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from tests.house.tree import OPERATOR, PACKAGES, ROOT, modules, tracked

VAGUE = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "handlers", "base"}
# In halves, so that this file does not name them itself.
REGISTRIES = tuple("".join(halves) for halves in (
    ("pypi", ".org"), ("python", "hosted.org"), ("npm", "js.org"), ("docker", ".io"), ("ghcr", ".io"), ("quay", ".io"),
    ("gcr", ".io"), ("registry", ".k8s.io"), ("proxy.go", "lang.org"), ("sum.go", "lang.org"), ("crates", ".io"),
    ("--index", "-url"), ("--extra-index", "-url"), ("--find", "-links"),
))
LOCKS = ("requirements/run.txt", "requirements/dev.txt", "requirements/build.txt")
UNCHECKED_COPY = "model" + "_copy("
IMPORT_PATH = "sys" + ".path"
SKIPPED = re.compile(r"pytest\.(skip|xfail|importorskip)|mark\.(skip|skipif|xfail)\b|unittest\.skip|SkipTest")


def readable() -> list[tuple[str, str]]:
    texts = []
    for path in tracked():
        try:
            texts.append((str(path.relative_to(ROOT)), path.read_text()))
        except UnicodeDecodeError:
            continue
    return texts


def test_every_module_has_a_name_that_says_its_role() -> None:
    allowed = OPERATOR / "api" / "common.py"
    vague = [path for path in modules() if path.stem in VAGUE or path.parent.name in VAGUE]

    assert [path for path in vague if path != allowed] == []


def test_no_package_shadows_the_operator_of_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_every_module_begins_with_its_job() -> None:
    silent = [path for path in modules() if not path.read_text().startswith('"""')]

    assert silent == []


def test_no_file_names_a_package_registry() -> None:
    named = [(name, host) for name, text in readable() for host in REGISTRIES if host in text]

    assert [found for found in named if found[0] != "tests/house/test_repository.py"] == []


def test_no_model_is_copied_past_the_type_checker() -> None:
    assert [name for name, text in readable() if name.endswith(".py") and UNCHECKED_COPY in text] == []


def test_no_file_changes_the_import_path() -> None:
    assert [name for name, text in readable() if name.endswith(".py") and IMPORT_PATH in text] == []


def test_no_test_is_skipped() -> None:
    tests = [(name, text) for name, text in readable() if name.startswith("tests/") and name.endswith(".py")]

    assert [name for name, text in tests if SKIPPED.search(text) and name != "tests/house/test_repository.py"] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_its_hashes(lock: str) -> None:
    entries = locked(lock)

    assert entries
    assert [name for name, (_, hashes) in entries.items() if not hashes] == []


def test_what_is_locked_twice_is_locked_alike() -> None:
    developed = locked("requirements/dev.txt")

    for lock in LOCKS:
        assert {name: entry for name, entry in locked(lock).items() if developed[name] != entry} == {}


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {"run": project["dependencies"], "dev": extras["dev"]}

    for lock, requirements in wanted.items():
        assert names_of(requirements) - set(locked(f"requirements/{lock}.txt")) == set()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.name))
def test_every_library_a_package_imports_is_declared(package: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    beside = project["optional-dependencies"]["dev"] if package.name in ("agentex_dev", "agentex_testkit") else []
    declared = names_of([*project["dependencies"], *beside])

    assert {name for name in libraries(package) if not declared & set(distributions(name))} == set()


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_the_one_that_the_package_claims() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "LICENSE").read_text()

    assert project["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~! ]", one)[0].lower() for one in requirements}


def libraries(package: Path) -> set[str]:
    """The top names that its modules import and that are neither ours nor the standard library's."""
    nodes = [node for path in package.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    ours = {one.name for one in PACKAGES}
    return {name.partition(".")[0] for name in plain | named} - sys.stdlib_module_names - ours


def distributions(library: str) -> list[str]:
    """The names under which a library may be installed."""
    return [name.lower() for name in installed().get(library, [])]


@cache
def installed() -> Mapping[str, list[str]]:
    """The distributions of each library that is installed; to find them takes a tenth of a second."""
    return metadata.packages_distributions()


def locked(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package of a lock file with its version and hashes."""
    entries = {}
    for block in re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text()):
        if found := re.match(r"([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", block):
            entries[found[1]] = (found[2], frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", block)))
    return entries
