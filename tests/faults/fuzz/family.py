"""The fuzz family: random specs, each of which is refused by the API server, or gets a condition and can be deleted.

    fuzz/AgentBuild/seed-17     one object, made by generator.py from its seed

The resources of a batch are applied, waited for and deleted together. A finding is: a 5xx, a traceback, an operator
that ended, an endless loop, or a call to the remote API with a body that it cannot read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tests.faults.fuzz.batch import FuzzBatch, FuzzedResource
from tests.faults.programme.plans import Outcome, Scale

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

TOGETHER = 250
AMOUNTS = {"AgentBuild": 2_000, "AgentDeployment": 2_000, "AgentexAccount": 750, "ClusterAgentexAccount": 250}
GATE = {"AgentBuild": 80, "AgentDeployment": 80}
MORE = 4  # times as many, with everything


class Fuzz:
    """The fuzz family."""

    name = "fuzz"

    def batches(self, scale: Scale) -> Iterator[Sequence[str]]:
        """Batches of one kind each; in the gate, one small batch of two kinds."""
        if scale.gate:
            yield tuple(plan for kind, amount in GATE.items() for plan in plans(kind, amount))
            return
        for kind, amount in AMOUNTS.items():
            named = list(plans(kind, amount * (MORE if scale.full else 1)))
            yield from (tuple(named[at:at + TOGETHER]) for at in range(0, len(named), TOGETHER))

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Apply all resources, wait for their conditions, and delete them."""
        resources = [FuzzedResource.of(plan) for plan in plans]
        with runner.exclusively(one.kind for one in resources), FuzzBatch(runner, resources) as batch:
            batch.apply()
            batch.wait_for_conditions()
            batch.delete()
            general = (*batch.loops(), *batch.log_errors(), *batch.left(), *runner.leaked_secrets())
        for one in resources:
            mine = [*one.findings, *(it for it in general if it.text.startswith(f"{one.title}:"))]
            yield Outcome(one.plan, tuple(mine))
        strange = [it for it in general if not any(it.text.startswith(f"{one.title}:") for one in resources)]
        if strange:
            yield Outcome(plans[0], tuple(strange))


def plans(kind: str, amount: int) -> Iterator[str]:
    """The first so many plans of this kind."""
    return (f"fuzz/{kind}/seed-{seed}" for seed in range(amount))
