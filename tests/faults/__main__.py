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
from tests.faults import run
from tests.faults.bench import Site
from tests.faults.plans import Ended, Scale
from tests.faults.report import Report
from tests.faults.scenarios import STORIES
from tests.faults.site import on_control_plane


@click.command()
@click.option("--gate", is_flag=True, help="What every `make test` runs.")
@click.option("--full", is_flag=True, help="Doubles too.")
@click.option("--family", multiple=True, help="Only this family; may be given more than once.")
@click.option("--only", default="", help="Only plans with this in their name.")
@click.option("--most", type=int, help="At most so many plans of each family, spread evenly.")
@click.option("--replay", help="This plan alone.")
@click.option("--list", "listed", is_flag=True, help="Name the plans, and run none but what must be learned.")
@click.option("--workers", default=run.WORKERS, show_default=True, help="How many plans at the same time.")
def main(**told: Any) -> None:
    """Run the fault programme."""
    wish, report = Wish(**told), Report(sys.stdout)
    with tempfile.TemporaryDirectory(prefix="agentex-faults-") as folder, on_control_plane(Path(folder)) as site:
        for ended in wish.replayed(site) if wish.replay else wish.run(site):
            report.add(ended)
    report.close()
    sys.exit(report.status)


@dataclass(frozen=True)
class Wish:
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
        return self.family or tuple(run.families({}))

    def run(self, site: Site) -> Iterator[Ended]:
        """Every plan of these, and what is judged over all of them."""
        with run.crew(site, self.workers) as crew:
            if run.needs_learning(self.families):
                stories = run.GATE if self.gate else tuple(STORIES)
                yield from crew.learn([name for name in stories if f"/{name}/" in self.only] or stories)
            scale = Scale(self.gate, self.full)
            batches = crew.batches(self.families, scale, lambda plan: self.only in plan, self.most)
            ran = []
            for ended in said(batches) if self.listed else crew.run(batches):
                ran += [ended.plan] * ended.reached
                yield ended
        if not (self.gate or self.only or self.most or self.family or self.listed):
            yield from run.after(site, scale, ran)

    def replayed(self, site: Site) -> Iterator[Ended]:
        """One plan, again. What is judged over a whole run cannot be seen again by itself."""
        name, scenario, *_ = str(self.replay).split("/")
        if name == "after":
            raise click.UsageError(f"{self.replay} is judged over a whole run: run it without --replay")
        with run.crew(site, 1) as crew:
            if name == "learn":
                yield from crew.learn([scenario])
                return
            if run.needs_learning([name]):
                yield from crew.learn([scenario])
            yield from crew.replay(name, str(self.replay))


def said(batches: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Ended]:
    """Name the plans."""
    for _, plans in batches:
        click.echo("\n".join(plans))
    yield from ()


if __name__ == "__main__":
    main()
