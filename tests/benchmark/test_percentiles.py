"""Percentiles are values that were measured, and samples are spread over all names."""

from __future__ import annotations

import pytest
from benchmarks.percentiles import evenly, percentile, summary
from hypothesis import given
from hypothesis import strategies as st

seconds = st.lists(st.floats(0, 1e6), min_size=1)


@given(seconds, st.floats(0, 1))
def test_the_percentile_is_the_smallest_value_that_the_share_does_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)

    assert found in values
    assert sum(one <= found for one in values) >= share * len(values) * 0.999999
    assert found == min(values) or sum(one < found for one in values) < share * len(values) * 1.000001


def test_there_is_no_percentile_of_no_values() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_summary_has_median_p99_and_maximum() -> None:
    assert summary([*range(1, 100), 1000.0]) == {"p50": 50, "p99": 99, "max": 1000}


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_sample_has_as_many_different_names_as_wanted_and_the_last_one(size: int, count: int) -> None:
    names = [f"build-{number}" for number in range(size)]

    found = evenly(names, count)

    assert len(set(found)) == len(found) == min(size, count)
    assert found[0] == names[0]
    assert count == 1 or found[-1] == names[-1]
