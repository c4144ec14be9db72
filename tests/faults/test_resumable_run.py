"""A whole run can be split into parts, killed and continued; its closing line is about everything that was run."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.faults.programme.kept_outcomes import KeptOutcomes
from tests.faults.programme.parts import Part
from tests.faults.programme.report import Report
from tests.faults.toy_programme import LEAK, REFERENCE, SCENARIOS, ToyPool, batches, run

EVERYTHING = batches(dict.fromkeys(SCENARIOS, REFERENCE))
PLANS = len(SCENARIOS) + sum(len(batch.plans) for batch in EVERYTHING)
CHECKS = 3  # of a whole run, each counted as a plan
LEAKED = EVERYTHING[0].plans[0]


def ran(folder: Path, pool: ToyPool, part: str = "1/1") -> tuple[Report, list[str]]:
    """The report of a run of the part, and its lines."""
    out = io.StringIO()
    report = Report(out)
    run(folder, pool, report, Part.parse(part))
    return report, out.getvalue().splitlines()


def test_a_run_without_parts_runs_every_batch_once(tmp_path: Path) -> None:
    pool = ToyPool()
    report, lines = ran(tmp_path, pool)

    assert Counter(pool.ran) == Counter(EVERYTHING)
    assert report.total == PLANS + CHECKS
    assert lines[-1].startswith(f"faults: {PLANS + CHECKS} plans, 0 duplicated, 0 leaked")


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_together_run_every_batch_once_and_record_each_scenario_once(tmp_path: Path, parts: int) -> None:
    pool = ToyPool()
    for number in range(1, parts + 1):
        ran(tmp_path, pool, f"{number}/{parts}")

    assert Counter(pool.ran) == Counter(EVERYTHING)
    assert pool.recorded == list(SCENARIOS)


def test_the_order_of_the_parts_does_not_matter(tmp_path: Path) -> None:
    pool = ToyPool()
    for part in ("3/3", "1/3", "2/3"):
        ran(tmp_path, pool, part)

    assert Counter(pool.ran) == Counter(EVERYTHING)


def test_what_one_split_has_run_another_split_does_not_run_again(tmp_path: Path) -> None:
    pool = ToyPool()
    ran(tmp_path, pool, "1/2")
    ran(tmp_path, pool, "2/5")
    ran(tmp_path, pool)

    assert Counter(pool.ran) == Counter(EVERYTHING)


def test_a_part_says_what_is_left_and_how_to_run_it(tmp_path: Path) -> None:
    report, lines = ran(tmp_path, ToyPool(), "1/2")

    assert report.total < PLANS
    assert [line for line in lines if line.startswith("left:")] == [
        f"left: {PLANS - report.total} plans: make test-faults PART=2/2"]


def test_the_whole_is_judged_once_nothing_is_left(tmp_path: Path) -> None:
    first, _ = ran(tmp_path, ToyPool(), "1/2")
    last, lines = ran(tmp_path, ToyPool(), "2/2")

    assert first.plans["after"] == 0
    assert last.plans["after"] == CHECKS
    assert any("only 16 plans of crash/*, of 350" in line for line in lines)
    assert any("was never used" in line for line in lines)


def test_the_closing_line_counts_the_plans_of_all_parts(tmp_path: Path) -> None:
    ran(tmp_path, ToyPool(), "1/2")
    report, _ = ran(tmp_path, ToyPool(), "2/2")

    assert report.total == PLANS + CHECKS


def test_a_finding_of_an_earlier_run_is_told_again_and_fails_the_later_ones(tmp_path: Path) -> None:
    ran(tmp_path, ToyPool({LEAKED: LEAK}))
    report, lines = ran(tmp_path, ToyPool())

    assert LEAKED in lines
    assert report.status == 1
    assert ", 1 leaked," in lines[-1]


def test_nothing_is_started_when_nothing_is_left(tmp_path: Path) -> None:
    ran(tmp_path, ToyPool())
    pool = ToyPool()
    ran(tmp_path, pool)

    assert pool.opened == 0


@pytest.mark.parametrize("batches_run", [0, 1, 9])
def test_a_killed_run_continues_where_it_stopped(tmp_path: Path, batches_run: int) -> None:
    command = [sys.executable, "-m", "tests.faults.toy_programme", str(tmp_path), "1/1", str(batches_run)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    done = {key for key, one in KeptOutcomes(tmp_path).read().items() if one.reference is None}
    pool = ToyPool()
    report, lines = ran(tmp_path, pool)

    assert killed.returncode == -signal.SIGKILL
    assert len(done) == batches_run
    assert pool.recorded == []
    assert Counter(pool.ran) == Counter(batch for batch in EVERYTHING if batch.key not in done)
    assert report.total == PLANS + CHECKS
    assert lines[-1].startswith(f"faults: {PLANS + CHECKS} plans")
