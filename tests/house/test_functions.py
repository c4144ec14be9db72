"""Functions are short: the bugs live in the long tail (house.md §5, rule 7)."""

from __future__ import annotations

from statistics import median, quantiles

import pytest
from tests.house.tree import Function, functions

LONGEST = 40


@pytest.fixture(scope="module")
def all_functions() -> list[Function]:
    return list(functions())


def test_half_of_them_have_at_most_5_lines(all_functions: list[Function]) -> None:
    assert median(function.lines for function in all_functions) <= 5


def test_nine_of_ten_have_at_most_15_lines(all_functions: list[Function]) -> None:
    assert quantiles((function.lines for function in all_functions), n=10)[-1] <= 15


def test_none_has_more_than_40_lines(all_functions: list[Function]) -> None:
    assert [function for function in all_functions if function.lines > LONGEST] == []
