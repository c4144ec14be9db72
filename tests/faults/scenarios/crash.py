"""The crash family: SIGKILL before, during and after every call of every scenario, and a restart.

`crash/build-runs/remote POST /v5/builds #1/post`: in the scenario `build-runs`, the first create was done, and the
operator was killed before it had the answer. `doubles/…/A then B`: it is killed again at call B, counted from its
restart. The calls are found by running each scenario twice, so that a new call of the operator has its plans at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.reference import Reference

from agentex_testkit.fault_proxy.calls import KUBE, Call
from agentex_testkit.fault_proxy.faults import PHASES, CallFault

UPLOAD = ("bytes=0", "bytes=1", "bytes=2500000", "bytes=4999999")
LINES = ("lines=0", "lines=1")
FIVE_MEGABYTES = "build-five-megabytes"
GATE = ("build-succeeds", "build-edited-running", "preview-edited", "deployment-deleted")
THEN = " then "


class Crash:
    """The crash family: one SIGKILL in each plan."""

    name = "crash"

    def __init__(self, found: dict[str, Reference]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself; the gate has the mutating calls of a few scenarios, in the two hardest phases."""
        if scale.gate:
            return [[plan] for name in GATE for plan in self._gate(name)]
        return [[plan] for plan in (*self._plans(), *self._sites())]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each plan."""
        for plan in plans:
            yield run(runner, plan, self._found)

    def _plans(self) -> Iterator[str]:
        """Every mutating call of every scenario, in every phase."""
        for name in self._found:
            for call in self._mutating(name):
                uploads = UPLOAD if name == FIVE_MEGABYTES and call.creates else ()
                yield from (f"{self.name}/{name}/{call}/{phase}" for phase in (*PHASES, *uploads))

    def _sites(self) -> Iterator[str]:
        """Every other call site, in the scenario that meets it first."""
        met = {call.site for name in self._found for call in self._mutating(name)}
        for name in self._found:
            for call in self._found[name].calls:
                if call.site not in met and self._has_lines(name, call):
                    met.add(call.site)
                    yield from (f"{self.name}/{name}/{call}/{phase}" for phase in phases(call))

    def _has_lines(self, name: str, call: Call) -> bool:
        """Whether a watch has any events in this scenario: the operator asks for an object of that collection."""
        has_events = any(one.what.startswith(f"{call.what}/") for one in self._found[name].calls)
        return call.verb != "WATCH" or has_events

    def _gate(self, name: str) -> Iterator[str]:
        return (f"{self.name}/{name}/{call}/{phase}" for call in self._mutating(name) for phase in ("mid", "post"))

    def _mutating(self, name: str) -> list[Call]:
        return [call for call in self._found[name].calls if call.mutates]


class Doubles(Crash):
    """The doubles family: a SIGKILL at a mutating call, and another one after the restart."""

    name = "doubles"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """All of them in a full run, else none."""
        return [[plan] for name in self._found for plan in self._pairs(name)] if scale.full else []

    def _pairs(self, name: str) -> Iterator[str]:
        mutating = self._mutating(name)
        for at, first in enumerate(mutating):
            for phase in ("mid", "post"):
                for second in recounted(mutating[at:]):
                    yield f"{self.name}/{name}/{first}/{phase}{THEN}{second}/post"


def phases(call: Call) -> tuple[str, ...]:
    """The phases of such a call in which the operator can be killed."""
    return LINES if call.verb == "WATCH" else PHASES


def recounted(calls: Sequence[Call]) -> Iterator[Call]:
    """These mutating calls, numbered as an operator that starts now counts them."""
    before: dict[tuple[str, str, str], int] = {}
    for call in calls:
        key = call[:3]
        before[key] = before.get(key, 0) + 1
        yield call._replace(number=before[key])


def run(runner: Runner, plan: str, found: dict[str, Reference]) -> Outcome:
    """Run one plan, from an empty world to an empty world."""
    _, name, deaths = plan.split("/", 2)
    lives = [[CallFault.parse(text)] for text in deaths.split(THEN)]
    findings = reference.run_with_faults(runner, name, found[name], *lives)
    return Outcome(plan, findings, reached=all(fault.triggered.is_set() for act in lives for fault in act))


def uncovered(ran: Iterable[str], seen: Iterable[Call]) -> list[str]:
    """The call sites that were used in a run, and at which no plan killed the operator."""
    killed = (plan.split("/", 2)[2].split(THEN) for plan in ran if plan.startswith(f"{Crash.name}/"))
    covered = {CallFault.parse(death).call.site for deaths in killed for death in deaths}
    return sorted({call.site for call in seen if _matters(call)} - covered)


def _matters(call: Call) -> bool:
    """Whether a call site must be covered: discovery and Events need not be."""
    return not (call.server == KUBE and (call.what.startswith(("/", "events"))))
