"""The transitions family: every value of every property is edited to every other value.

    transitions/AgentBuild/image.tag/v1 -> v2           edited at rest; ends like one created so, at the least cost
    transitions/AgentBuild/image.tag/v1 -> v1           applied again, reordered and with labels: nothing happens
    transitions/AgentBuild/image.tag/v1 -> !too long    refused by the API server, and nothing happens
    transitions/AgentBuild/source.configMapKeyRef.key/first -> !missing   reported in a condition, then taken back
    transitions/AgentBuild/image.tag/v1 -> v2 while created         edited during an operation

The plans of a batch run step by step at the same time, each with a resource of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.specs.crd_schema import KINDS
from tests.faults.transitions import checks, concurrent_edits
from tests.faults.transitions.edit_batch import EditBatch, EditSequence, unique
from tests.faults.transitions.edited_properties import EditedProperty, edited_properties, edited_property

from agentex_testkit.judge.findings import Finding, Harm

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

TOGETHER = 48  # plans of one batch
ARROW, WHILE = " -> ", " while "
GATE = {  # a few of each sort, of every kind that lives in a namespace
    "AgentBuild": ("image.tag", "source.configMapKeyRef.key", "platform", "buildArgs[].value", "suspend"),
    "AgentDeployment": ("manifest.inline", "preview.label", "buildRef.name", "environment"),
}
GATE_PAIRS = 4  # plans of each of these edited_properties


@dataclass(frozen=True)
class Transition:
    """One plan: this property is edited from a value to a value, at rest or at this moment."""

    kind: str
    edited: str
    before: str
    after: str
    moment: str = ""

    @classmethod
    def parse(cls, plan: str) -> Transition:
        """The transition of the plan of that name."""
        _, kind, name, way = plan.split("/", 3)
        way, _, moment = way.partition(WHILE)
        before, _, after = way.partition(ARROW)
        return cls(kind, name, before, after, moment)

    @property
    def plan(self) -> str:
        """The name of the plan."""
        moment = f"{WHILE}{self.moment}" if self.moment else ""
        return f"transitions/{self.kind}/{self.edited}/{self.before}{ARROW}{self.after}{moment}"

    @property
    def of(self) -> EditedProperty:
        return edited_property(self.kind, self.edited)

    @property
    def wrong(self) -> str:
        """The wrong value it goes to; empty where it goes to a right one."""
        return self.after.removeprefix("!") if self.after.startswith("!") else ""

    @property
    def refused(self) -> bool:
        """Whether the API server must refuse the edit."""
        place = self.of.place
        fixed = (place.frozen or place.anchored) and self.before != self.after
        fixed = fixed and (self.before, self.after) != self.of.known.added
        return fixed or self.wrong in self.of.refused

    def sequence(self) -> EditSequence:
        """The sequence of its own resource; a refused or empty edit shares one."""
        if self.refused or self.before == self.after:
            return self.fresh(self.before)
        on = (self.way_on,) if self.wrong else ()
        return EditSequence(self.plan, self.of, (self.before, self.after, *on), self.moment)

    @property
    def way_on(self) -> str:
        """The value after a wrong one: back, or on to another one if the remote had refused what was sent."""
        was_sent = self.of.known.bad[self.wrong][1] == checks.WAS_SENT
        return next(one for one in self.of.valid if one != self.before) if was_sent else self.before

    def fresh(self, value: str) -> EditSequence:
        """The sequence of a resource that is created with this value."""
        return EditSequence(f"{self.kind}/{self.edited}/{value}", self.of, (value,))

    def sequences(self) -> Iterator[EditSequence]:
        """All sequences that the plan needs."""
        yield self.sequence()
        if not self.refused and self.moment != concurrent_edits.DELETING:
            yield self.fresh(self.way_on if self.wrong else self.after)


class Transitions:
    """The transitions family."""

    name = "transitions"

    def batches(self, scale: Scale) -> Iterator[Sequence[str]]:
        """Batches of one kind each; the gate is one batch of each kind."""
        for kind in GATE if scale.gate else KINDS:
            plans = [one.plan for one in (gate(kind) if scale.gate else everything(kind))]
            yield from (tuple(plans[at:at + TOGETHER]) for at in range(0, len(plans), TOGETHER))

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterable[Outcome]:
        """Apply all edits, and judge each by every check that applies to it."""
        going = [Transition.parse(plan) for plan in plans]
        for kind in dict.fromkeys(one.kind for one in going):
            yield from _run(runner, kind, [one for one in going if one.kind == kind])


def _run(runner: Runner, kind: str, going: Sequence[Transition]) -> list[Outcome]:
    batch = EditBatch(runner, kind, unique(sequence for one in going for sequence in one.sequences()))
    with runner.exclusively([kind]):
        try:
            return _walked(batch, going)
        finally:
            batch.close()


def _walked(batch: EditBatch, going: Sequence[Transition]) -> list[Outcome]:
    sequences = {one.key: one for one in batch.sequences}
    batch.set_up()
    concurrent_edits.start(batch)
    for step in range(3):
        batch.apply_step(step)
    unchanged = checks.reapplied(batch, {one.sequence().key for one in going if one.before == one.after})
    refusals = checks.refused(batch, {(one.sequence().key, one.after) for one in going if one.refused})
    verdicts = {one.plan: _verdict(batch, one, sequences[one.sequence().key], sequences)
                for one in going if not one.refused}
    judged = batch.judge()
    outcomes = []
    for one in going:
        own = sequences[one.sequence().key]
        found = refusals.get((own.key, one.after), []) if one.refused else verdicts[one.plan]
        same = unchanged.get(own.key, []) if one.before == one.after else []
        outcomes.append(Outcome(one.plan, tuple(dict.fromkeys([*found, *same, *judged.get(own.name, ())]))))
    return _with_strangers(outcomes, judged.get("", ()))


def _verdict(batch: EditBatch, one: Transition, own: EditSequence, sequences: dict[str, EditSequence]) -> list[Finding]:
    if own.stuck:
        return [Finding("I20", f"{own.kind} {own.name}: {own.stuck}", Harm.STUCK)]
    if one.moment == concurrent_edits.DELETING:
        return list(own.found)
    other = sequences[one.fresh(one.way_on if one.wrong else one.after).key]
    if other.stuck:
        return [Finding("I20", f"{other.kind} {other.name}, created so: {other.stuck}", Harm.STUCK)]
    if one.wrong:
        return checks.misoperation(own, one.wrong, other)
    return checks.creation(batch, own) if own is other else checks.transition(batch, own, other)


def _with_strangers(outcomes: list[Outcome], strange: Iterable[Finding]) -> list[Outcome]:
    """Findings about no resource go to the first plan."""
    first, *others = outcomes
    return [Outcome(first.plan, (*first.findings, *strange)), *others]


# --- the plans ------------------------------------------------------------------------------------------------------


def everything(kind: str) -> Iterator[Transition]:
    """Every ordered pair of values, every wrong value, and some concurrent edits."""
    for one in edited_properties(kind):
        yield from of_subject(one)
    yield from (Transition(kind, *rest) for rest in concurrent_edits.PLANS.get(kind, ()))


def of_subject(one: EditedProperty) -> Iterator[Transition]:
    """Every ordered pair, also of equal values; and the first value with every wrong one."""
    for before, after in itertools.product(one.valid, repeat=2):
        yield Transition(one.kind, one.name, before, after)
    first = next(iter(one.valid))
    for wrong in (*one.known.bad, *one.refused):
        yield Transition(one.kind, one.name, first, f"!{wrong}")


def gate(kind: str) -> Iterator[Transition]:
    """A few plans of each sort."""
    for name in GATE[kind]:
        found = list(of_subject(edited_property(kind, name)))
        bad = [one for one in found if one.wrong and not one.refused][:1]
        pairs = [one for one in found if not one.wrong]
        yield from (*pairs[:GATE_PAIRS - 1], *bad, *[one for one in found if one.refused][:1])
    yield from (Transition(kind, *rest) for rest in concurrent_edits.PLANS[kind][:2])
