"""Percentiles of measured seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of the values do not exceed. Raises ValueError for none."""
    if not values:
        message = "there is no percentile of no values"
        raise ValueError(message)
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the greatest value, rounded to hundredths."""
    return {"p50": round(percentile(values, 0.5), 2), "p99": round(percentile(values, 0.99), 2),
            "max": round(max(values), 2)}


def evenly(names: Sequence[str], count: int) -> list[str]:
    """At most `count` of the names, the first and the last among them, at even distances."""
    if count >= len(names) or len(names) == 1:
        return list(names)
    if count == 1:
        return [names[0]]
    return [names[round(number * (len(names) - 1) / (count - 1))] for number in range(count)]
