"""What the judge answers: broken promises, each with its invariant and the harm it does."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Harm(enum.Enum):
    """What a broken promise does to the user; the last line of a run counts them."""

    DUPLICATED = "duplicated"
    LEAKED = "leaked"
    WRONGLY_DELETED = "wrongly deleted"
    STUCK = "stuck"
    OTHER = "otherwise broken"


@dataclass(frozen=True)
class Finding:
    """One broken promise: the invariant of reliability.md §3, what was seen, and what harm it does."""

    invariant: str
    text: str
    harm: Harm

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"
