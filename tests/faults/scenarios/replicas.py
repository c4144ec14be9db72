"""The replicas family: two operators act at the same time; one may see events late, or be frozen for a while.

    replicas/build-succeeds/both
    replicas/deployment-follows/second late=3@agentbuilds
    replicas/build-deleted-at-once/frozen 6 at kube PATCH agentbuilds/quote/status #1/after

In the second plan the second operator sees AgentBuilds three seconds late (views.py lists the distortions). In the
third the first operator is stopped by SIGSTOP for six seconds, right after its write was answered.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.runner.supervised_operator import Supervisor
from tests.faults.scenarios import reference
from tests.faults.scenarios.reference import Reference
from tests.faults.scenarios.watch_distortion import OURS, WatchDistortion

from agentex_testkit.api_server import eventually
from agentex_testkit.fault_proxy.faults import CallFault
from agentex_testkit.fault_proxy.proxy import FaultProxy

SHORT, LONG = 2.0, 6.0      # seconds frozen: less, and more, than the longest life of a create
CREATES_LIVE = 4.0          # that life, as the benches set it; who wakes up later must not send it any more
BEHIND = ("first=1", "late=3@agentbuilds", "late=3@agentdeployments")   # the second operator's watch
GATE = ("build-succeeds/both", "preview-edited/both", "build-recreated/both", "build-context-changes/second first=1",
        "build-succeeds/frozen 6 at remote POST /v5/builds #1/in")


class Replicas:
    """The replicas family: two operators in every scenario; one that sees late; one frozen at every mutating call."""

    name = "replicas"

    def __init__(self, found: dict[str, Reference]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself."""
        both = GATE if scale.gate else tuple(f"{scenario}/both" for scenario in self._found)
        more = () if scale.gate else (*self._behind(), *self._frozen())
        return [[f"{self.name}/{plan}"] for plan in (*both, *more)]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each plan with two operators."""
        for plan in plans:
            _, scenario, how = plan.split("/", 2)
            with second_operator(runner) as both:
                yield both.played(plan, scenario, self._found[scenario], how)

    def _behind(self) -> Iterator[str]:
        """Scenarios with more than one create, where the second operator sees late."""
        for scenario, found in self._found.items():
            if found.creates > 1:
                yield from (f"{scenario}/second {distortion}" for distortion in BEHIND)

    def _frozen(self) -> Iterator[str]:
        """The first operator is frozen inside each create and removal, and between the write that announces one and
        the call.
        """
        for scenario in self._found:
            mutating = [call for call in self._found[scenario].calls if call.mutates]
            for before, call in zip([None, *mutating], mutating, strict=False):
                for seconds in (SHORT, LONG) if call.server == "remote" else ():
                    yield f"{scenario}/frozen {seconds:g} at {call}/in"
                    if before is not None and before.server == "kube":
                        yield f"{scenario}/frozen {seconds:g} at {before}/after"


class Pair:
    """The runner's own operator, which may be frozen, and a second one."""

    def __init__(self, runner: Runner, supervisor: Supervisor, proxy: FaultProxy) -> None:
        self.runner, self.supervisor, self.proxy = runner, supervisor, proxy
        self.frozen_before_a_create = 0
        self.watch_filter: WatchDistortion | None = None    # the second operator's

    def played(self, plan: str, scenario: str, found: Reference, how: str) -> Outcome:
        """Run one plan."""
        faults, self.watch_filter = faults_of(how), filter_of(how)
        in_time = frozen_seconds(how) < CREATES_LIVE
        self.frozen_before_a_create = sum(fault.phase == "after" for fault in faults) if in_time else 0
        late = max(frozen_seconds(how), self.watch_filter.late if self.watch_filter else 0)
        with self.freezing(frozen_seconds(how)):
            findings = reference.run_with_faults(self.runner, scenario, found, faults, late=late)
        return Outcome(plan, findings, reached=all(fault.triggered.is_set() for fault in faults))

    def begin(self) -> None:
        """Start the second operator, and return when it watches."""
        self.proxy.begin([], watch_filter=self.watch_filter)
        self.supervisor.start()
        eventually(self._watched, lambda watched: watched >= set(OURS), 40)

    def _watched(self) -> set[str]:
        return {call.what for call in tuple(self.proxy.trace) if call.verb == "WATCH"}

    @property
    def log(self) -> str:
        """The log of the second operator."""
        return self.supervisor.operator.log

    def ambiguous(self) -> int:
        """How many creates one of the two operators could not know of."""
        return self.proxy.ambiguous() + self.frozen_before_a_create

    @contextmanager
    def freezing(self, seconds: float) -> Iterator[None]:
        """Within this context, a fault freezes the first operator for so many seconds instead of killing it."""
        timers: list[threading.Timer] = []

        def interrupt() -> None:
            self.runner.operator.send_signal(signal.SIGSTOP)
            timers.append(threading.Timer(seconds, self.runner.operator.send_signal, [signal.SIGCONT]))
            timers[-1].start()

        with self.runner.interrupting_with(interrupt):
            yield
        for timer in timers:
            timer.join()


@contextmanager
def second_operator(runner: Runner) -> Iterator[Pair]:
    """A second operator with a fault proxy of its own; started by `Pair.begin`."""
    with ExitStack() as stack:
        proxy = FaultProxy(lambda: None)
        stack.callback(proxy.close)
        operator = runner.new_operator(proxy)
        stack.callback(operator.end)
        supervisor = Supervisor(operator)
        stack.callback(supervisor.end)
        runner.second = Pair(runner, supervisor, proxy)
        yield runner.second
        runner.second = None
        runner.proxy.sites = {**proxy.sites, **runner.proxy.sites}


def faults_of(how: str) -> list[CallFault]:
    """The call at which the first operator is frozen, if any."""
    return [CallFault.parse(how.partition(" at ")[2])] if how.startswith("frozen") else []


def filter_of(how: str) -> WatchDistortion | None:
    """The distortion of the second operator's watch, if any."""
    return WatchDistortion.parse(how.removeprefix("second ")) if how.startswith("second ") else None


def frozen_seconds(how: str) -> float:
    """For how many seconds the first operator is frozen."""
    return float(how.split(" ")[1]) if how.startswith("frozen") else 0.0
