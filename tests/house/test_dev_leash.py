"""A program on a leash ends when told, and when whoever started it is gone."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentex_dev import progress
from agentex_dev.parts import Part
from agentex_dev.progress import Progress

HOLDER = """
import sys, time, pathlib
from agentex_dev.parts import Part
folder = pathlib.Path(sys.argv[1])
part = Part("sleep", ["sleep", "600"], folder / "log", remove_at_sudden_end=folder)
part.start()
print(part.pgid, flush=True)
time.sleep(600)
"""


def gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def eventually_gone(group: int) -> bool:
    deadline = time.monotonic() + 10
    while not gone(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    return gone(group)


def a_part(tmp_path: Path, *command: str) -> Part:
    return Part(command[0], command, tmp_path / "log")


def test_a_part_reports_how_its_program_ended(tmp_path: Path) -> None:
    part = a_part(tmp_path, "sh", "-c", "echo said; exit 3")
    part.start()

    assert part.wait() == 3
    assert "sh ended with status 3" in str(part.failure())
    assert "said" in str(part.failure())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_part_leaves_no_process(tmp_path: Path, how: signal.Signals) -> None:
    part = a_part(tmp_path, "sleep", "600")
    part.start()
    part.end(how)

    assert gone(part.pgid)
    assert part.status == 128 + how


def test_a_part_that_ignores_the_signal_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    part = a_part(tmp_path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    part.start()
    while not part.log.read_text():
        time.sleep(0.01)
    part.end(signal.SIGTERM, grace=0.2)

    assert part.status == 128 + signal.SIGKILL
    assert eventually_gone(part.pgid)


def test_a_part_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    part = a_part(tmp_path, "sleep", "600")
    starter = threading.Thread(target=part.start)
    starter.start()
    starter.join()
    time.sleep(0.3)

    try:
        assert part.running
    finally:
        part.end(signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_the_holder_dies_the_program_and_its_folder_go(tmp_path: Path, how: signal.Signals) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    holder = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(holder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        group = int(running.stdout.readline())
        was_there = not gone(group)
        running.send_signal(how)

    assert was_there
    assert eventually_gone(group)
    assert not folder.exists()


def test_when_the_leash_itself_is_killed_the_program_goes_too(tmp_path: Path) -> None:
    part = a_part(tmp_path, "sh", "-c", "echo ready; exec sleep 600")
    part.start()
    while not part.log.read_text():
        time.sleep(0.01)
    os.kill(part.pgid, signal.SIGKILL)
    part.end()

    assert eventually_gone(part.pgid)


def test_progress_says_that_a_long_step_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "ELSEWHERE", 0.01)
    out = io.StringIO()
    with Progress("building", lambda: "7 packages", out):
        time.sleep(0.1)

    lines = out.getvalue().splitlines()
    assert lines[0] == "building ..."
    assert lines[1] == "building: 0 s, 7 packages"
    assert lines[-1] == "building: done in 0 s"


def test_progress_says_that_a_step_failed() -> None:
    out = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress("dividing", out=out):
        _ = 1 // 0

    assert "dividing: failed in 0 s" in out.getvalue()
