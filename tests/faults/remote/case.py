"""Many cases told at the same time in one world, each with an account of the remote of its own.

A steps is a generator: it acts, and yields what it waits for. Nobody polls but the scheduler: one look at everything,
four times a second, serves all cases, so that fifty of them cost little more than one.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults.runner.secret_markers import SecretMarker

from agentex_testkit import ledger
from agentex_testkit.api_server import Object, condition
from agentex_testkit.builders import a_secret, an_account
from agentex_testkit.hostile import SourceServer
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import REMOTE, Tracked
from agentex_testkit.world import World

EVERY = 0.25
PATIENCE = 60.0
OVER = {"cancelled", "deleted", "superseded"}
ID = {"AgentBuild": "buildID", "AgentDeployment": "deploymentID"}
OPERATOR = "agentex-operator"  # in its User-Agent
ON_ITS_WAY = 4.0  # seconds; with forty plans at once, what was let through before may take so long to leave
HERDED = 40  # calls of one account in one second that nobody but a hot loop makes


@dataclass(frozen=True)
class WaitUntil:
    """A steps goes on when this is so; if not in time, the harm is done."""

    what: str
    holds: Callable[[], object]
    seconds: float = PATIENCE
    harm: Harm = Harm.STUCK
    shown: Callable[[], str] = str


@dataclass(frozen=True)
class RestartOperator:
    """A steps goes on when the operator was killed and started again, once every other steps wants that or ended."""


Steps = Generator[WaitUntil | RestartOperator, None, None]


class BrokenError(Exception):
    """A promise was broken in a steps, which goes no further."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def require(holds: object, invariant: str, text: str, harm: Harm = Harm.OTHER) -> None:
    """Break the steps off unless this is so."""
    if not holds:
        raise BrokenError(Finding(invariant, text, harm))


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment: resources by kind and name, remote objects, the scripted faults by id."""

    resources: Mapping[tuple[str, str], Object]
    remotes: tuple[Object, ...]
    faults: Mapping[str, Object]

    @classmethod
    def of(cls, world: World) -> Snapshot:
        found = {(kind, one["metadata"]["name"]): one for kind in REMOTE
                 for one in world.api.list(kind, world.namespace)}
        state = world.simulator.state()  # later: what is gone has gone there first
        return cls(found, (*state["builds"], *state["deployments"]), _scripted(world))


def _scripted(world: World) -> dict[str, Object]:
    return {one["id"]: one for one in world.simulator.faults()}


class Journal:
    """Every call of the remote, read bit by bit: those that were under way are read again."""

    def __init__(self, world: World) -> None:
        self._simulator = world.simulator
        self._calls: dict[int, Object] = {}
        self._whole = 0  # all up to this one have ended

    def of(self, account: str) -> list[Object]:
        """What the operator asked of an account, oldest first."""
        self._calls |= {one["seq"]: one for one in self._simulator.calls(self._whole)}
        while self._calls.get(self._whole + 1, {}).get("seconds") is not None:
            self._whole += 1
        return [one for one in self._calls.values() if one["account"] == account and OPERATOR in one["user_agent"]]


class CaseScheduler:
    """The world, the newest snapshot of it, and every steps that is being told in it."""

    def __init__(self, world: World, elsewhere: SourceServer, restart: Callable[[], None]) -> None:
        self.world, self.elsewhere = world, elsewhere  # elsewhere: where redirects lead
        self._restart = restart
        self.snapshot, self.journal = Snapshot.of(world), Journal(world)
        self._done: set[str] = set()

    def refresh(self) -> None:
        """Have another snapshot of the world."""
        self.snapshot = Snapshot.of(self.world)

    def refresh_faults(self) -> None:
        """Read the scripted faults alone: reading everything would keep all the other cases waiting."""
        self.snapshot = replace(self.snapshot, faults=_scripted(self.world))

    def once(self, what: str, act: Callable[[], object]) -> None:
        """Have this done for all cases together."""
        if what not in self._done:
            self._done.add(what)
            act()

    def run(self, cases: Mapping[str, Steps]) -> dict[str, tuple[Finding, ...]]:
        """Tell all of them to their ends; what each found broken, nothing for most."""
        running = {name: _RunningCase(steps) for name, steps in cases.items()}
        while waiting := [one for one in running.values() if one.wait is not None]:
            if all(isinstance(one.wait, RestartOperator) for one in waiting):
                self._restart()
                for one in waiting:
                    one.go_on()
            time.sleep(EVERY)
            self.refresh()
            for one in waiting:
                one.look()
        return {name: one.findings for name, one in running.items()}


class _RunningCase:
    """One steps, as far as it was told; `wait` is None at its end."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.findings: tuple[Finding, ...] = ()
        self.wait: WaitUntil | RestartOperator | None = None
        self._began = 0.0
        self.go_on()

    def look(self) -> None:
        if not isinstance(self.wait, WaitUntil):
            return
        if self.wait.holds():
            self.go_on()
        elif time.monotonic() > self._began + self.wait.seconds:
            text = f"{self.wait.what}: not so after {self.wait.seconds:.0f} s; {self.wait.shown()}"
            self._break_off(Finding("I20", text, self.wait.harm))

    def go_on(self) -> None:
        self._began = time.monotonic()
        try:
            self.wait = next(self._steps)
        except StopIteration:
            self.wait = None
        except BrokenError as broken:
            self._break_off(broken.finding)

    def _break_off(self, finding: Finding) -> None:
        self.findings += (finding,)
        self.wait = None
        self._steps.close()


