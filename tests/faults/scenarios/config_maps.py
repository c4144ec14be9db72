"""The configmaps family: a ConfigMap that resources name changes in place while something goes wrong with its watch.

    configmaps/build/twice/lost              a build's source changes twice, and the events of both changes are lost
    configmaps/both/changed/kill GET/pre     SIGKILL between the event of the change and the read of the pass

The operator looks at nothing again by itself for an hour (`--resync`), so nothing but the watch, or the polling that
stands in for it, finds a change. In the end every resource is Ready for the newest content, with as many creates as the
changes explain, and the ConfigMap is not polled any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios.config_map_faults import ENDS, FAULTS, ConfigMapFault
from tests.faults.scenarios.named_config_maps import CHANGES, NAMED, NamedConfigMap, polled_for_ever
from tests.faults.scenarios.replicas import Pair, second_operator
from tests.faults.scenarios.scenario import PATIENCE

from agentex_testkit.judge.findings import Finding, Harm

QUIET = ("--resync=1h",)   # beside `--reference-resync=1s`
FEW = ("late=3", "newest=2", "twice", "back", *ENDS, "list 500", "watch 500", "denied", "kill event", "down", "both",
       "both late=3")      # the faults that meet every change; a single change meets all
BLIND = (*ENDS, "down", "newest=2")  # nobody is told of the deletion: `newest` hides what comes and goes in that time
FOR_LONG = "denied for long"
RIGHT_IS_TRIED = 150.0     # seconds: longer than from a refusal to the next attempt
HEALED = 40.0              # seconds: longer than any other fault, and the delay after it
POLLED = 2.5               # seconds without a read: longer than `--reference-resync`
GATE = ("build/changed/lost", "deployment/changed/kill event")


class ConfigMaps:
    """The configmaps family."""

    name = "configmaps"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself."""
        return [[f"{self.name}/{plan}"] for plan in (GATE if scale.gate else self._plans())]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each plan."""
        for plan in plans:
            _, named, change, fault = plan.split("/", 3)
            with operators_that_rest(runner, fault):
                yield ConfigMapPlan(runner, named, change, fault).run(plan)

    def _plans(self) -> Iterator[str]:
        for named in NAMED:
            yield from (f"{named}/changed/{fault}" for fault in (*FAULTS, FOR_LONG))
        for named in NAMED[:2]:
            for change in CHANGES:
                blind = BLIND if change == "deleted" else ()
                yield from (f"{named}/{change}/{fault}" for fault in FEW if change != "changed" and fault not in blind)


@contextmanager
def operators_that_rest(runner: Runner, fault: str) -> Iterator[None]:
    """Within this context, the operators that are started look at nothing again by themselves; two where asked for."""
    with ExitStack() as stack:
        operators = [runner.operator]
        if fault.startswith("both"):
            operators.append(stack.enter_context(second_operator(runner)).supervisor.operator)
        for operator in operators:
            operator.more_flags = QUIET
        yield
        runner.operator.more_flags = ()


class ConfigMapPlan:
    """One plan."""

    def __init__(self, runner: Runner, named: str, change: str, fault: str) -> None:
        self.runner, self.change, self.for_long = runner, change, fault == FOR_LONG
        self.map = NamedConfigMap(runner, named)
        self.fault = ConfigMapFault("denied" if self.for_long else fault, runner)

    def run(self, plan: str) -> Outcome:
        """Run it, from an empty world to an empty world."""
        if isinstance(self.runner.second, Pair):
            self.runner.second.watch_filter = self.fault.distortion
            self.runner.reset()
        else:
            self.runner.reset(watch_filter=self.fault.watch_filter)
        findings = self.runner.attempt(self._play) or tuple(self._judged_at_rest())
        return Outcome(plan, (*findings, *self.runner.unexpected_exits(), *self.runner.finish()), self.fault.happened)

    def _play(self) -> None:
        self.map.make()
        self.map.explain(self.change)
        self.written = self.map.versions()
        with self.fault.during(self.map.named):
            self.map.change(self.change)
        self.map.wait(PATIENCE)

    def _judged_at_rest(self) -> Iterator[Finding]:
        yield from self.runner.wait_for_rest(self.fault.late)
        yield from self.map.outdated()
        if self.change == "labelled" and self.map.versions() != self.written:
            yield Finding("I11", "a label of the ConfigMap made the operator write", Harm.OTHER)
        if self.for_long:
            yield from polled_for_ever(self.runner, POLLED, RIGHT_IS_TRIED)
            yield from self.runner.attempt(self._change_again) or self.map.outdated()
        elif self.fault.name != "denied":
            yield from polled_for_ever(self.runner, POLLED, HEALED)

    def _change_again(self) -> None:
        """Change the ConfigMap once more: the watch that works again tells of it."""
        self.map.explain("twice")
        self.map.change("once more")
        self.map.wait(PATIENCE)
