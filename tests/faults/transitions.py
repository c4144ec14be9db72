"""From every value of every property to every other: what comes of an edit is what would have come without it.

    transitions/AgentBuild/image.tag/v1 -> v2           edited at rest; ends as one created so, at the least cost
    transitions/AgentBuild/image.tag/v1 -> v1           applied again, in other words, with labels: nothing happens
    transitions/AgentBuild/image.tag/v1 -> !too long    refused by the API server, and nothing happens
    transitions/AgentBuild/source.configMap.key/first -> !missing   said, nothing touched; and back as if it never was
    transitions/AgentBuild/image.tag/v1 -> v2 while created         edited while something is under way

A batch is walked in step, each plan by a resource of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import midway, oracles
from tests.faults.courses import Stage, Walk, unique
from tests.faults.plans import Ended, Scale
from tests.faults.specs import KINDS
from tests.faults.subjects import Subject, subject, subjects

from agentex_testkit.judge.findings import Finding, Harm

if TYPE_CHECKING:
    from tests.faults.bench import Bench

TOGETHER = 48  # plans of one batch
ARROW, WHILE = " -> ", " while "
GATE = {  # a few of each sort, of every kind that lives in a namespace
    "AgentBuild": ("image.tag", "source.configMap.key", "platform", "buildArgs[].value", "suspend"),
    "AgentDeployment": ("manifest.inline", "preview.label", "buildRef.name", "environment"),
}
GATE_PAIRS = 4  # plans of each of these subjects


@dataclass(frozen=True)
class Transition:
    """One plan: of this subject, from a value to a value, at this moment (at rest where there is none)."""

    kind: str
    subject: str
    before: str
    after: str
    moment: str = ""

    @classmethod
    def parse(cls, plan: str) -> Transition:
        """The one of that name."""
        _, kind, name, way = plan.split("/", 3)
        way, _, moment = way.partition(WHILE)
        before, _, after = way.partition(ARROW)
        return cls(kind, name, before, after, moment)

    @property
    def plan(self) -> str:
        """Its name."""
        moment = f"{WHILE}{self.moment}" if self.moment else ""
        return f"transitions/{self.kind}/{self.subject}/{self.before}{ARROW}{self.after}{moment}"

    @property
    def of(self) -> Subject:
        return subject(self.kind, self.subject)

    @property
    def wrong(self) -> str:
        """The wrong value, where that is where it goes."""
        return self.after.removeprefix("!") if self.after.startswith("!") else ""

    @property
    def refused(self) -> bool:
        """Whether the API server must refuse the edit."""
        place = self.of.place
        fixed = (place.frozen or place.anchored) and self.before != self.after
        return fixed or self.wrong in self.of.refused

    def walk(self) -> Walk:
        """What its own resource does; a refused edit, or one that is none, needs none of its own."""
        if self.refused or self.before == self.after:
            return self.fresh(self.before)
        on = (self.way_on,) if self.wrong else ()
        return Walk(self.plan, self.of, (self.before, self.after, *on), self.moment)

    @property
    def way_on(self) -> str:
        """After a mistake, back. What the remote itself refused had been sent: that is gone beyond, not undone."""
        was_sent = self.of.given.bad[self.wrong][1] == oracles.WAS_SENT
        return next(one for one in self.of.right if one != self.before) if was_sent else self.before

    def fresh(self, value: str) -> Walk:
        """One that is created so, and edited no more."""
        return Walk(f"{self.kind}/{self.subject}/{value}", self.of, (value,))

    def walks(self) -> Iterator[Walk]:
        """All it needs."""
        yield self.walk()
        if not self.refused and self.moment != midway.DELETING:
            yield self.fresh(self.way_on if self.wrong else self.after)


class Transitions:
    """The family."""

    name = "transitions"

    def batches(self, scale: Scale) -> Iterator[Sequence[str]]:
        """Batches of one kind each; the gate is one batch of each kind."""
        for kind in GATE if scale.gate else KINDS:
            plans = [one.plan for one in (gate(kind) if scale.gate else everything(kind))]
            yield from (tuple(plans[at:at + TOGETHER]) for at in range(0, len(plans), TOGETHER))

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterable[Ended]:
        """Walk them all, and judge each by every oracle that speaks of it."""
        going = [Transition.parse(plan) for plan in plans]
        for kind in dict.fromkeys(one.kind for one in going):
            yield from _run(bench, kind, [one for one in going if one.kind == kind])


def _run(bench: Bench, kind: str, going: Sequence[Transition]) -> list[Ended]:
    stage = Stage(bench, kind, unique(walk for one in going for walk in one.walks()))
    with bench.alone_with([kind]):
        try:
            return _walked(stage, going)
        finally:
            stage.close()


def _walked(stage: Stage, going: Sequence[Transition]) -> list[Ended]:
    walks = {one.key: one for one in stage.walks}
    stage.set_up()
    midway.set_out(stage)
    for step in range(3):
        stage.walk(step)
    told = oracles.told_again(stage, {one.walk().key for one in going if one.before == one.after})
    refusals = oracles.refused(stage, {(one.walk().key, one.after) for one in going if one.refused})
    verdicts = {one.plan: _verdict(stage, one, walks[one.walk().key], walks) for one in going if not one.refused}
    judged = stage.judged()
    ended = []
    for one in going:
        own = walks[one.walk().key]
        found = refusals.get((own.key, one.after), []) if one.refused else verdicts[one.plan]
        same = told.get(own.key, []) if one.before == one.after else []
        ended.append(Ended(one.plan, tuple(dict.fromkeys([*found, *same, *judged.get(own.name, ())]))))
    return _with_strangers(ended, judged.get("", ()))


def _verdict(stage: Stage, one: Transition, own: Walk, walks: dict[str, Walk]) -> list[Finding]:
    if own.stuck:
        return [Finding("I20", f"{own.kind} {own.name}: {own.stuck}", Harm.STUCK)]
    if one.moment == midway.DELETING:
        return list(own.found)
    other = walks[one.fresh(one.way_on if one.wrong else one.after).key]
    if other.stuck:
        return [Finding("I20", f"{other.kind} {other.name}, created so: {other.stuck}", Harm.STUCK)]
    if one.wrong:
        return oracles.misoperation(own, one.wrong, other)
    return oracles.creation(stage, own) if own is other else oracles.transition(stage, own, other)


def _with_strangers(ended: list[Ended], strange: Iterable[Finding]) -> list[Ended]:
    """What nobody can be blamed for goes to the first."""
    first, *others = ended
    return [Ended(first.plan, (*first.findings, *strange)), *others]


# --- the plans ------------------------------------------------------------------------------------------------------


def everything(kind: str) -> Iterator[Transition]:
    """Every ordered pair of values, every wrong one, and some midway."""
    for one in subjects(kind):
        yield from of_subject(one)
    yield from (Transition(kind, *rest) for rest in midway.PLANS.get(kind, ()))


def of_subject(one: Subject) -> Iterator[Transition]:
    """Every ordered pair, the same twice too; and from the first to every wrong one."""
    for before, after in itertools.product(one.right, repeat=2):
        yield Transition(one.kind, one.name, before, after)
    first = next(iter(one.right))
    for wrong in (*one.given.bad, *one.refused):
        yield Transition(one.kind, one.name, first, f"!{wrong}")


def gate(kind: str) -> Iterator[Transition]:
    """A few that are different from one another."""
    for name in GATE[kind]:
        found = list(of_subject(subject(kind, name)))
        bad = [one for one in found if one.wrong and not one.refused][:1]
        pairs = [one for one in found if not one.wrong]
        yield from (*pairs[:GATE_PAIRS - 1], *bad, *[one for one in found if one.refused][:1])
    yield from (Transition(kind, *rest) for rest in midway.PLANS[kind][:2])
