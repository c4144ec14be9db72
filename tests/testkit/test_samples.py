"""The quick tests leave out no value of a matrix, and no property."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings

from agentex_testkit import samples

SHAPES = [(("a", "b"), (1, 2, 3, 4, 5), ("x", "y", "z", "w"), 4), (("a", "b"), (1, 2, 3), 2), (("a", "b"), (1, 2), 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_combination_is_there_and_every_value_is_in_a_quick_one(shape: tuple) -> None:
    *axes, every = shape

    found = samples.matrix(*axes, every=every)

    quick = [one.values for one in found if not one.marks]
    assert [one.values for one in found] == list(itertools.product(*axes))
    assert [set(column) for column in zip(*quick, strict=True)] == [set(axis) for axis in axes]
    assert len(quick) == len(found) // every


def test_a_matrix_whose_quick_part_lacks_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="axis 0"):
        samples.matrix("ab", "x", every=2)


def test_the_profile_of_the_quick_tests_tries_a_part_of_the_examples_of_every_property() -> None:
    usual = settings.get_current_profile_name()
    try:
        settings.load_profile("default")
        assert [samples.examples(count) for count in (1500, 60, 20, 5)] == [1500, 60, 20, 5]
        settings.load_profile(samples.QUICK)
        assert [samples.examples(count) for count in (1500, 60, 20, 5)] == [450, 18, 10, 5]
        assert settings().max_examples == samples.FEW
    finally:
        settings.load_profile(usual)
