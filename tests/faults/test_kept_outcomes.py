"""What is kept of a run is read back as it was, whatever the run was doing when it was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.programme.kept_outcomes import EndedBatch, KeptOutcomes, references_in, seconds_of
from tests.faults.programme.plans import Outcome
from tests.faults.toy_programme import CREATE, LEAK, REFERENCE, RIGHT

PLAN = "views/build-runs/late=3@agentbuilds"
ENDED = EndedBatch(
    key="k-1", outcomes=(Outcome(PLAN, (LEAK,), log=Path("/tmp/operator.log")), Outcome("é", reached=False)),  # noqa: S108 - only a name
    calls=frozenset({CREATE}), used=frozenset({RIGHT}), forbidden=frozenset({RIGHT}), took=0.5, run="r-1", seconds=1.5,
    reference=("build-runs", REFERENCE),
)


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    KeptOutcomes(tmp_path).add(ENDED)

    assert KeptOutcomes(tmp_path).read() == {"k-1": ENDED}
    assert references_in([ENDED]) == {"build-runs": REFERENCE}


def test_nothing_is_kept_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert KeptOutcomes(tmp_path / "nowhere").read() == {}


@pytest.mark.parametrize("left", [1, 20, 200])
def test_a_line_that_was_cut_off_is_ignored_and_what_follows_is_not(tmp_path: Path, left: int) -> None:
    kept = KeptOutcomes(tmp_path)
    kept.add(ENDED)
    kept.add(replace(ENDED, key="k-2"))
    path = tmp_path / "outcomes.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:left])
    kept.add(replace(ENDED, key="k-3"))

    assert list(kept.read()) == ["k-1", "k-3"]


def test_what_was_kept_first_of_a_batch_counts(tmp_path: Path) -> None:
    kept = KeptOutcomes(tmp_path)
    kept.add(ENDED)
    kept.add(replace(ENDED, outcomes=()))

    assert kept.read() == {"k-1": ENDED}


def test_nothing_is_kept_any_more_after_it_was_cleared(tmp_path: Path) -> None:
    kept = KeptOutcomes(tmp_path)
    kept.add(ENDED)
    kept.clear()

    assert kept.read() == {}


def test_the_time_of_all_runs_is_added_up() -> None:
    ended = [replace(ENDED, run=run, seconds=seconds) for run, seconds in (("r-1", 5), ("r-1", 60), ("r-2", 7))]

    assert seconds_of(ended) == 67
