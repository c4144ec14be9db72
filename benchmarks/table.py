"""The figures of a benchmark as Markdown: each figure with its goal, by size; and ratios within the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.implementations import NAIVE, OPERATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

Run = dict[str, Any]  # one implementation at one size, as `phases.Measurement` and `load` write it

NOTHING = "-"
FIRST_ROW = "busy.seconds_to_all_ready"
GROWTH = 12  # times the seconds of 1,000 resources, for 10,000


@dataclass(frozen=True)
class Row:
    """A figure: its label, its path in a run, its goal at 10,000 resources in words, and the most it may be."""

    label: str
    path: str
    goal: str = NOTHING
    most: float | None = None

    @property
    def is_time(self) -> bool:
        """Whether the figure is a time on the clock, which other work on the machine makes longer."""
        return is_time(self.path)


ROWS = (
    Row("seconds to all Ready", FIRST_ROW, f"≤ {GROWTH} times the 1,000 of the same run"),
    Row("list pages until then", "busy.list_pages", "≤ 300", 300),
    Row("GETs of single builds", "busy.gets", "0", 0),
    Row("remote calls a life", "busy.remote_calls_per_life"),
    Row("CPU a life, ms", "busy.cpu_ms_per_life", "≤ 25", 25),
    Row("API-server writes a life, with Events", "busy.writes_per_life", "≤ 6", 6),
    Row("API-server writes a life, without Events", "busy.writes_per_life_without_events"),
    Row("busy: status late by, p50, s", "busy.late_by.p50"),
    Row("busy: status late by, p99, s", "busy.late_by.p99", "≤ pollInterval + 2 s = 7", 7),
    Row("busy: status late by, at most, s", "busy.late_by.max"),
    Row("latency at pollInterval 5 s, p50, s", "latency.5s.p50"),
    Row("latency at pollInterval 5 s, p99, s", "latency.5s.p99", "≤ 7", 7),
    Row("latency at pollInterval 1 s, p50, s", "latency.1s.p50"),
    Row("latency at pollInterval 1 s, p99, s", "latency.1s.p99", "≤ 3", 3),
    Row("idle CPU, % of a core", "idle.percent_of_a_core", "≤ 5", 5),
    Row("idle writes", "idle.writes", "0", 0),
    Row("idle remote calls", "idle.remote_calls_in_all"),
    Row("RSS when idle, MB", "idle.memory_mb.VmRSS", "≤ 200", 200),
    Row("restart: seconds to `/readyz`", "restart.seconds_to_readyz", "≤ 30", 30),
    Row("restart: seconds to the first pass of all", "restart.seconds_to_first_pass_of_all", "≤ 30", 30),
    Row("restart: list pages", "restart.list_pages", "≤ 12", 12),
    Row("restart: writes", "restart.writes", "0", 0),
    Row("restart: peak RSS, MB", "restart.memory_mb.VmHWM", "≤ 200", 200),
)


def markdown(runs: Sequence[Run], *, times: bool = True) -> str:
    """The tables: the operator with its goals, the naive poller, the ratio of both, and the growth with the size.

    `times`: whether the figures that are times on the clock are among them.
    """
    rows = [row for row in ROWS if times or not row.is_time]
    parts = [_operator(runs, rows), _naive(runs, rows), _ratios(runs, rows), _growth(runs, rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def is_time(path: str) -> bool:
    """Whether the figure at this path is a time on the clock."""
    return path.startswith("latency.") or ".late_by." in path or ".seconds" in path


def number_at(run: Run | None, path: str) -> float | None:
    """The figure at this path; None where the run has none."""
    value: Any = run
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) else None


def run_of(runs: Sequence[Run], implementation: str, size: int) -> Run | None:
    """The run of this implementation at this size."""
    return next((one for one in runs if (one["implementation"], one["size"]) == (implementation, size)), None)


def sizes_of(runs: Sequence[Run], implementation: str) -> list[int]:
    """The sizes that this implementation was measured at, in order."""
    return sorted(one["size"] for one in runs if one["implementation"] == implementation)


def is_met(row: Row, runs: Sequence[Run], size: int) -> bool | None:
    """Whether the operator meets the goal at this size; None where there is no goal or no figure."""
    value = number_at(run_of(runs, OPERATOR, size), row.path)
    if row.path == FIRST_ROW:
        thousand = number_at(run_of(runs, OPERATOR, 1000), row.path)
        return value <= GROWTH * thousand if value is not None and thousand is not None and size == 10_000 else None
    return None if value is None or row.most is None else value <= row.most


def shown(value: float | None) -> str:
    """The number with at most three digits after the point, and commas; a dash for None."""
    if value is None:
        return NOTHING
    digits = 0 if value == int(value) else 1 if abs(value) >= 20 else 2 if abs(value) >= 0.1 else 3
    return f"{value:,.{digits}f}"


def _operator(runs: Sequence[Run], rows_shown: Sequence[Row]) -> str:
    sizes = sizes_of(runs, OPERATOR)
    if not sizes:
        return ""
    heads = ["operator", *(f"{size:,}" for size in sizes), "goal at 10,000", f"met at {sizes[-1]:,}"]
    words = {True: "yes", False: "**no**", None: NOTHING}
    rows = [[row.label, *_numbers(runs, OPERATOR, sizes, row), row.goal, words[is_met(row, runs, sizes[-1])]]
            for row in rows_shown]
    return _grid(heads, rows)


def _naive(runs: Sequence[Run], rows_shown: Sequence[Row]) -> str:
    sizes = sizes_of(runs, NAIVE)
    if not sizes:
        return ""
    return _grid([NAIVE, *(f"{size:,}" for size in sizes)],
                 [[row.label, *_numbers(runs, NAIVE, sizes, row)] for row in rows_shown])


def _ratios(runs: Sequence[Run], rows_shown: Sequence[Row]) -> str:
    """The figure of the operator divided by that of the naive poller, at each size that has both."""
    sizes = [size for size in sizes_of(runs, OPERATOR) if run_of(runs, NAIVE, size)]
    if not sizes:
        return ""
    rows = [[row.label, *(ratio(number_at(run_of(runs, OPERATOR, size), row.path),
                                number_at(run_of(runs, NAIVE, size), row.path)) for size in sizes)]
            for row in rows_shown]
    return _grid([f"{OPERATOR} / {NAIVE}", *(f"{size:,}" for size in sizes)], _with_figures(rows))


def _growth(runs: Sequence[Run], rows_shown: Sequence[Row]) -> str:
    """The figures of the largest size divided by those of each smaller one, of the operator."""
    *smaller, largest = sizes_of(runs, OPERATOR) or [0]
    if not smaller:
        return ""
    last = run_of(runs, OPERATOR, largest)
    rows = [[row.label, *(ratio(number_at(last, row.path), number_at(run_of(runs, OPERATOR, size), row.path))
                          for size in smaller)] for row in rows_shown]
    return _grid([OPERATOR, *(f"{largest:,} / {size:,}" for size in smaller)], _with_figures(rows))


def ratio(over: float | None, under: float | None) -> str:
    """The one number divided by the other; a dash where one is missing or the divisor is 0."""
    return NOTHING if over is None or not under else f"{over / under:.2f}"


def _with_figures(rows: list[list[str]]) -> list[list[str]]:
    return [row for row in rows if set(row[1:]) != {NOTHING}]


def _numbers(runs: Sequence[Run], implementation: str, sizes: Sequence[int], row: Row) -> list[str]:
    return [shown(number_at(run_of(runs, implementation, size), row.path)) for size in sizes]


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