def name_for(plan: str) -> str:
    """A name that objects of the cluster can have, readable and of this plan alone."""
    words = re.sub(r"[^a-z0-9]+", "-", plan.lower()).strip("-").removeprefix("remote-")
    return f"{words[:44].strip('-')}-{hashlib.sha256(plan.encode()).hexdigest()[:6]}"


@dataclass
class RemoteCase:
    """One plan on the scheduler: an account, and the resource in it that has to live through everything.

    `creates`: how many remote creates the steps explains; `ambiguous`: how many more may be alive for a moment, because
    nobody answered them; `settled`: remote ids that are no longer the resource's. `herded`: how many calls in one
    second are no hot loop; `patience`: for one wait, in seconds; `image`: whether a build only registers an image.
    """

    scheduler: CaseScheduler
    plan: str
    kind: str
    creates: int = 1
    ambiguous: int = 0
    herded: int = HERDED
    patience: float = PATIENCE
    troubled_since: float = 0.0
    image: bool = False
    settled: set[str | None] = field(default_factory=set)
    tracked: Tracked | None = None
    fired: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = name_for(self.plan)
        self.account = f"acct-{self.name}"
        self.marker = SecretMarker.of(f"the API key of {self.plan}", "key-")
        self.key = self.marker.text
        self.ref = {"accountRef": {"name": self.name}}

    @property
    def world(self) -> World:
        return self.scheduler.world

    # --- acting -----------------------------------------------------------------------------------------------------

    def open(self, endpoint: str = "", account: str = "") -> None:
        """The account, in a remote that knows nothing of it yet; another object each time, for it cannot be changed."""
        self.world.simulator.set_keys(account or self.account, self.key)
        self.world.delete("AgentexAccount", self.name)
        where = endpoint or self.world.simulator.url  # nothing between: what is broken off must arrive broken off
        reference = {"name": self.name, "key": "api-key"}
        opened = an_account(where, self.name, accountID=account or self.account, apiKeySecretRef=reference)
        self.world.apply(a_secret(self.name, self.key), opened)

    def close(self) -> None:
        """No more of the account; whoever comes next finds no trace of it."""
        self.world.delete("AgentexAccount", self.name)

    def apply(self, *objects: Object) -> None:
        """Apply these; the one of our kind and name is the resource."""
        for obj in objects:
            applied = self.world.apply(obj)
            if (obj["kind"], obj["metadata"]["name"]) == (self.kind, self.name):
                uid = applied["metadata"]["uid"]
                self.tracked = next(one for one in self.world.tracked if one.uid == uid)

    def inject(self, kind: str, match: Mapping[str, Any] | None = None, **how: Any) -> str:
        """Script a fault in this account, which the plan is about: it has to fire. Its id."""
        self.troubled_since = time.monotonic()
        id_ = self.inject_optional(kind, match, **how)
        self.fired[id_] = 0
        return id_

    def inject_optional(self, kind: str, match: Mapping[str, Any] | None = None, **how: Any) -> str:
        """Script a fault that makes another one worse, if it fires at all; its id."""
        return self.world.simulator.fault(kind, match={"account": self.account, **(match or {})}, **how)

    def remove_faults(self, *ids: str) -> None:
        """Take faults away again; what they did is remembered. Whoever backed off may take as long once more."""
        self.patience = PATIENCE + 2 * (time.monotonic() - self.troubled_since)
        self.scheduler.refresh_faults()  # one may have fired since
        for id_ in ids:
            self.times(id_)
            self.world.simulator.clear_faults(id_)

    def delete(self) -> None:
        self.world.delete(self.kind, self.name)

    # --- looking ----------------------------------------------------------------------------------------------------

    @property
    def resource(self) -> Object | None:
        return self.scheduler.snapshot.resources.get((self.kind, self.name))

    @property
    def status(self) -> Object:
        return (self.resource or {}).get("status") or {}

    @property
    def remote_id(self) -> str | None:
        """The id on record."""
        return self.status.get(ID[self.kind])

    @property
    def remotes(self) -> list[Object]:
        """The remote objects that carry our token, as they truly are."""
        owner = self.tracked.owner(self.world.cluster) if self.tracked else None
        return [one for one in self.scheduler.snapshot.remotes if owner and ledger.owner_in(one) == owner]

    def times(self, fault: str) -> int:
        """How often a fault fired so far."""
        seen = self.scheduler.snapshot.faults.get(fault)
        self.fired[fault] = seen["fired"] if seen else self.fired[fault]
        return self.fired[fault]

    def calls(self) -> list[Object]:
        """What was asked of this account, oldest first."""
        return self.scheduler.journal.of(self.account)

    def versions_so_far(self) -> list[Object]:
        """The versions of the resource that are written down: to wait for all would keep every other steps waiting."""
        return self.world.versions_so_far(self.kind, self.tracked.uid) if self.tracked else []

    def shown(self) -> str:
        """Where it stands, for whoever reads a finding."""
        said = condition(self.resource, "Ready")
        return f"{self.kind} {self.name}: {said.get('status')} {said.get('reason')} {said.get('message', '')[:160]}"

    # --- waiting ----------------------------------------------------------------------------------------------------

    def until(self, what: str, holds: Callable[[], object], seconds: float | None = None, harm: Harm = Harm.STUCK
              ) -> WaitUntil:
        """Wait for anything."""
        return WaitUntil(what, holds, seconds or self.patience, harm, self.shown)

    def becomes(self, wanted: Callable[[Object | None], bool], what: str) -> WaitUntil:
        """Wait for the resource to be so."""
        return self.until(what, lambda: wanted(self.resource))

    def passes(self, seconds: float) -> WaitUntil:
        """Wait for time alone."""
        end = time.monotonic() + seconds
        return self.until("time", lambda: time.monotonic() >= end, seconds + PATIENCE)

    def has_fired(self, fault: str, times: int = 1) -> WaitUntil:
        """Wait for a fault to have fired."""
        return self.until(f"a fault that fires {times} times", lambda: self.times(fault) >= times)

    # --- the end ----------------------------------------------------------------------------------------------------

    def has_one(self) -> bool:
        """Exactly one of ours is there, and it is the one on record (I20)."""
        there = {one["id"] for one in self.remotes if one["status"] not in OVER} - self.settled
        return there == {self.remote_id}

    def is_alone(self) -> WaitUntil:
        """Wait until whatever was made twice is gone."""
        return self.until("exactly one remote object, the one on record", self.has_one, harm=Harm.DUPLICATED)

    def leaves(self) -> Steps:
        """Delete the resource: it goes, and nothing of it stays alive."""
        self.delete()
        yield self.until("it is gone after its deletion", lambda: self.resource is None)
        alive = [one["id"] for one in self.remotes if ledger.is_alive(one)]
        require(not alive, "I21", f"{self.name} is deleted, and these live on: {alive}", Harm.LEAKED)
        if self.tracked is not None:
            self.tracked.gone = True
        self.judge_calls()

    def judge_calls(self) -> None:
        """No hot loop (I12), and every fault fired."""
        times = [one["elapsed"] for one in self.calls()]
        herd = max((sum(1 for other in times if 0 <= other - one < 1) for one in times), default=0)
        require(herd <= self.herded, "I12", f"{herd} calls within one second")
        idle = [id_ for id_ in self.fired if not self.times(id_)]
        require(not idle, "none", f"the plan's faults {idle} never fired")
