"""What the programme consists of: plans, families of plans, and the outcome of a plan.

The name of a plan says everything that its family needs to run it again, in another process or on another day:
`crash/build-created/remote POST /v5/builds #1/post`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agentex_testkit.judge.findings import Finding

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner


@dataclass(frozen=True)
class Outcome:
    """How one plan ended: the findings (none is good), and whether its faults came to pass (`reached`).

    `log`: where the operator's log of a plan with findings is kept.
    """

    plan: str
    findings: tuple[Finding, ...] = ()
    reached: bool = True
    log: Path | None = None


@dataclass(frozen=True)
class Scale:
    """How much is run: the gate of every `make test`, the whole, or everything with doubles."""

    gate: bool = False
    full: bool = False


class Family(Protocol):
    """Plans of one sort. The batches are independent: each runs in a world of its own, several at the same time."""

    name: str

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """The names of the plans, in groups that share a world."""
        ...

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterable[Outcome]:
        """Run these plans, and return the outcome of each; one that raises is stuck."""
        ...
