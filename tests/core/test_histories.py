"""Random histories: crashes, lost answers, late commits, edits and deletions in any order; then peace, and the goal.

A failure names its seed: `HISTORY=build-17 .venv/bin/python -m pytest tests/core/test_histories.py` replays it alone.
"""

import os
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.core.core_fixture import MANIFEST, CoreFixture, CrashError, a_build, a_deployment, a_preview

from agentex_operator.core import calls
from agentex_operator.core.errors import Conflict, Throttled, Unavailable
from agentex_operator.core.remote import BuildRecord, RemoteState

SEEDS = int(os.environ.get("HISTORIES", "60"))  # of each kind
QUICK = 20  # of each kind in the quick tests
STEPS = 30
CREATES = (calls.CreateBuild, calls.CreateDeployment)
WRITES = (calls.AddFinalizer, calls.WriteIntent, calls.SaveStatus, calls.RemoveFinalizer)
UNFINISHED = {RemoteState.WAITING, RemoteState.RUNNING}


class History:
    """One world and the dice."""

    def __init__(self, world: CoreFixture, seed: str) -> None:
        self.world, self.dice = world, random.Random(seed)  # noqa: S311 - dice, not secrets
        self.late: list[tuple] = []
        self.budget = 6
        self.deleted = False
        self.slow = self.dice.random() < 0.3
        world.answers.append(self.answer)

    # -- faults --------------------------------------------------------------------------------------------------

    def answer(self, call, perform):
        """Keep answering; now and then badly, and on a slow day after longer than anything is waited for."""
        self.world.answers.append(self.answer)
        if self.slow and self.dice.random() < 0.5:
            self.elapse(self.world.policy.recreate_delay * 1.5)
        if self.budget and self.dice.random() < 0.12:
            self.budget -= 1
            return self.badly(call, perform)
        return perform()

    def badly(self, call, perform):
        """One of the ways in which a call can go wrong."""
        ways = [self.crash_before, self.crash_after, self.lose]
        ways += [self.come_late, self.refuse_busy] if isinstance(call, CREATES) else []
        ways += [self.overtake] if isinstance(call, WRITES) else []
        return self.dice.choice(ways)(call, perform)

    def crash_before(self, _call, _perform):
        raise CrashError

    def crash_after(self, _call, perform):
        perform()
        raise CrashError

    def lose(self, call, perform):
        if isinstance(call, (*CREATES, calls.Remove)) and self.dice.random() < 0.5:
            perform()
        return Unavailable("the connection was reset")

    def come_late(self, call, _perform):
        patience = self.world.policy.longest_life * self.dice.random() * 0.9
        self.late.append((self.world.now + patience, call))
        if self.dice.random() < 0.5:
            raise CrashError
        return Unavailable("the server did not answer in time")

    def refuse_busy(self, _call, _perform):
        return Throttled("slow down", retry_after=timedelta(seconds=3))

    def overtake(self, _call, _perform):
        return Conflict("somebody else wrote")

    # -- time ----------------------------------------------------------------------------------------------------

    def pass_(self):
        """One pass, and the time until the next."""
        if self.world.obj is None:
            return
        try:
            wait = self.world.run().look_again
        except CrashError:
            wait = timedelta(seconds=1)
        self.elapse(min(wait or timedelta(seconds=20), timedelta(seconds=45)))

    def elapse(self, span):
        self.world.now += span
        for moment, call in list(self.late):
            if self.world.now >= moment:
                self.late.remove((moment, call))
                self.world.create(call)

    def remote_moves(self):
        """Some of what is under way ends; a production deployment that gets healthy supersedes the others."""
        for record in list(self.world.records.values()):
            if record.id != "build-1" and record.state in UNFINISHED and self.dice.random() < 0.5:
                self.finish(record)

    def finish(self, record):
        self.world.records[record.id] = replace(record, raw_status="done", state=RemoteState.SUCCEEDED)
        if isinstance(record, BuildRecord) or record.expires_at is not None:
            return
        for other in list(self.world.records.values()):
            older = other.id != "build-1" and other.created_at <= record.created_at and other.id != record.id
            if older and other.state is not RemoteState.DELETED:
                self.world.records[other.id] = replace(other, raw_status="superseded", state=RemoteState.SUPERSEDED)

    def user_acts(self):
        """Somebody edits, suspends, resumes or deletes."""
        world = self.world
        if world.obj is None or self.deleted:
            return
        act = self.dice.choice([self.change, self.change, self.toggle, self.delete, self.rest, self.rest])
        act()

    def rest(self):
        """Nobody does anything."""

    def change(self):
        assert self.world.obj is not None
        if self.world.obj["kind"] == "AgentBuild":
            self.world.source = f"content-{self.dice.randrange(3)}"
        else:
            self.world.edit(manifest={"inline": MANIFEST.replace("Answers", f"Answers {self.dice.randrange(3)}")})

    def toggle(self):
        assert self.world.obj is not None
        self.world.edit(suspend=not self.world.obj["spec"].get("suspend", False))

    def delete(self):
        if self.dice.random() < 0.4:
            self.deleted = True
            self.world.delete()

    # -- the whole -----------------------------------------------------------------------------------------------

    def play(self):
        for _ in range(STEPS):
            self.dice.choice([self.pass_, self.pass_, self.pass_, self.remote_moves, self.user_acts])()

    def heal(self):
        """Faults stop, the user rests with a wish to have it; everything under way gets its time."""
        self.budget = 0
        if self.world.obj is not None and not self.deleted:
            self.world.edit(suspend=False)
        for _ in range(60):
            self.pass_()
            self.remote_moves()
        self.elapse(self.world.policy.longest_life)
        for _ in range(40):
            self.pass_()
            self.remote_moves()

    @property
    def alive(self):
        """What is live of ours."""
        return [id_ for id_ in self.world.live() if id_ != "build-1"]

    @property
    def in_use(self):
        """What costs something: builds under way, deployments that are there."""
        return [id_ for id_ in self.alive
                if self.world.records[id_].state in UNFINISHED or not is_build(self.world, id_)]


def a_long_preview():
    return a_preview(ttl="500h")


MAKERS = {"build": a_build, "deployment": a_deployment, "preview": a_long_preview}


def histories():
    only = os.environ.get("HISTORY")
    return [only] if only else [pytest.param(f"{kind}-{n}", marks=[pytest.mark.exhaustive] if n >= QUICK else [])
                                for kind in MAKERS for n in range(SEEDS)]


@pytest.mark.parametrize("seed", histories())
def test_whatever_happened_it_ends_as_wished(seed):
    history = History(MAKERS[seed.split("-")[0]](), seed)
    history.play()

    history.heal()

    world = history.world
    if history.deleted:
        assert world.obj is None
        assert history.in_use == []
    else:
        current = [id_ for id_ in history.alive if not is_build(world, id_) or id_ == world.status["buildID"]]
        assert current == [world.status.get("buildID" if seed.startswith("build") else "deploymentID")]
        assert history.in_use in ([], current)
        ready = world.condition("Ready")
        assert ready is not None
        assert ready[0] == "True"
        assert world.keeps_the_contract()


def is_build(world, id_):
    return isinstance(world.records[id_], BuildRecord)
