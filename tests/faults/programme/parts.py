"""Parts of a run: PART=k/n is the k-th of n parts of about the same length; every batch is in exactly one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.programme.batches import Batch


@dataclass(frozen=True)
class Part:
    """The `number`-th of `of` parts, counted from one."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Part k of n, from `k/n`. Raises ValueError."""
        found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
        if found is None or int(found[1]) > int(found[2]):
            raise ValueError(f"{text!r} is not a part: write k/n, as 2/3 for the second of three parts")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Part(1, 1)


def partition(batches: Iterable[Batch], parts: int) -> list[list[Batch]]:
    """The batches in so many parts of about the same expected length; the same for the same batches, in any order."""
    found: list[list[Batch]] = [[] for _ in range(parts)]
    lengths = [0.0] * parts
    for batch in sorted(batches, key=lambda one: (-one.seconds, one.family, one.plans)):
        shortest = lengths.index(min(lengths))
        found[shortest].append(batch)
        lengths[shortest] += batch.seconds
    return found
