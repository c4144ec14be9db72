"""The plots of a benchmark: figures by size, and how late a status is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.implementations import NAIVE, OPERATOR
from benchmarks.svg import Chart, Series, drawn
from benchmarks.table import is_time, number_at, run_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.table import Run

# file name, figure, title, label of the y axis
BY_SIZE = (
    ("ready", "busy.seconds_to_all_ready", "All applied at once: time until all are Ready", "seconds"),
    ("remote-calls", "busy.remote_calls_per_life", "Remote calls for each resource", "calls"),
    ("cpu", "busy.cpu_ms_per_life", "CPU for each resource, from apply to Ready", "milliseconds"),
    ("late", "busy.late_by.p99", "Busy: the status is late by (p99)", "seconds"),
    ("idle", "idle.percent_of_a_core", "CPU when nothing happens", "% of a core"),
    ("memory", "idle.memory_mb.VmRSS", "Memory when nothing happens", "RSS, MB"),
    ("restart", "restart.seconds_to_first_pass_of_all", "Restart: time until every resource had a pass", "seconds"),
)


def plots(runs: Sequence[Run], *, times: bool = True) -> dict[str, str]:
    """SVG documents by file name, for the figures that the runs have; `times`: also for times on the clock."""
    found = {f"{name}.svg": _by_size(runs, path, title, label) for name, path, title, label in BY_SIZE
             if times or not is_time(path)}
    if times:
        found["latency.svg"] = _latency(runs)
    return {name: drawn(chart) for name, chart in found.items() if any(one.points for one in chart.series)}


def _by_size(runs: Sequence[Run], path: str, title: str, label: str) -> Chart:
    return Chart(title, "AgentBuilds", label, log_x=True, series=[
        Series(name, [(size, value) for size in sizes_of(runs, name)
                      if (value := number_at(run_of(runs, name, size), path)) is not None])
        for name in (OPERATOR, NAIVE)])


def _latency(runs: Sequence[Run]) -> Chart:
    """Every measured latency at the largest size, in order."""
    series = [
        Series(f"{name}, {poll}", shares(run["latency"][poll]["all"]), marked=False)
        for poll in ("5s", "1s") for name in (OPERATOR, NAIVE)
        if (run := run_of(runs, name, max(sizes_of(runs, name), default=0))) is not None and "latency" in run]
    size = max((one["size"] for one in runs), default=0)
    return Chart(f"From the end of a build to its status, among {size:,} AgentBuilds",
                 "% of the builds", "at most so many seconds", series)


def shares(values: Sequence[float]) -> list[tuple[float, float]]:
    """For each value, the percentage of values that do not exceed it."""
    ordered = sorted(values)
    return [(100 * (number + 1) / len(ordered), value) for number, value in enumerate(ordered)]
