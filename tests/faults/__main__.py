"""`python -m tests.faults`: the fault programme on a control plane of its own; or one plan of it, again.

    .venv/bin/python -m tests.faults                              everything but doubles
    .venv/bin/python -m tests.faults --family crash --only preview
    .venv/bin/python -m tests.faults --replay 'crash/build-runs/remote POST /v5/builds #1/post'

The last line is `faults: P plans, D duplicated, L leaked, W wrongly deleted, S stuck`; the exit status is 1 if any of
D, L, W, S is not zero, or anything else that was promised is broken.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tests.faults.programme import families, whole_run, workers
from tests.faults.programme.control_plane import on_control_plane
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.programme.report import Report
from tests.faults.runner.runner import ClusterAccess
from tests.faults.scenarios.catalogue import SCENARIOS


@click.command()
@click.option("--gate", is_flag=True, help="What every `make test` runs.")
@click.option("--full", is_flag=True, help="Doubles too.")
@click.option("--family", multiple=True, help="Only this family; may be given more than once.")
@click.option("--only", default="", help="Only plans with this in their name.")
@click.option("--most", type=int, help="At most so many plans of each family, spread evenly.")
@click.option("--replay", help="This plan alone.")
@click.option("--list", "listed", is_flag=True, help="Name the plans, and run none but what must be learned.")
@click.option("--workers", default=workers.WORKERS, show_default=True, help="How many plans at the same time.")
def main(**told: Any) -> None:
    """Run the fault programme."""
    options, report = Options(**told), Report(sys.stdout)
    with tempfile.TemporaryDirectory(prefix="agentex-faults-") as folder, on_control_plane(Path(folder)) as access:
        for outcome in options.replayed(access) if options.replay else options.run(access):
            report.add(outcome)
    report.close()
    sys.exit(report.status)


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    gate: bool
    full: bool
    family: tuple[str, ...]
    only: str
    most: int | None
    replay: str | None
    listed: bool
    workers: int

    @property
    def families(self) -> tuple[str, ...]:
        """The families that are wanted."""
        return self.family or tuple(families.families({}))

    def run(self, access: ClusterAccess) -> Iterator[Outcome]:
        """Every plan of these, and what is judged over all of them."""
        with workers.worker_pool(access, self.workers) as pool:
            if families.needs_references(self.families):
                names = families.GATE_SCENARIOS if self.gate else tuple(SCENARIOS)
                yield from pool.record_references([name for name in names if f"/{name}/" in self.only] or names)
            scale = Scale(self.gate, self.full)
            batches = pool.batches(self.families, scale, lambda plan: self.only in plan, self.most)
            ran = []
            for outcome in said(batches) if self.listed else pool.run(batches):
                ran += [outcome.plan] * outcome.reached
                yield outcome
        if not (self.gate or self.only or self.most or self.family or self.listed):
            yield from whole_run.after(access, scale, ran)

    def replayed(self, access: ClusterAccess) -> Iterator[Outcome]:
        """One plan, again. What is judged over a whole run cannot be seen again by itself."""
        name, scenario, *_ = str(self.replay).split("/")
        if name == "after":
            raise click.UsageError(f"{self.replay} is judged over a whole run: run it without --replay")
        with workers.worker_pool(access, 1) as pool:
            if name == "learn":
                yield from pool.record_references([scenario])
                return
            if families.needs_references([name]):
                yield from pool.record_references([scenario])
            yield from pool.replay(name, str(self.replay))


def said(batches: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Outcome]:
    """Name the plans."""
    for _, plans in batches:
        click.echo("\n".join(plans))
    yield from ()


if __name__ == "__main__":
    main()
