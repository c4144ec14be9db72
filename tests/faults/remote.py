"""The remote family: a remote that lies, breaks off and forgets, in every call, once, three times and for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from tests.faults.canaries import Lookout
from tests.faults.plans import Ended, Scale
from tests.faults.remote_hours import prepare
from tests.faults.remote_matrix import USUAL, Plan, matrix, of_their_own
from tests.faults.remote_stage import Scene, Stage

from agentex_testkit.judge.evidence import Evidence
from agentex_testkit.judge.findings import Finding
from agentex_testkit.judge.invariants import judge_one, strangers

if TYPE_CHECKING:
    from tests.faults.bench import Bench

TOGETHER = 40
PLANS: dict[str, Plan] = {plan.name: plan for plan in (*matrix(), *of_their_own())}


class Remote:
    """Plans are told side by side, forty to a world; what is peculiar to a setting has worlds of its own."""

    name = "remote"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        if scale.gate:
            usual = [name for name, plan in PLANS.items() if plan.setting == USUAL]
            yield usual[:: len(usual) // TOGETHER + 1]
            return
        for _, plans in groupby(sorted(PLANS.values(), key=lambda plan: plan.setting), lambda plan: plan.setting):
            yield from _shared([plan.name for plan in plans])

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterable[Ended]:
        stage = Stage(bench.ready(), bench.depot, partial(_restart, bench))
        prepare(PLANS[plans[0]].setting, stage.world)
        scenes = {name: Scene(stage, name, PLANS[name].kind) for name in plans}
        found = stage.tell({name: PLANS[name].story(scene) for name, scene in scenes.items()})
        evidence, bugs = stage.world.evidence(), bench.bugs()
        spilled = Lookout(stage.world, [scene.canary for scene in scenes.values()]).spilled()
        for name, scene in scenes.items():
            scene.close()
            mine = (one for one in spilled if scene.canary.what in one.text)
            yield Ended(name, (*found[name], *_judged(evidence, scene), *mine, *bugs))


def _shared(names: list[str]) -> Iterator[list[str]]:
    """Near neighbours apart: each world gets plans of every row."""
    worlds = -(-len(names) // TOGETHER)
    yield from (names[first::worlds] for first in range(worlds))


def _restart(bench: Bench) -> None:
    bench.keeper.stop()
    bench.keeper.start()


def _judged(evidence: Evidence, scene: Scene) -> Iterator[Finding]:
    """What the judge says of the resource, and of everything in the account that belongs to nobody."""
    if scene.tracked is None:
        return
    scene.tracked.creates = scene.creates
    mine = [one for one in evidence.ledger if one["account"] == scene.account and one["id"] not in scene.settled]
    evidence = replace(evidence, ledger=mine)
    yield from judge_one(replace(evidence.case(scene.tracked), ambiguous=scene.ambiguous))
    yield from strangers(evidence)


