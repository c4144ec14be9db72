"""The answers family: the API server answers a call with an error, whether the call took effect or not.

    answers/build-runs/kube PATCH agentbuilds/quote/status #1/504-done    the write is done, and answered with a timeout
    answers/preview-edited/kube PATCH agentdeployments/quote #1/429=3     too many requests from here on, for 3 seconds

The answers are `ANSWERS` of agentex_testkit/fault_proxy/faults.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.catalogue import SCENARIOS
from tests.faults.scenarios.reference import Reference

from agentex_testkit.fault_proxy.calls import KUBE, Call
from agentex_testkit.fault_proxy.faults import ANSWERS, CallFault

SPELLS = ("429=3", "503-html=3", "broken=3", "403=3")
GATE = ("build-edited-running", "preview-edited")
GATE_TOO = "answers/build-edited-running/kube PATCH agentexaccounts/default/status #1/500"  # who waits for the account?


class Answers:
    """The answers family: every write of every scenario with one of the answers in turn, every call site with all,
    spells.
    """

    name = "answers"

    def __init__(self, found: dict[str, Reference]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself; in the gate, the first writes of two scenarios."""
        if scale.gate:
            return [[GATE_TOO], *([plan] for scenario in GATE for plan in islice(self._writes(scenario), 4))]
        scenarios = [plan for scenario in self._found for plan in (*self._writes(scenario), *self._spells(scenario))]
        return [[plan] for plan in dict.fromkeys((*scenarios, *self._sites()))]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each plan."""
        for plan in plans:
            _, scenario, name = plan.split("/", 2)
            fault = CallFault.parse(name)
            findings = reference.run_with_faults(runner, scenario, self._found[scenario], [fault], late=fault.count)
            yield Outcome(plan, findings, reached=fault.triggered.is_set())

    def _calls(self, scenario: str) -> list[Call]:
        return [call for call in self._found[scenario].calls if call.server == KUBE]

    def _writes(self, scenario: str) -> Iterator[str]:
        """The writes of a scenario, each with the next answer; each scenario begins with another one."""
        writes = (call for call in self._calls(scenario) if call.mutates)
        turns = islice(cycle(ANSWERS), list(SCENARIOS).index(scenario), None)
        yield from (f"{self.name}/{scenario}/{call}/{answer}" for call, answer in zip(writes, turns, strict=False))

    def _spells(self, scenario: str) -> Iterator[str]:
        """Spells of a few seconds from the second write on."""
        for call in islice((call for call in self._calls(scenario) if call.mutates), 1, 2):
            yield from (f"{self.name}/{scenario}/{call}/{spell}" for spell in SPELLS)

    def _sites(self) -> Iterator[str]:
        """Each call site in the scenario that meets it first, with every answer that is possible there."""
        met: set[str] = set()
        for scenario in self._found:
            for call in self._calls(scenario):
                if call.site not in met:
                    met.add(call.site)
                    yield from (f"{self.name}/{scenario}/{call}/{answer}" for answer, bad in ANSWERS.items()
                                if not (bad.done and call.verb == "WATCH"))
