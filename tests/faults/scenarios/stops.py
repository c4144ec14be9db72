"""The stops family: SIGTERM in the middle of a call, as at every upgrade; another operator starts afterwards.

    stops/build-runs/remote POST /v5/builds #1/in

The call in flight is finished first, so no answer is lost, and the judge has nothing to excuse.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.reference import Reference

from agentex_testkit.fault_proxy.calls import REMOTE
from agentex_testkit.fault_proxy.faults import CallFault

GATE = ("build-succeeds", "preview-edited")


class Stops:
    """The stops family: SIGTERM at every create and removal of every scenario, and at its first write."""

    name = "stops"

    def __init__(self, found: dict[str, Reference]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself; in the gate, two scenarios."""
        return [[plan] for scenario in (GATE if scale.gate else self._found) for plan in self._plans(scenario)]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each plan."""
        for plan in plans:
            _, scenario, moment = plan.split("/", 2)
            fault = CallFault.parse(moment)
            with runner.interrupting_with(lambda: runner.operator.send_signal(signal.SIGTERM)):
                findings = reference.run_with_faults(runner, scenario, self._found[scenario], [fault])
            yield Outcome(plan, findings, reached=fault.triggered.is_set())

    def _plans(self, scenario: str) -> Iterator[str]:
        mutating = [call for call in self._found[scenario].calls if call.mutates]
        first = islice((call for call in mutating if call.server != REMOTE), 1)
        for call in (*first, *(call for call in mutating if call.server == REMOTE)):
            yield f"{self.name}/{scenario}/{call}/in"
