"""The image has the operator's package and nothing of ours beside it: its Dockerfile's steps, without a container."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.house.tree import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COPIED = [line.split()[1:] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """What `pip install .` installs, from what the Dockerfile copies."""
    source, out = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("out")
    for *names, target in COPIED:
        if not target.startswith("/"):
            for name in names:
                copy(ROOT / name, source / target if len(names) == 1 else source / target / name)
    building = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={out}", "."]
    subprocess.run(building, cwd=source, check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_only_the_operator_is_in_it(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"agentex_operator"}


def test_all_of_the_operator_is_in_it(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "operator"
    modules = {str(path.relative_to(package)) for path in (package / "agentex_operator").rglob("*.py")}

    assert modules | {"agentex_operator/py.typed"} <= set(wheel.namelist())


def test_commands_of_what_is_left_out_are_removed(wheel: zipfile.ZipFile) -> None:
    [entry_points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    scripts = re.findall(r"^([a-z-]+) = ", wheel.read(entry_points).decode(), re.MULTILINE)
    removed = [script for script in scripts if f"bin/{script}" in DOCKERFILE]

    assert set(scripts) - set(removed) == {"agentex-operator"}


def test_it_starts_as_a_user_without_a_name_in_the_environment_of_the_image() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    environment = dict(re.findall(r"(?<= )([A-Z]+)=(\S+)", "".join(re.findall(r"^ENV.*$", last_stage, re.MULTILINE))))
    start = "import os; os.getuid = lambda: 1234567890; import agentex_operator.bootstrap"

    done = subprocess.run([sys.executable, "-c", start], env={**environment, "PATH": "/usr/bin:/bin"}, check=False,
                          capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stderr) == (0, "")


def test_everything_it_copies_is_let_through_by_dockerignore() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    assert [name for *names, _ in COPIED for name in names if not any(name.startswith(one) for one in allowed)] == []


def test_it_installs_by_hash_and_runs_as_nobody() -> None:
    installs = re.findall(r"pip install ([^\\\n&]*)", DOCKERFILE)

    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)
    assert "\nUSER 65532:65532\n" in DOCKERFILE
