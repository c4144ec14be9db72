"""The tables show every figure at every size with its goal, and judge the largest size."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.plots import plots
from benchmarks.table import FIRST_ROW, ROWS, Row, is_met, markdown, number_at, ratio, shown


def a_run(implementation: str = "operator", size: int = 1000, **figures: float) -> dict[str, Any]:
    """A run with these figures: `busy__list_pages=3`."""
    run: dict[str, Any] = {"implementation": implementation, "size": size}
    for path, value in figures.items():
        *groups, name = path.split("__")
        place = run
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
    return run


def line_of(text: str, label: str) -> list[str]:
    """The cells of the first row with this label."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def row_of(path: str) -> Row:
    return next(row for row in ROWS if row.path == path)


def test_each_figure_stands_under_its_size_beside_its_goal() -> None:
    text = markdown([a_run(size=1000, busy__list_pages=14), a_run(size=200, busy__list_pages=3)])

    assert line_of(text, "operator")[:3] == ["operator", "200", "1,000"]
    assert line_of(text, "list pages until then") == ["list pages until then", "3", "14", "≤ 300", "yes"]


def test_a_figure_that_was_not_measured_is_a_dash() -> None:
    text = markdown([a_run(busy__list_pages=14)])

    assert line_of(text, "GETs of single builds") == ["GETs of single builds", "-", "0", "-"]


def test_a_goal_that_is_missed_at_the_largest_size_is_shown() -> None:
    text = markdown([a_run(size=200, busy__list_pages=3), a_run(size=10_000, busy__list_pages=4037)])

    assert line_of(text, "list pages until then")[-1] == "**no**"


@pytest.mark.parametrize(("seconds", "met"), [(480.0, True), (481.0, False)])
def test_the_time_until_all_are_ready_is_judged_by_the_thousand_of_the_same_run(seconds: float, met: bool) -> None:
    runs = [a_run(size=1000, busy__seconds_to_all_ready=40), a_run(size=10_000, busy__seconds_to_all_ready=seconds)]

    assert is_met(row_of(FIRST_ROW), runs, 10_000) is met
    assert is_met(row_of(FIRST_ROW), runs, 1000) is None
    assert is_met(row_of(FIRST_ROW), runs[1:], 10_000) is None


def test_ratios_are_of_the_operator_to_the_naive_poller_and_of_the_sizes() -> None:
    text = markdown([
        a_run(size=200, busy__remote_calls_per_life=1), a_run(size=1000, busy__remote_calls_per_life=1.5),
        a_run("naive poller", 200, busy__remote_calls_per_life=2), a_run("naive poller", 1000),
    ])

    _, naive, ratios, growth = text.split("\n\n")
    assert line_of(naive, "remote calls a life") == ["remote calls a life", "2", "-"]
    assert line_of(ratios, "remote calls a life") == ["remote calls a life", "0.50", "-"]
    assert line_of(growth, "remote calls a life") == ["remote calls a life", "1.50"]


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    text = markdown([a_run(size=200), a_run(size=1000, busy__gets=0), a_run("naive poller", 1000, busy__gets=7)])

    for table in text.split("\n\n"):
        assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize(("value", "words"), [
    (0, "0"), (0.004, "0.004"), (4.5, "4.50"), (33.333, "33.3"), (4037, "4,037"), (905.6, "905.6"), (None, "-"),
])
def test_numbers_are_short(value: float | None, words: str) -> None:
    assert shown(value) == words


def test_there_is_no_ratio_to_nothing() -> None:
    assert [ratio(1, 0), ratio(1, None), ratio(None, 1), ratio(0, 4)] == ["-", "-", "-", "0.00"]


def test_a_word_is_not_a_figure() -> None:
    assert number_at({"busy": {"gets": "many"}}, "busy.gets") is None
    assert number_at({"busy": 3}, "busy.gets") is None
    assert number_at(None, "busy.gets") is None


def test_only_figures_that_were_measured_are_drawn() -> None:
    latency = {"latency": {"5s": {"all": [1.0, 2.0]}, "1s": {"all": [0.5]}}}

    assert set(plots([a_run(busy__cpu_ms_per_life=20)])) == {"cpu.svg"}
    assert set(plots([a_run() | latency])) == {"latency.svg"}
    assert plots([]) == {}


def test_times_on_the_clock_can_be_left_out() -> None:
    latency = {"latency": {"5s": {"p99": 3.0, "all": [1.0, 3.0]}}}
    run = a_run(busy__seconds_to_all_ready=9, busy__late_by__p99=3, busy__cpu_ms_per_life=20,
                restart__seconds_to_readyz=2, idle__percent_of_a_core=4) | latency

    text = markdown([run], times=False)

    assert set(plots([run], times=False)) == {"cpu.svg", "idle.svg"}
    assert not any(word in text for word in ("seconds", "late by", "latency"))
    assert line_of(text, "CPU a life, ms")[1] == "20"
    assert line_of(text, "idle CPU, % of a core")[1] == "4"
