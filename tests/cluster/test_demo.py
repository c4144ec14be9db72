"""The demo as a newcomer starts it: it ends well and says so, runs nothing as administrator, and leaves nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
import yaml

from agentex_dev.demo_samples import FOLDER
from agentex_dev.programs import Programs, kubectl_program

LAST_LINE = re.compile(r"demo: (\d+) resources Ready, 1 preview expired, in \d+ s")
OPERATOR = "system:serviceaccount:agentex-system:agentex-operator"
OPERATOR_PROGRAM = re.compile(r"bin/agentex-operator run ")
OPERATOR_STARTED = "The operator's log:"


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    group: int
    command: str

    @property
    def kubeconfig(self) -> str:
        found = re.search(r"--kubeconfig=(\S+)", self.command)
        return found[1] if found else ""

    @property
    def is_leash(self) -> bool:
        return "leash.py" in self.command


@dataclass(frozen=True)
class Run:
    """What was seen of one demo, while it ran and after it had ended."""

    status: int
    lines: list[str]
    processes: list[Process]
    users: dict[str, str]
    files_left: list[str]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def processes_below(pid: int) -> list[Process]:
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,pgid=,args="], capture_output=True, text=True, check=True
    )
    fields = [line.split(None, 3) for line in listing.stdout.splitlines()]
    everyone = [Process(int(a), int(b), int(c), command) for a, b, c, command in fields]
    below = {pid}
    while further := {each.pid for each in everyone if each.parent in below} - below:
        below |= further
    return [each for each in everyone if each.pid in below]


def user_of(kubeconfig: str) -> str:
    asked = [str(kubectl_program()), f"--kubeconfig={kubeconfig}", "auth", "whoami", "-o", "json"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30)
    username: str = json.loads(answer.stdout)["status"]["userInfo"]["username"]
    return username


@contextmanager
def demo(folder: Path, *told: str) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process, whose temporary files are below the folder; ended at the latest when the test is."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "agentex_dev.cli", "demo", *told]
    with subprocess.Popen(
        command, stdout=PIPE, stderr=STDOUT, text=True, env=environment, start_new_session=True
    ) as running:
        try:
            yield running
        finally:
            running.terminate()


def lines_until(running: subprocess.Popen[str], text: str) -> list[str]:
    assert running.stdout is not None
    lines = list[str]()
    for line in running.stdout:
        lines.append(line.rstrip("\n"))
        if text in line:
            break
    return lines


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def run(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One demo, from beginning to end, for all the tests that look at it."""
    folder = tmp_path_factory.mktemp("demo")
    with demo(folder, "--once") as running:
        lines = lines_until(running, OPERATOR_STARTED)
        time.sleep(1)  # let the operator become what its leash starts
        processes = processes_below(running.pid)
        users = {each.kubeconfig: user_of(each.kubeconfig) for each in processes if each.kubeconfig}
        rest, _ = running.communicate()
    left = [str(path) for path in folder.iterdir()]
    return Run(running.returncode, lines + rest.splitlines(), processes, users, left)


def test_it_ends_well_and_the_last_line_counts_every_sample(run: Run) -> None:
    documents = [each for path in FOLDER.glob("*.yaml") for each in yaml.safe_load_all(path.read_text()) if each]
    ours = [each for each in documents if each["apiVersion"].startswith("agentex.scale.com/")]

    last = LAST_LINE.fullmatch(run.lines[-1])

    assert run.status == 0, run.text
    assert last is not None, run.text
    assert int(last[1]) == len(ours)


def test_the_preview_becomes_ready_and_then_expires_before_ones_eyes(run: Run) -> None:
    change = re.compile(r" +\d+ s  AgentDeployment/\S+  (Ready|Expired)  ")
    seen = [match[1] for line in run.lines if (match := change.match(line))]

    assert seen[-1] == "Expired", run.text
    assert seen.count("Expired") == 1
    assert seen.count("Ready") >= 3


def test_what_is_long_shows_that_it_is_alive(run: Run) -> None:
    at = [int(match[1]) for line in run.lines if (match := re.match(r" +(\d+) s  ", line))]

    assert max(later - earlier for earlier, later in pairwise(at)) <= 15, run.text


def test_the_operator_is_its_own_service_account_and_nothing_of_ours_is_administrator(run: Run) -> None:
    ours = [each for each in run.processes if OPERATOR_PROGRAM.search(each.command)]
    theirs = [each for each in run.processes if "admin.kubeconfig" in each.command]

    assert {run.users[each.kubeconfig] for each in ours} == {OPERATOR}
    assert all("kube-controller-manager" in each.command for each in theirs)


def test_no_key_is_on_a_command_line(run: Run) -> None:
    documents = [each for path in FOLDER.glob("*.yaml") for each in yaml.safe_load_all(path.read_text()) if each]
    keys = [key for each in documents if each["kind"] == "Secret" for key in each["stringData"].values()]

    assert keys
    assert not any(key in each.command for key in keys for each in run.processes)


def test_neither_process_nor_file_is_left(run: Run) -> None:
    groups = {each.group for each in run.processes}

    assert len(groups) >= 6, "the demo, three parts of the control plane, the simulator, the operator"
    assert not any(alive(group) for group in groups)
    assert run.files_left == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(programs: Programs, tmp_path: Path, how: signal.Signals) -> None:
    with demo(tmp_path) as running:
        lines_until(running, OPERATOR_STARTED)
        groups = {each.group for each in processes_below(running.pid)}
        running.send_signal(how)
        running.communicate(timeout=40)

    assert running.returncode == 130
    assert not any(alive(group) for group in groups)
    assert list(tmp_path.iterdir()) == []


def test_when_the_operator_dies_the_demo_says_so_and_leaves_only_the_logs(programs: Programs, tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as running:
        lines_until(running, OPERATOR_STARTED)
        processes = processes_below(running.pid)
        operator = next(each for each in processes if OPERATOR_PROGRAM.search(each.command) and not each.is_leash)
        os.kill(operator.pid, signal.SIGKILL)
        text, _ = running.communicate(timeout=40)

    assert running.returncode == 1
    assert "agentex-operator ended with status 137. The end of its log:" in text
    assert not any(alive(group) for group in {each.group for each in processes})
    assert {path.suffix for path in tmp_path.glob("*/*")} == {".log"}
