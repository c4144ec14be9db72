"""Every command in a document is run here, in order, on a cluster of its own; or says which test runs it, or why not.

README, user guide and operations are one walk: install, make an agent Ready, use it, uninstall. The test plays the one
part that this cluster lacks, a node: it starts the operator as the installed Deployment says.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks import load
from tests.faults import __main__ as faults
from tests.faults.programme.families import families
from tests.faults.scenarios.catalogue import SCENARIOS
from tests.house import documents
from tests.house.documents import DOCUMENTS, Command
from tests.house.tree import ROOT

from agentex_dev.controlplane import ControlPlane
from agentex_dev.gobuild import WITHOUT_GO
from agentex_dev.parts import Part
from agentex_dev.programs import Programs
from agentex_simulator import Settings, SimulatorThread

WALK = ("README.md", "docs/user-guide.md", "docs/operations.md")
ENDPOINT = "https://api.egp.scale.com"
SCRIPTS = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True)
class Elsewhere:
    """Commands that the walk leaves out: the test that runs them, or why none can."""

    pattern: str
    test: str = ""
    why: str = ""


ELSEWHERE = (
    Elsewhere(r"docker (build|push) .*", why="no container engine here; the package it builds is built in "
                                             "tests/house/test_image.py"),
    Elsewhere(r"make demo", test="tests/cluster/test_demo.py:test_it_ends_well_and_the_last_line_counts_every_sample"),
    Elsewhere(r"make test( PYTEST_ARGS=.*)?", test="tests/house/test_commands.py:test_every_verb_of_make_is_there"),
    Elsewhere(r"make (setup|lint|test-unit|coverage|model|test-faults)( FULL=1)?( PART=\d/\d)?",
              test="tests/house/test_commands.py:test_every_verb_of_make_is_there"),
    Elsewhere(re.escape(WITHOUT_GO),
              test="tests/house/test_dev_clusters.py:test_without_go_the_tests_run_on_a_cluster_that_is_there"),
    Elsewhere(r"\.venv/bin/pytest .*", test="tests/house/test_commands.py:test_every_selection_of_tests_finds_some"),
    Elsewhere(r"\.venv/bin/agentex-dev controlplane", test="tests/cluster/test_controlplane.py"),
    Elsewhere(r"\.venv/bin/agentex-simulator --port 8900", test="tests/simulator/test_history_and_process.py"),
    Elsewhere(r"\.venv/bin/python -m tests\.faults .*",
              test="tests/house/test_commands.py:test_every_fault_that_is_named_can_be_asked_for"),
    Elsewhere(r"\.venv/bin/python -m benchmarks\.load .*",
              test="tests/house/test_commands.py:test_every_benchmark_that_is_named_can_be_asked_for"),
    Elsewhere(r"helm install agentex-[ab] .*",
              test="tests/chart/test_sharding.py:test_no_two_releases_install_the_same_object_of_the_cluster"),
    Elsewhere(r"uv pip compile .*", why="uv is not among the dependencies; that its locks are whole is checked in "
                                        "tests/house/test_repository.py"),
    Elsewhere(r"kubectl patch agentdeployment/quote --namespace=TEAM .*Orphan.*",
              test="tests/cluster/test_deletion.py:test_a_namespace_deleted_before_a_restart_says_how_it_ends"),
    Elsewhere(r"kubectl patch aga/default --namespace=TEAM .*finalizers.*",
              test="tests/cluster/test_deletion.py:"
                   "test_deleted_while_its_account_is_gone_it_waits_says_so_and_ends_when_the_account_returns"),
    Elsewhere(r"kubectl --namespace agentex-system logs .*", why="no node here, so no container that has a log"),
)
PLACES = (*DOCUMENTS, documents.NOTES)
EVERYWHERE = [command for document in PLACES for command in documents.commands(document)]


def elsewhere(command: Command) -> Elsewhere | None:
    return next((one for one in ELSEWHERE if re.fullmatch(one.pattern, command.text)), None)


def walked() -> list[Command]:
    return [command for name in WALK for command in documents.commands(ROOT / name) if elsewhere(command) is None]


# --- no command is forgotten ----------------------------------------------------------------------------------------


def test_every_command_is_run_here_or_elsewhere() -> None:
    here = {one.text for one in walked()}

    assert here
    assert [one for one in EVERYWHERE if one.text not in here and elsewhere(one) is None] == []


@pytest.mark.parametrize("place", PLACES, ids=documents.name_of)
def test_no_command_hides_in_another_fence_or_without_a_prompt(place: Path) -> None:
    assert documents.overlooked(place) == []


def test_the_chart_tells_its_commands() -> None:
    assert sum(one.document == documents.name_of(documents.NOTES) for one in EVERYWHERE) > 5


def test_every_exception_is_needed_and_says_where_or_why() -> None:
    idle = [one for one in ELSEWHERE if not any(elsewhere(command) is one for command in EVERYWHERE)]

    assert idle == []
    assert [one for one in ELSEWHERE if not (one.why or is_a_test(one.test))] == []


def is_a_test(name: str) -> bool:
    file, _, function = name.partition(":")
    names = {node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    return function in names if function else any(one.startswith("test_") for one in names)


@pytest.mark.parametrize("verb", ["help", "setup", "demo", "test", "test-unit", "coverage", "test-faults", "model",
                                  "lint", "crds", "clean"])
def test_every_verb_of_make_is_there(verb: str) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tried = subprocess.run(["make", "--dry-run", verb], cwd=ROOT, capture_output=True, text=True, check=False)

    assert tried.returncode == 0, tried.stderr
    assert f"  make {verb} " in listed


@pytest.mark.exhaustive
@pytest.mark.parametrize("selection", [["tests/core", "-k", "deleted"], ["tests/cluster", "-k", "lifecycle"]])
def test_every_selection_of_tests_finds_some(selection: list[str]) -> None:
    collecting = [str(SCRIPTS / "pytest"), "--collect-only", "-q", *selection]
    done = subprocess.run(collecting, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_every_fault_that_is_named_can_be_asked_for() -> None:
    lines = [shlex.split(one.text)[3:] for one in EVERYWHERE if "-m tests.faults" in one.text]
    asked = [faults.main.make_context("tests.faults", line).params for line in lines]
    plans = [one["replay"].split("/") for one in asked if one["replay"]]
    named = {*(plan[0] for plan in plans), *(name for one in asked for name in one["family"])}
    scenarios = {*(plan[1] for plan in plans), *(one["only"].strip("/") for one in asked if one["only"])}

    assert asked
    assert named <= set(families({}))
    assert scenarios <= set(SCENARIOS)


def test_every_benchmark_that_is_named_can_be_asked_for() -> None:
    lines = [shlex.split(one.text)[3:] for one in EVERYWHERE if "-m benchmarks.load" in one.text]

    assert lines
    assert all(load.parsed(line).sizes for line in lines)


# --- the walk -------------------------------------------------------------------------------------------------------


class Place:
    """A new cluster, a simulator, and a shell in which kubectl and helm mean that cluster."""

    def __init__(self, plane: ControlPlane, simulator: SimulatorThread, helm: Path, folder: Path) -> None:
        self.plane, self.simulator, self.folder = plane, simulator, folder
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(plane.admin_kubeconfig.read_bytes())
        (folder / "bin").mkdir()
        (folder / "bin" / "helm").symlink_to(helm)
        path = f"{folder / 'bin'}:{SCRIPTS}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "HOME": str(folder), "KUBECONFIG": str(kubeconfig),
                            "AGENTEX_API_KEY": "key-1"}
        self.operator: Part | None = None

    def run(self, command: str) -> str:
        """What the command prints; fails with what it complains about. Variables stay, as in the shell of a reader."""
        text, variables = command.replace(ENDPOINT, self.simulator.url), self.folder / "variables"
        script = f"set -a\n{text}\nended=$?\nenv --null > '{variables}'\nexit $ended"
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=self.environment, capture_output=True, text=True,
                              timeout=180, check=False)
        assert done.returncode == 0, f"$ {text}\n{done.stdout}{done.stderr}\n{self._operators_log()}"
        self.environment = dict(one.split("=", 1) for one in variables.read_text().split("\0") if one)
        return done.stdout

    def play_the_node(self) -> None:
        """Run the pod of the installed Deployment, as its service account, and report it available."""
        found = json.loads(self.run("kubectl -n agentex-system get deployment agentex-operator -o json"))
        container = found["spec"]["template"]["spec"]["containers"][0]
        told = [arg for arg in container["args"] if not arg.startswith(("--work-dir", "--health-port"))]
        here = [f"--work-dir={self.folder / 'work'}", "--health-host=127.0.0.1", "--health-port=0",
                f"--kubeconfig={self._its_kubeconfig(found)}", "--namespace=agentex-system", "--allow-http-endpoints",
                "--allowed-endpoints=127.0.0.1:*"]
        self.operator = Part("agentex-operator", [str(SCRIPTS / "agentex-operator"), *told, *here], self.log)
        self.operator.start(environment=self.environment, folder=self.folder)
        one = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        status = json.dumps({"status": {**one, "observedGeneration": found["metadata"]["generation"]}})
        self.run("kubectl -n agentex-system patch deployment agentex-operator --subresource=status --type=merge "
                 f"--patch='{status}'")

    def _its_kubeconfig(self, deployment: dict[str, object]) -> Path:
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]  # type: ignore[index]  # JSON
        return self.plane.kubeconfig_for_service_account("agentex-system", account)

    @property
    def log(self) -> Path:
        return self.folder / "operator.log"

    def _operators_log(self) -> str:
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    def leave(self) -> None:
        if self.operator is not None:
            self.operator.end(grace=60)


@pytest.fixture
def place(programs: Programs, helm: Path, tmp_path: Path) -> Iterator[Place]:
    with ControlPlane(programs) as plane, SimulatorThread(Settings(time_scale=60)) as simulator:
        made = Place(plane, simulator, helm, tmp_path)
        yield made
        made.leave()


@pytest.mark.timeout(600)
def test_what_the_documents_tell_a_user_to_type_works_in_this_order(place: Place) -> None:
    for command in walked():
        if "rollout status" in command.text:
            place.play_the_node()
        place.run(command.text)

    ends = [str(one["status"]).lower() for one in place.simulator.state()["deployments"]]
    assert len(ends) >= 3, "production, production anew after the rebuild, and a preview"
    assert set(ends) <= {"deleted", "superseded"}
