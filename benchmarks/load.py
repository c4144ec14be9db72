"""Many AgentBuilds applied at once, on a real API server: the operator beside a naive per-resource poller.

    .venv/bin/python -m benchmarks.load --sizes 200,1000,3000,10000 --out build/load

Each implementation has a new control plane and simulator at each size, one after the other; a build takes six seconds.
Phases: busy (from the first apply until all are Ready), latency (AgentBuilds that are applied slowly, at pollInterval
5 s and 1 s), idle, restart. Prints the figures with their goals as Markdown, and writes results.json and SVG plots to
the folder of --out, after each measurement; `--redraw` makes tables and plots again from results.json. Exits with 1 if
the operator breaks what it promises at every size: see `complaints`.

Writes to the API server are counted in its audit log (of the ServiceAccount, answered 2xx), remote calls in the journal
of the simulator. A status is late by the time from the end of the build in the simulator to the answer of the API
server to the status patch that says Ready. Times depend on the machine: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.implementations import IMPLEMENTATIONS, OPERATOR
from benchmarks.phases import Measurement, Wishes
from benchmarks.plots import plots
from benchmarks.rig import rig
from benchmarks.table import Run, markdown

SIZES = (200, 1000, 3000, 10_000)
RESULTS = "results.json"


@dataclass
class Results:
    """The runs so far, and how they were made."""

    about: dict[str, Any]
    runs: list[Run] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write the results, one run to a line, and the plots."""
        folder.mkdir(parents=True, exist_ok=True)
        runs = ",\n".join(json.dumps(run) for run in self.runs)
        (folder / RESULTS).write_text(f'{{"about": {json.dumps(self.about)},\n"runs": [\n{runs}\n]}}\n')
        for name, drawing in plots(self.runs, times=self.times).items():
            (folder / name).write_text(drawing)

    @property
    def times(self) -> bool:
        """Whether times on the clock are shown."""
        return bool(self.about.get("times", True))

    def tables(self) -> str:
        """The figures as Markdown."""
        return markdown(self.runs, times=self.times)

    @staticmethod
    def read(folder: Path) -> Results:
        """The results in this folder."""
        return Results(**json.loads((folder / RESULTS).read_text()))


def measured(told: argparse.Namespace) -> Results:
    """Measure each implementation at each size; the results are written after each."""
    results = Results(about(told))
    for size in told.sizes:
        for name in told.implementations:
            results.runs.append(measure(name, wishes_of(told, size)))
            results.write(told.out)
    return results


def measure(name: str, wishes: Wishes) -> Run:
    """One implementation at one size."""
    with rig(wishes.time_scale) as one:
        workload.prepare(one.api, one.simulator.address, wishes.rate, wishes.agents)
        with IMPLEMENTATIONS[name].running(one) as process:
            found = Measurement(one, process, IMPLEMENTATIONS[name], wishes).all_phases()
    return {"implementation": name, "size": wishes.size, **found}


def about(told: argparse.Namespace) -> dict[str, Any]:
    """When, where and how the results were made."""
    commit = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=Path(__file__).parent, check=True,
                            capture_output=True, text=True).stdout.strip()
    return {"date": time.strftime("%Y-%m-%d %H:%M"), "command": told.command, "commit": commit,
            "machine": platform.machine(), "cores": os.cpu_count(), "niceness": os.nice(0),
            "load_before": [round(one, 2) for one in os.getloadavg()],
            "wishes": {one.name: getattr(told, one.name) for one in fields(Wishes) if one.name != "size"}}


def complaints(run: Run) -> list[str]:
    """What the operator breaks of its promises at every size, whatever the machine."""
    busy, at_rest, size = run["busy"], run["idle"], run["size"]
    bounds = {
        "more than one create for each build": busy["creates"] > size,
        "a GET for each build": busy["gets"] > 0,
        "writes while nothing happens": at_rest["writes"] > 0,
        "remote writes while nothing happens": any(not one.startswith("GET") for one in at_rest["remote_calls"]),
        "writes after a restart": run["restart"]["writes"] > 0,
    }
    return [f"{size:,}: {name}" for name, holds in bounds.items() if holds]


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line. Exits with 2 if it is wrong."""
    usual = Wishes(size=0)
    flags = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--sizes", type=_numbers, default=SIZES, help="how many AgentBuilds, with commas between them")
    flags.add_argument("--implementations", type=_implementations, default=tuple(IMPLEMENTATIONS),
                       help="with commas between them; by default both: " + ",".join(IMPLEMENTATIONS))
    flags.add_argument("--out", type=Path, default=Path("build/load"), help="the folder for the results")
    flags.add_argument("--redraw", action="store_true", help="only make tables and plots again, from the results there")
    flags.add_argument("--without-times", action="store_true",
                       help="leave out times on the clock: for a machine that did other work meanwhile")
    for one in fields(Wishes):
        if one.name != "size":
            value = getattr(usual, one.name)
            flags.add_argument(f"--{one.name.replace('_', '-')}", type=type(value), default=value,
                               help=f"by default {value:g}; see phases.Wishes")
    told = flags.parse_args(arguments)
    told.command = " ".join(["python -m benchmarks.load", *arguments])
    return told


def wishes_of(told: argparse.Namespace, size: int) -> Wishes:
    """What the command line wishes, for this size."""
    return Wishes(size=size, **{one.name: getattr(told, one.name) for one in fields(Wishes) if one.name != "size"})


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


def _implementations(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(IMPLEMENTATIONS):
        message = f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(IMPLEMENTATIONS)}"
        raise argparse.ArgumentTypeError(message)
    return names


def main() -> int:
    """Measure or redraw, print, and judge."""
    told = parsed(sys.argv[1:])
    results = Results.read(told.out) if told.redraw else measured(told)
    results.about["times"] = not told.without_times
    results.write(told.out)
    print(results.tables())
    wrong = [one for run in results.runs if run["implementation"] == OPERATOR for one in complaints(run)]
    for one in wrong:
        print(f"Promise broken at {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
