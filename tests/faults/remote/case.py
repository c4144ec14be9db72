"""One case of the remote matrix: an account, and the resource in it that has to survive the faults."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.remote.scheduler import PATIENCE, CaseScheduler, Steps, WaitUntil, require
from tests.faults.runner.secret_markers import SecretMarker

from agentex_testkit import ledger
from agentex_testkit.api_server import Object, condition
from agentex_testkit.builders import a_secret, an_account
from agentex_testkit.judge.findings import Harm
from agentex_testkit.ledger import Tracked
from agentex_testkit.world import World

OVER = {"cancelled", "deleted", "superseded"}
ID = {"AgentBuild": "buildID", "AgentDeployment": "deploymentID"}
ON_ITS_WAY = 4.0  # seconds; with forty plans at once, what was let through before may take so long to leave
HERDED = 40  # calls of one account in one second that nobody but a hot loop makes


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
