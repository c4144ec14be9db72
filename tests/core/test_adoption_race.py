"""Every interleaving of the passes over two resources that name one remote object: one of them holds it in the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import pytest
from tests.core.core_fixture import CoreFixture
from tests.core.test_adoption import KINDS, adopting, finished, recorded, restored

from agentex_operator.core import calls, holders
from agentex_operator.core.errors import Conflict
from agentex_operator.core.protocol import adoption

ADOPTING = (calls.ReadCandidate, calls.FindHolders, calls.SaveStatus)
ACTORS = (0, 0, 1)  # by resource: one of them has two passes at once, as with two replicas, or after a crash


class TwiceError(AssertionError):
    """Two resources hold one object."""


@dataclass
class Race:
    """Two resources, and for each actor its pass: the observed state, and the version that it began with."""

    worlds: tuple[CoreFixture, CoreFixture]
    id_: str
    kind: str
    passes: list[tuple[Any, str] | None] = field(default_factory=lambda: [None] * len(ACTORS))

    def copied(self) -> Race:
        """The same, to go on from."""
        objects = [{**world.there, "metadata": dict(world.there["metadata"])} for world in self.worlds]
        first, second = (replace(world, obj=obj, calls=[], answers=[], others=[])
                         for world, obj in zip(self.worlds, objects, strict=True))
        return Race((first, second), self.id_, self.kind, list(self.passes))

    @property
    def key(self) -> str:
        """Stands for everything that later steps depend on."""
        objects = [world.there.get("status") for world in self.worlds]
        current = [None if one is None else (strip(one[0]), one[1] == self.version(ACTORS[at]))
                   for at, one in enumerate(self.passes)]
        return repr((objects, current))

    def version(self, which: int) -> str:
        """The version of a resource as the API server has it."""
        return str(self.worlds[which].there["metadata"]["resourceVersion"])

    def step(self, at: int) -> None:
        """The next call of this actor's pass, or the beginning of a pass."""
        world = self.worlds[ACTORS[at]]
        world.others = [self.worlds[1 - ACTORS[at]].there]
        observed, version = self.passes[at] or (world.begin()[1], self.version(ACTORS[at]))
        core = self.core
        planned = core.decide(observed, world.now)
        if not isinstance(planned.call, ADOPTING):  # the rest of a pass is of no interest to the other resource
            self.passes[at] = None
            return
        stale = isinstance(planned.call, calls.SaveStatus) and version != self.version(ACTORS[at])
        outcome = Conflict("the object changed") if stale else world.perform(planned.call)
        if isinstance(planned.call, calls.SaveStatus) and not stale:
            version = self.version(ACTORS[at])
        self.passes[at] = core.settle(observed, planned.call, outcome, world.now), version

    @property
    def core(self) -> ModuleType:
        """The decisions."""
        return self.worlds[0].begin()[0]

    @property
    def held_by(self) -> list[int]:
        """Which of the two hold the object."""
        return [n for n, world in enumerate(self.worlds)
                if self.id_ in (recorded(world), world.memory.get("predecessorID"))
                and world.memory.get("writtenFor") == world.there["metadata"]["uid"]]

    def check(self) -> None:
        """At most one holds it."""
        if len(self.held_by) > 1:
            raise TwiceError(f"{self.id_} is held twice")

    def rest(self) -> None:
        """Let both come to rest, one pass after the other; then exactly one holds it, and the other says who."""
        self.passes = [None] * len(ACTORS)
        for _ in range(6):
            for at in (0, len(ACTORS) - 1):
                self.step(at)
                while self.passes[at] is not None:
                    self.step(at)
                self.check()
        (holder,) = self.held_by
        (stalled,) = [one for one in self.worlds[1 - holder].status["conditions"] if one["type"] == "Stalled"]
        assert stalled["reason"] == "AdoptionTargetHeld"
        assert f"team/{self.worlds[holder].there['metadata']['name']} holds" in stalled["message"]


def strip(observed: Any) -> Any:
    """What was observed, without versions."""
    status = observed.status
    return (status, observed.stored == status, observed.candidate is None, observed.holders, observed.holders_read_live,
            observed.object_gone)


def a_race(kind: str, how: str) -> Race:
    """Two resources restored from one backup; both with the finalizer already."""
    before = finished(kind)
    named = adopting(kind, recorded(before)) if how == "adopt" else {}
    worlds = []
    for uid in ("uid-2", "uid-3"):
        world = restored(before, status=how == "status", uid=uid, **named)
        world.there["metadata"] |= {"name": uid, "finalizers": ["agentex.scale.com/remote"]}
        worlds.append(world)
    worlds[1].records = worlds[0].records
    return Race((worlds[0], worlds[1]), str(recorded(before)), kind)


def a_race_for_the_predecessor(uids: tuple[str, str]) -> Race:
    """A resource restored while its preview was being replaced, and one whose spec.adopt names the preview before."""
    before = finished("preview")
    id_ = str(recorded(before))
    before.records["older"] = replace(before.records[id_], id="older")
    before.memory["predecessorID"] = "older"
    one = restored(before, uid=uids[0])
    two = restored(before, status=False, uid=uids[1], **adopting("preview", "older"))
    for world in (one, two):
        world.there["metadata"] |= {"name": world.there["metadata"]["uid"], "finalizers": ["agentex.scale.com/remote"]}
    two.records = one.records
    return Race((one, two), "older", "preview")


def search(first: Race) -> int:
    """Look at every state that is reachable from this one; return how many there are. Raises TwiceError."""
    todo, seen, rested = [first], {first.key}, set()
    while todo:
        race = todo.pop()
        race.check()
        quiet = repr([world.obj for world in race.worlds])
        if quiet not in rested:
            rested.add(quiet)
            race.copied().rest()
        for at in range(len(ACTORS)):
            after = race.copied()
            after.step(at)
            if after.key not in seen:
                seen.add(after.key)
                todo.append(after)
    return len(seen)


@pytest.mark.exhaustive
@KINDS
@pytest.mark.parametrize("how", ["status", "adopt"])
def test_two_resources_that_name_one_object_end_with_one_holder(kind: str, how: str) -> None:
    assert search(a_race(kind, how)) > 100


@pytest.mark.exhaustive
@pytest.mark.parametrize("uids", [("uid-2", "uid-3"), ("uid-3", "uid-2")], ids=["older", "younger"])
def test_a_predecessor_that_a_restored_status_names_has_one_holder(uids: tuple[str, str]) -> None:
    assert search(a_race_for_the_predecessor(uids)) > 100


def test_without_a_look_at_the_holders_both_would_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "in_the_way", lambda _holders, _rank: None)
    monkeypatch.setattr(adoption, "wait_for_younger_claims", lambda _observed: None)

    with pytest.raises(TwiceError):
        search(a_race("build", "adopt"))


def test_without_a_wait_for_younger_claims_both_would_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "wait_for_younger_claims", lambda _observed: None)

    with pytest.raises(TwiceError):
        search(a_race("build", "adopt"))
