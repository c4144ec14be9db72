"""The workers of a run: processes that each take one batch of plans after the other."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tests.faults.programme import families
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import ClusterAccess, Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.catalogue import SCENARIOS
from tests.faults.scenarios.reference import Reference

from agentex_testkit.judge.findings import Finding, Harm

WORKERS = 10
FINDINGS = Path(tempfile.gettempdir()) / "agentex-faults-findings"
RUNNERS: list[Runner] = []   # of a worker process: its runner, once it has one


# --- in a worker ----------------------------------------------------------------------------------------------------


def open_runner(access: ClusterAccess) -> None:
    """Give this worker its runner."""
    runner = Runner(access, str(os.getpid()))
    RUNNERS.append(runner.__enter__())
    multiprocessing.util.Finalize(runner, runner.__exit__, args=(None, None, None), exitpriority=100)


def record_reference(name: str) -> tuple[str, Reference, tuple[Finding, ...]]:
    """What a scenario does without faults."""
    return name, *reference.record_reference(RUNNERS[0], name)


def run_batch(name: str, plans: Sequence[str]) -> list[Outcome]:
    """Run a batch of a family; a plan that raises has failed, and says where."""
    family = families.families(reference.load(RUNNERS[0].access.folder))[name]
    try:
        return [with_log(outcome, RUNNERS[0].world.operator.log_path) for outcome in family.run(RUNNERS[0], plans)]
    except Exception:  # a bug of the programme must not end the run, and must not pass either
        return [Outcome(plan, (Finding("-", traceback.format_exc()[-3000:], Harm.STUCK),)) for plan in plans]


def with_log(outcome: Outcome, log: Path) -> Outcome:
    """Of a plan with findings the operator's log outlives the run: the next plan writes over it, and what depends on
    the moment is not seen again by a replay.
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
    pool: ProcessPoolExecutor

    def record_references(self, names: Iterable[str] = tuple(SCENARIOS)) -> Iterator[Outcome]:
        """Have every scenario played without faults; what is learned is kept for the plans."""
        found: dict[str, Reference] = reference.load(self.access.folder)
        for done in as_completed([self.pool.submit(record_reference, name) for name in names]):
            name, one, findings = done.result()
            found[name] = one
            yield Outcome(f"learn/{name}", findings)
        reference.save(self.access.folder, found)

    def batches(self, wanted: Iterable[str], scale: Scale, chosen: Callable[[str], bool] = bool,
                most: int | None = None) -> list[tuple[str, list[str]]]:
        """The chosen plans of these families, at most so many batches of each; side by side, for some are heavy."""
        every = families.families(reference.load(self.access.folder))
        found = {name: spread(every[name].batches(scale), chosen, most) for name in wanted}
        placed = sorted(((at + 0.5) / len(batches), name, at) for name, batches in found.items()
                        for at in range(len(batches)))
        return [(name, found[name][at]) for _, name, at in placed]

    def run(self, batches: Iterable[tuple[str, list[str]]]) -> Iterator[Outcome]:
        """Run these."""
        for done in as_completed([self.pool.submit(run_batch, name, plans) for name, plans in batches]):
            yield from done.result()

    def replay(self, name: str, plan: str) -> list[Outcome]:
        """One plan of a family, again."""
        return self.pool.submit(run_batch, name, [plan]).result()


def spread(batches: Iterable[Sequence[str]], chosen: Callable[[str], bool], most: int | None) -> list[list[str]]:
    """The batches with the chosen plans; of too many, those at even distances."""
    found = [plans for batch in batches if (plans := [plan for plan in batch if chosen(plan)])]
    step = max(1, len(found) // most) if most else 1
    return found[::step][:most]


@contextmanager
def worker_pool(access: ClusterAccess, workers: int = WORKERS) -> Iterator[WorkerPool]:
    """The workers, each with a runner of its own."""
    how = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=how, initializer=open_runner, initargs=(access,)) as pool:
        yield WorkerPool(access, pool)


