"""The workers of a run: processes that each take one batch of plans after the other."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.util import Finalize
from pathlib import Path
from urllib.parse import quote

from tests.faults.programme.batches import Batch
from tests.faults.programme.families import families
from tests.faults.programme.plans import Family, Outcome
from tests.faults.runner.runner import ClusterAccess, Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.reference import Reference

from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.prefork import die_with_parent

WORKERS = 10
FINDINGS = Path(tempfile.gettempdir()) / "agentex-faults-findings"
RUNNERS: list[Runner] = []   # of a worker process: its runner, once it has one


@dataclass(frozen=True)
class Finished:
    """A batch that was run, in `took` seconds. `calls`: one of each call site that the worker's operators used."""

    batch: Batch
    outcomes: tuple[Outcome, ...]
    calls: frozenset[Call] = frozenset()
    took: float = 0.0
    reference: Reference | None = None


def recording_of(scenario: str) -> Batch:
    """The batch in which the reference of this scenario is recorded."""
    return Batch("learn", (f"learn/{scenario}",))


# --- in a worker ----------------------------------------------------------------------------------------------------


def open_runner(access: ClusterAccess) -> None:
    """Give this worker its runner; the worker ends when the process that leads is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    runner = Runner(access, str(os.getpid()))
    RUNNERS.append(runner.__enter__())
    Finalize(runner, runner.__exit__, args=(None, None, None), exitpriority=100)


def record_reference(scenario: str) -> Finished:
    """What a scenario does without faults."""
    (runner,) = RUNNERS
    began = time.monotonic()
    found, findings = reference.record_reference(runner, scenario)
    outcome = Outcome(f"learn/{scenario}", findings)
    return Finished(recording_of(scenario), (outcome,), _calls(runner), time.monotonic() - began, found)


def run_batch(batch: Batch) -> Finished:
    """Run a batch; a plan that raises has failed, and its finding is the traceback."""
    (runner,) = RUNNERS
    began = time.monotonic()
    family = _families(runner.access.folder, reference.changed(runner.access.folder))[batch.family]
    try:
        outcomes = [with_log(one, runner.world.operator.log_path) for one in family.run(runner, batch.plans)]
    except Exception:  # a bug of the programme must not end the run, and must not pass either
        failed = Finding("-", traceback.format_exc()[-3000:], Harm.STUCK)
        outcomes = [Outcome(plan, (failed,)) for plan in batch.plans]
    return Finished(batch, tuple(outcomes), _calls(runner), time.monotonic() - began)


@lru_cache(maxsize=1)
def _families(folder: Path, _changed: int) -> dict[str, Family]:
    """The families by the references in the folder, read again only when these have changed."""
    return families(reference.load(folder))


def _calls(runner: Runner) -> frozenset[Call]:
    return frozenset(runner.proxy.sites.values())


def with_log(outcome: Outcome, log: Path) -> Outcome:
    """The outcome with a copy of the operator's log, if it has findings: the next plan writes over the log, and a
    finding that depends on timing may not be seen again by a replay.
    """
    if not outcome.findings or not log.exists():
        return outcome
    FINDINGS.mkdir(exist_ok=True)
    kept = FINDINGS / f"{quote(outcome.plan, safe='')[:200]}-{os.getpid()}.log"
    return replace(outcome, log=Path(shutil.copy(log, kept)))


# --- in the process that leads --------------------------------------------------------------------------------------


@dataclass
class WorkerPool:
    """The workers of one run."""

    access: ClusterAccess
    executor: ProcessPoolExecutor

    def use_references(self, references: Mapping[str, Reference]) -> None:
        """Have the workers use these references from now on."""
        reference.save(self.access.folder, dict(references))

    def record_references(self, scenarios: Iterable[str]) -> Iterator[Finished]:
        """Run these scenarios without faults, and have the workers use what was recorded."""
        found = reference.load(self.access.folder)
        for done in as_completed([self.executor.submit(record_reference, name) for name in scenarios]):
            recorded = done.result()
            (outcome,) = recorded.outcomes
            if recorded.reference is not None:
                found[outcome.plan.removeprefix("learn/")] = recorded.reference
            yield recorded
        self.use_references(found)

    def run(self, batches: Iterable[Batch]) -> Iterator[Finished]:
        """Run these batches, started in this order."""
        for done in as_completed([self.executor.submit(run_batch, batch) for batch in batches]):
            yield done.result()

    def replay(self, family: str, plan: str) -> tuple[Outcome, ...]:
        """Run one plan of a family again."""
        return self.executor.submit(run_batch, Batch(family, (plan,))).result().outcomes

    @property
    def references(self) -> dict[str, Reference]:
        """The references that the workers use."""
        return reference.load(self.access.folder)


@contextmanager
def worker_pool(access: ClusterAccess, workers: int = WORKERS) -> Iterator[WorkerPool]:
    """The workers, each with a runner of its own; killed at once if the run breaks off."""
    how = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=how, initializer=open_runner, initargs=(access,))
    try:
        yield WorkerPool(access, executor)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
        raise
    executor.shutdown()
