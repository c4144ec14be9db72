"""`python -m tests.faults`: the fault programme on a control plane of its own, a part of it, or one plan again.

    .venv/bin/python -m tests.faults                              everything but doubles
    .venv/bin/python -m tests.faults --part 1/2                   the first half; see README.md
    .venv/bin/python -m tests.faults --family crash --only preview
    .venv/bin/python -m tests.faults --replay 'crash/build-runs/remote POST /v5/builds #1/post'

The last line is `faults: P plans, D duplicated, L leaked, W wrongly deleted, S stuck`; the exit status is 1 if any of
D, L, W, S is not zero, or anything else that was promised is broken.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tests.faults.programme import families
from tests.faults.programme.batches import Batch, batches_of, in_order
from tests.faults.programme.control_plane import AUDIT_LOG, on_control_plane
from tests.faults.programme.digest import ROOT, digest
from tests.faults.programme.kept_outcomes import KeptOutcomes
from tests.faults.programme.parts import WHOLE, Part
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.programme.rbac_audit import AuditLog
from tests.faults.programme.report import Report
from tests.faults.programme.resumable_run import News, Programme, ResumableRun
from tests.faults.programme.workers import WORKERS, WorkerPool, worker_pool
from tests.faults.scenarios.catalogue import SCENARIOS
from tests.faults.scenarios.reference import Reference

RESULTS = ROOT / ".fault-results"
STOPPED = 130  # the exit status of what Ctrl-C stops


class PartType(click.ParamType):
    """A part of a run, written `k/n`."""

    name = "K/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Part:
        """The part. Raises BadParameter."""
        try:
            return value if isinstance(value, Part) else Part.parse(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


@click.command()
@click.option("--gate", is_flag=True, help="The plans of every `make test`.")
@click.option("--full", is_flag=True, help="Doubles too.")
@click.option("--part", type=PartType(), help="Only the k-th of n parts of a whole run.")
@click.option("--fresh", is_flag=True, help="Throw away the outcomes that are kept of this code.")
@click.option("--family", multiple=True, help="Only this family; may be given more than once.")
@click.option("--only", default="", help="Only plans with this in their name.")
@click.option("--most", type=int, help="At most so many batches of each family, spread evenly.")
@click.option("--replay", help="This plan alone.")
@click.option("--list", "listed", is_flag=True, help="Name the plans, and run none but what must be recorded first.")
@click.option("--workers", default=WORKERS, show_default=True, help="How many batches at the same time.")
def main(**told: Any) -> None:
    """Run the fault programme."""
    options, report = Options(**told), Report(sys.stdout)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run_whole(options, report) if options.is_whole else run_selected(options, report)
    except KeyboardInterrupt:
        report.say("stopped; the same command continues" if options.is_whole else "stopped")
        sys.exit(STOPPED)
    sys.exit(report.status)


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    gate: bool
    full: bool
    part: Part | None
    fresh: bool
    family: tuple[str, ...]
    only: str
    most: int | None
    replay: str | None
    listed: bool
    workers: int

    def __post_init__(self) -> None:
        if self.part and not self.is_whole:
            raise click.UsageError("--part is for a whole run: leave the other selections out")

    @property
    def is_whole(self) -> bool:
        """Whether this is a whole run, or a part of one."""
        return not (self.gate or self.only or self.most or self.family or self.listed or self.replay)

    @property
    def scale(self) -> Scale:
        """How much is run."""
        return Scale(self.gate, self.full)

    @property
    def families(self) -> tuple[str, ...]:
        """The families that are wanted."""
        return self.family or tuple(families.families({}))


@contextmanager
def workers_on_control_plane(workers: int) -> Iterator[tuple[WorkerPool, Callable[[], News]]]:
    """Workers on a control plane of their own, and the news of its audit log."""
    with (tempfile.TemporaryDirectory(prefix="agentex-faults-") as folder, on_control_plane(Path(folder)) as access,
          worker_pool(access, workers) as pool, closing(AuditLog(access.folder / AUDIT_LOG)) as audit):
        yield pool, audit.news


# --- a whole run ----------------------------------------------------------------------------------------------------


def run_whole(options: Options, report: Report) -> None:
    """Run what is left of the part, or of everything, and keep every outcome."""
    kept = KeptOutcomes(RESULTS / digest())
    if options.fresh:
        kept.clear()
    report.say(f"outcomes are kept in {kept.folder}; the same command continues a run that was stopped")

    def batches(references: Mapping[str, Reference]) -> list[Batch]:
        return batches_of(options.families, references, options.scale)

    ResumableRun(Programme(tuple(SCENARIOS), batches), kept, options.part or WHOLE, options.scale, report,
                 options.workers, lambda: workers_on_control_plane(options.workers)).run()


# --- a selection ----------------------------------------------------------------------------------------------------


def run_selected(options: Options, report: Report) -> None:
    """Run the chosen plans, or one again; nothing is kept."""
    with workers_on_control_plane(1 if options.replay else options.workers) as (pool, _):
        for outcome in replayed(pool, options.replay) if options.replay else selected(pool, options):
            report.add(outcome)
    report.close()


def selected(pool: WorkerPool, options: Options) -> Iterator[Outcome]:
    """The outcomes of the chosen plans."""
    if families.needs_references(options.families):
        names = families.GATE_SCENARIOS if options.gate else tuple(SCENARIOS)
        for finished in pool.record_references([name for name in names if named_by(options.only, name)] or names):
            yield from finished.outcomes
    batches = batches_of(options.families, pool.references, options.scale, lambda plan: options.only in plan,
                         options.most)
    if options.listed:
        click.echo("\n".join(plan for batch in batches for plan in batch.plans))
        return
    for finished in pool.run(in_order(batches, options.workers)):
        yield from finished.outcomes


def named_by(only: str, scenario: str) -> bool:
    """Whether a selection names this scenario, as `/adopt-preview/` does, or `/adopt` several."""
    return f"/{scenario}/" in only or (only.startswith("/") and f"/{scenario}/".startswith(only))


def replayed(pool: WorkerPool, plan: str) -> Iterator[Outcome]:
    """The outcome of one plan, run again. What is judged over a whole run cannot be seen again by itself."""
    name, scenario, *_ = plan.split("/")
    if name == "after":
        raise click.UsageError(f"{plan} is judged over a whole run: run it without --replay")
    if name == "learn" or families.needs_references([name]):
        for finished in pool.record_references([scenario]):
            yield from finished.outcomes
    if name != "learn":
        yield from pool.replay(name, plan)


if __name__ == "__main__":
    main()
