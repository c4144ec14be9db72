"""What is kept of a plan with findings, and which traces in a log are findings."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.programme import report, workers
from tests.faults.programme.plans import Outcome
from tests.faults.runner import operator_log

from agentex_testkit.judge.findings import Finding, Harm

PLAN = "views/build-runs/late=3@agentbuilds"
KOPFS = (
    '{"logger":"asyncio","msg":"an error occurred during closing of asynchronous generator <async_generator object '
    'infinite_watch at 0x7f>","error":"generator didn\'t stop after athrow()","stacktrace":"Traceback (most recent '
    'call last)…"}',
    '{"logger":"asyncio","msg":"Task was destroyed but it is pending! … at /venv/kopf/_core/x.py","error":"Traceback '
    '(most recent call last)"}',
)
OURS = (
    '{"logger":"asyncio","msg":"an error occurred during closing of asynchronous generator <async_generator object '
    'pages at 0x7f>","stacktrace":"Traceback (most recent call last)…/kopf/…"}',
    '{"logger":"agentex_operator.reconcile.engine","msg":"a pass failed","error":"Traceback (most recent call last)"}',
    "Traceback (most recent call last):",
)


def test_the_operators_log_of_a_finding_outlives_the_next_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FINDINGS", tmp_path / "findings")
    log = tmp_path / "operator.log"
    log.write_text("of this plan")
    outcome = workers.with_log(Outcome(PLAN, (Finding("I2", "created twice", Harm.DUPLICATED),)), log)
    log.write_text("of the next plan")
    assert outcome.log is not None
    assert outcome.log.read_text() == "of this plan"
    assert str(outcome.log) in report.described(outcome)


def test_nothing_is_kept_of_a_plan_without_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FINDINGS", tmp_path / "findings")
    (tmp_path / "operator.log").write_text("of this plan")
    assert workers.with_log(Outcome(PLAN), tmp_path / "operator.log") == Outcome(PLAN)
    assert not (tmp_path / "findings").exists()


@pytest.mark.parametrize("line", KOPFS)
def test_what_kopfs_watch_leaves_behind_is_no_bug_of_ours(line: str) -> None:
    assert operator_log.errors(line) == ()


@pytest.mark.parametrize("line", OURS)
def test_any_other_trace_is(line: str) -> None:
    assert [finding.invariant for finding in operator_log.errors(line)] == ["I19"]
