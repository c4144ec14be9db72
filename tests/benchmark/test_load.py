"""The command line of the benchmark, its results in a folder, and the promises that it judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.implementations import Start, every_build_was_read, every_change_was_observed
from benchmarks.load import Results, complaints, parsed, wishes_of
from benchmarks.rig import RemoteCall
from tests.benchmark.test_audit_log import a_line, read


def a_run(**busy: Any) -> dict[str, Any]:
    return {"implementation": "operator", "size": 200, "busy": {"creates": 200, "gets": 0, "list_pages": 9, **busy},
            "latency": {"5s": {"p99": 4.0, "all": [3.0, 4.0]}, "1s": {"p99": 1.0, "all": [0.5, 1.0]}},
            "idle": {"writes": 0, "remote_calls": {"GET /v5/builds": 1}}, "restart": {"writes": 0}}


def test_the_sizes_and_the_times_are_chosen() -> None:
    told = parsed(["--sizes", "200,1000", "--idle", "5", "--probes", "20"])

    assert told.sizes == (200, 1000)
    assert (wishes_of(told, 200).size, wishes_of(told, 200).idle, wishes_of(told, 200).probes) == (200, 5, 20)


def test_without_wishes_both_are_measured_at_four_sizes() -> None:
    told = parsed([])

    assert told.sizes == (200, 1000, 3000, 10_000)
    assert told.implementations == ("operator", "naive poller")


def test_an_unknown_implementation_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["--implementations", "ours"])

    assert "known: operator, naive poller" in capsys.readouterr().err


def test_results_are_read_as_they_were_written_and_draw_the_same_plots(tmp_path: Path) -> None:
    Results({"date": "2026-11-28"}, [a_run(), a_run(creates=1)]).write(tmp_path)
    drawing = (tmp_path / "latency.svg").read_text()
    (tmp_path / "latency.svg").unlink()

    again = Results.read(tmp_path)
    again.write(tmp_path)

    assert (again.about, again.runs) == ({"date": "2026-11-28"}, [a_run(), a_run(creates=1)])
    assert (tmp_path / "latency.svg").read_text() == drawing


def test_a_run_that_keeps_every_promise_has_no_complaint() -> None:
    assert complaints(a_run()) == []


@pytest.mark.parametrize(("run", "complaint"), [
    (a_run(creates=201), "200: more than one create for each build"),
    (a_run(gets=1), "200: a GET for each build"),
    (a_run() | {"idle": {"writes": 1, "remote_calls": {}}}, "200: writes while nothing happens"),
    (a_run() | {"idle": {"writes": 0, "remote_calls": {"POST /v5/builds": 1}}},
     "200: remote writes while nothing happens"),
    (a_run() | {"restart": {"writes": 1}}, "200: writes after a restart"),
])
def test_each_broken_promise_is_named(run: dict[str, Any], complaint: str) -> None:
    assert complaints(run) == [complaint]


def test_the_first_pass_of_all_is_over_when_every_change_was_observed() -> None:
    some = read(a_line("build-0", observedGeneration=2), a_line("build-9", observedGeneration=1),
                a_line("build-9", code=409, observedGeneration=2))
    all_of_them = [*some, *read(a_line("build-9", observedGeneration=2))]
    changed = {"build-0": 2, "build-9": 2}

    assert not every_change_was_observed(Start(10, changed, some, ()))
    assert every_change_was_observed(Start(10, changed, all_of_them, ()))


def test_the_naive_poller_has_passed_over_all_when_each_build_was_read() -> None:
    calls = [RemoteCall("GET", "/v5/builds/{build_id}", f"/v5/builds/{name}") for name in ("a", "a", "b")]

    assert not every_build_was_read(Start(3, {}, (), calls))
    assert every_build_was_read(Start(2, {}, (), calls))
