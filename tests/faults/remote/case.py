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
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.judge.findings import Harm
from agentex_testkit.ledger import Tracked

OVER = {"cancelled", "deleted", "superseded"}
ID = {"AgentBuild": "buildID", "AgentDeployment": "deploymentID"}
ON_ITS_WAY = 4.0  # seconds; with forty plans at once, what was let through before may take so long to leave
HERDED = 40  # calls of one account in one second that nobody but a hot loop makes


def name_for(plan: str) -> str:
    """A readable object name, unique to this plan."""
    words = re.sub(r"[^a-z0-9]+", "-", plan.lower()).strip("-").removeprefix("remote-")
    return f"{words[:44].strip('-')}-{hashlib.sha256(plan.encode()).hexdigest()[:6]}"


@dataclass
class RemoteCase:
    """One plan on the scheduler: an account, and the resource in it that has to live through everything.

    `creates`: how many remote creates the case explains; `ambiguous`: how many more may be alive for a moment, because
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
    def world(self) -> ClusterFixture:
        return self.scheduler.world

    # --- acting -----------------------------------------------------------------------------------------------------

    def open(self, endpoint: str = "", account: str = "") -> None:
        """Create the account object, for a remote account without history; anew each time, for it cannot be changed."""
        self.world.simulator.set_keys(account or self.account, self.key)
        self.world.take_away("AgentexAccount", self.name)
        where = endpoint or self.world.simulator.url  # nothing between: what is broken off must arrive broken off
        reference = {"name": self.name, "key": "api-key"}
        opened = an_account(where, self.name, accountID=account or self.account, apiKeySecretRef=reference)
        self.world.apply(a_secret(self.name, self.key), opened)

    def close(self) -> None:
        """Delete the account object."""
        self.world.take_away("AgentexAccount", self.name)

    def apply(self, *objects: Object) -> None:
        """Apply these; the one of the case's kind and name is its resource."""
        for obj in objects:
            applied = self.world.apply(obj)
            if (obj["kind"], obj["metadata"]["name"]) == (self.kind, self.name):
                uid = applied["metadata"]["uid"]
                self.tracked = next(one for one in self.world.tracked if one.uid == uid)

    def inject(self, kind: str, match: Mapping[str, Any] | None = None, **how: Any) -> str:
        """Script a fault in this account that has to fire; its id."""
        self.troubled_since = time.monotonic()
        id_ = self.inject_optional(kind, match, **how)
        self.fired[id_] = 0
        return id_

    def inject_optional(self, kind: str, match: Mapping[str, Any] | None = None, **how: Any) -> str:
        """Script a fault that makes another one worse, and need not fire; its id."""
        return self.world.simulator.fault(kind, match={"account": self.account, **(match or {})}, **how)

    def remove_faults(self, *ids: str) -> None:
        """Remove these faults. An operator that backed off may take as long once more."""
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
        """The remote objects that carry the resource's token, as they truly are."""
        owner = self.tracked.owner(self.world.cluster) if self.tracked else None
        return [one for one in self.scheduler.snapshot.remotes if owner and ledger.owner_in(one) == owner]

    def times(self, fault: str) -> int:
        """How often the fault has fired."""
        seen = self.scheduler.snapshot.faults.get(fault)
        self.fired[fault] = seen["fired"] if seen else self.fired[fault]
        return self.fired[fault]

    def calls(self) -> list[Object]:
        """The operator's calls to this account, oldest first."""
        return self.scheduler.journal.of(self.account)

    def versions_so_far(self) -> list[Object]:
        """The recorded versions of the resource; waiting for all of them would hold up every other case."""
        return self.world.versions_so_far(self.kind, self.tracked.uid) if self.tracked else []

    def shown(self) -> str:
        """The resource's state, for a finding."""
        said = condition(self.resource, "Ready")
        return f"{self.kind} {self.name}: {said.get('status')} {said.get('reason')} {said.get('message', '')[:160]}"

    # --- waiting ----------------------------------------------------------------------------------------------------

    def until(self, what: str, holds: Callable[[], object], seconds: float | None = None, harm: Harm = Harm.STUCK
              ) -> WaitUntil:
        """Wait until this holds."""
        return WaitUntil(what, holds, seconds or self.patience, harm, self.shown)

    def becomes(self, wanted: Callable[[Object | None], bool], what: str) -> WaitUntil:
        """Wait until the resource is so."""
        return self.until(what, lambda: wanted(self.resource))

    def passes(self, seconds: float) -> WaitUntil:
        """Wait for so many seconds."""
        end = time.monotonic() + seconds
        return self.until("time", lambda: time.monotonic() >= end, seconds + PATIENCE)

    def has_fired(self, fault: str, times: int = 1) -> WaitUntil:
        """Wait until the fault has fired so often."""
        return self.until(f"a fault that fires {times} times", lambda: self.times(fault) >= times)

    # --- the end ----------------------------------------------------------------------------------------------------

    def has_one(self) -> bool:
        """I20: whether exactly one remote object is there, the one on record."""
        there = {one["id"] for one in self.remotes if one["status"] not in OVER} - self.settled
        return there == {self.remote_id}

    def is_alone(self) -> WaitUntil:
        """Wait until every duplicate is gone."""
        return self.until("exactly one remote object, the one on record", self.has_one, harm=Harm.DUPLICATED)

    def leaves(self) -> Steps:
        """Delete the resource; it goes, and nothing of it stays alive."""
        self.delete()
        yield self.until("it is gone after its deletion", lambda: self.resource is None)
        alive = [one["id"] for one in self.remotes if ledger.is_alive(one)]
        require(not alive, "I21", f"{self.name} is deleted, and these live on: {alive}", Harm.LEAKED)
        if self.tracked is not None:
            self.tracked.gone = True
        self.judge_calls()

    def judge_calls(self) -> None:
        """I12: no hot loop; and every injected fault has fired."""
        times = [one["elapsed"] for one in self.calls()]
        herd = max((sum(1 for other in times if 0 <= other - one < 1) for one in times), default=0)
        require(herd <= self.herded, "I12", f"{herd} calls within one second")
        idle = [id_ for id_ in self.fired if not self.times(id_)]
        require(not idle, "none", f"the plan's faults {idle} never fired")
