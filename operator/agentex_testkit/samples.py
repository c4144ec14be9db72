"""The part that `make test-unit` tries of a property's examples and of a matrix; `make test` tries all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Final

import pytest
from hypothesis import settings

QUICK: Final = "quick"  # the profile of Hypothesis that the Makefile names
USUAL: Final = 100      # examples of a property that says nothing, without a profile
FEW: Final = 30         # the same in the quick tests
FEWEST: Final = 10


def register_profile() -> None:
    """Make `--hypothesis-profile quick` known."""
    settings.register_profile(QUICK, max_examples=FEW)


def examples(count: int) -> int:
    """Return how many examples a property gets that gets `count` in `make test`."""
    return max(count * settings().max_examples // USUAL, min(count, FEWEST))


def matrix(*axes: Sequence[Any], every: int) -> list[Any]:
    """Return all combinations of the axes' values for `parametrize`, marked exhaustive but for one in `every`.

    Raises ValueError if a value would be in exhaustive combinations only.
    """
    places = list(product(*(range(len(axis)) for axis in axes)))
    quick = [one for one in places if sum(one) % every == 0]
    for number, axis in enumerate(axes):
        if {one[number] for one in quick} != set(range(len(axis))):
            raise ValueError(f"the quick tests would lack a value of axis {number}")
    return [_case(axes, one, is_quick=one in quick) for one in places]


def _case(axes: Sequence[Sequence[Any]], place: Sequence[int], *, is_quick: bool) -> Any:
    values = [axis[number] for axis, number in zip(axes, place, strict=True)]
    return pytest.param(*values, marks=() if is_quick else pytest.mark.exhaustive)
