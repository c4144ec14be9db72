"""The remote family: faults of the remote API at each call, once, three times and for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.remote.case import RemoteCase
from tests.faults.remote.matrix import USUAL, Plan, matrix, of_their_own
from tests.faults.remote.scheduler import CaseScheduler
from tests.faults.remote.special_settings import prepare
from tests.faults.runner.secret_markers import LeakDetector

from agentex_testkit.judge.evidence import Evidence
from agentex_testkit.judge.findings import Finding
from agentex_testkit.judge.invariants import judge_one, strangers

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

TOGETHER = 40
PLANS: dict[str, Plan] = {plan.name: plan for plan in (*matrix(), *of_their_own())}


class Remote:
    """The remote family: forty plans share a world; plans with a setting of their own have worlds of their own."""

    name = "remote"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        if scale.gate:
            usual = [name for name, plan in PLANS.items() if plan.setting == USUAL]
            yield usual[:: len(usual) // TOGETHER + 1]
            return
        for _, plans in groupby(sorted(PLANS.values(), key=lambda plan: plan.setting), lambda plan: plan.setting):
            yield from _shared([plan.name for plan in plans])

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterable[Outcome]:
        scheduler = CaseScheduler(runner.reset(), runner.sources, partial(_restart, runner))
        prepare(PLANS[plans[0]].setting, scheduler.world)
        cases = {name: RemoteCase(scheduler, name, PLANS[name].kind) for name in plans}
        found = scheduler.run({name: PLANS[name].steps(case) for name, case in cases.items()})
        evidence, bugs = scheduler.world.evidence(), runner.log_errors()
        leaks = LeakDetector(scheduler.world, [case.marker for case in cases.values()]).leaks()
        for name, case in cases.items():
            case.close()
            mine = (one for one in leaks if case.marker.what in one.text)
            yield Outcome(name, (*found[name], *_judge(evidence, case), *mine, *bugs))


def _shared(names: list[str]) -> Iterator[list[str]]:
    """Worlds of at most TOGETHER plans; neighbours of the matrix go to different worlds."""
    worlds = -(-len(names) // TOGETHER)
    yield from (names[first::worlds] for first in range(worlds))


def _restart(runner: Runner) -> None:
    runner.supervisor.stop()
    runner.supervisor.start()


def _judge(evidence: Evidence, case: RemoteCase) -> Iterator[Finding]:
    """What the judge finds about the resource, and about objects of no resource in the account."""
    if case.tracked is None:
        return
    case.tracked.creates = case.creates
    mine = [one for one in evidence.ledger if one["account"] == case.account and one["id"] not in case.settled]
    evidence = replace(evidence, ledger=mine)
    yield from judge_one(replace(evidence.case(case.tracked), ambiguous=case.ambiguous))
    yield from strangers(evidence)


