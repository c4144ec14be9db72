"""Which account a resource uses, and the live session behind each account.

A session outlives its AgentexAccount while resources that are being deleted still need it: deleting a namespace
removes account and Secret before our finalizers are done (ecosystem.md R14).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentex_operator.agentex.limits import Rate
from agentex_operator.api.account import BuildCounts, DeploymentCounts
from agentex_operator.core import reasons
from agentex_operator.core.account import Counts
from agentex_operator.core.errors import Unauthorized
from agentex_operator.core.plan import Account, AccountProblem
from agentex_operator.core.remote import RemoteState
from agentex_operator.core.selectors import selects
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, AGENTEX_ACCOUNT, CLUSTER_AGENTEX_ACCOUNT

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.agentex import inventory
    from agentex_operator.agentex.accounts import AccountSession
    from agentex_operator.api.account import AccountSpec
    from agentex_operator.api.build import AgentBuild
    from agentex_operator.api.deployment import AgentDeployment
    from agentex_operator.api.status import BoundAccount
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.reconcile.engine import Engine, View

DEFAULT = "default"
NOT_LOOKED_AT = AccountProblem(reasons.ACCOUNT_NOT_READY, "The account was not looked at yet.", passing=True)
DEPENDANTS = (AGENT_BUILD.kind, AGENT_DEPLOYMENT.kind)

Found = tuple["Account | AccountProblem", "AccountSession | None"]
Key = tuple[str, str | None, str]  # kind, namespace (None for the cluster kind), name


@dataclass(slots=True)
class Seat:
    """One account: what its object says, and the session that speaks for it."""

    key: Key
    uid: str
    spec: AccountSpec
    secret_namespace: str
    session: AccountSession | None = None
    problem: AccountProblem | None = NOT_LOOKED_AT
    proved_at: datetime | None = None
    counted: Counts | None = None  # what the account's status was told last
    gone: bool = False
    closed: bool = False
    followers: set[str] = field(default_factory=set)

    @property
    def account(self) -> Account:
        """The account as the decisions know it."""
        kind, _, name = self.key
        return Account(kind, name, self.spec.account_id, self.spec.endpoint, self.spec.poll)  # type: ignore[arg-type]  # a key of ours

    @property
    def rate(self) -> Rate:
        """How fast it may be called; a second's worth may come at once."""
        most = self.spec.limits.requests_per_second
        return Rate(requests_per_second=most, burst=most)

    def counts(self) -> Counts:
        """What the session's inventories count; nothing where there is none."""
        if self.session is None:
            return Counts()
        return Counts(_build_counts(self.session.builds.counts()),
                      _deployment_counts(self.session.deployments.counts()), bool(self.session.gate.held_for))

    def forget(self, uid: str) -> None:
        """Nothing is followed or claimed for this resource any more."""
        self.unfollow(uid)
        self.followers.discard(uid)
        if self.session is not None:
            self.session.names.release(uid)

    def unfollow(self, uid: str) -> None:
        """Nothing is listed for this resource."""
        if self.session is not None:
            self.session.builds.forget(uid)
            self.session.deployments.forget(uid)


class Accounts:
    """All accounts of this operator, by name; fed by the accounts' reconciler."""

    def __init__(self, engine: Engine, cluster: Cluster) -> None:
        self._engine = engine
        self._cluster = cluster
        self._seats: dict[Key, Seat] = {}
        self._closing: set[asyncio.Task[None]] = set()

    # -- for the resources ---------------------------------------------------------------------------------------

    async def resolve(self, resource: AgentBuild | AgentDeployment) -> Found:
        """The account this resource uses, and its session; or why there is none. Once bound, it is kept for good."""
        found, session = await self._resolve(resource)
        if isinstance(found, AccountProblem) and not found.passing:
            self._stop_asking_for(resource.meta.uid)
        return found, session

    async def _resolve(self, resource: AgentBuild | AgentDeployment) -> Found:
        seat = self._seat_of(resource)
        if isinstance(seat, AccountProblem):
            return seat, None
        problem = await self._trouble(seat, resource)
        if problem is not None or seat.session is None:
            return problem or NOT_LOOKED_AT, None
        seat.followers.add(resource.meta.uid)
        return seat.account, seat.session

    def _stop_asking_for(self, uid: str) -> None:
        """Its account may not be used any more: the key may have been revoked, or the account taken away.

        The session stays: the resource may be deleted next, as when a whole namespace is.
        """
        for seat in self._seats.values():
            if uid in seat.followers:
                seat.unfollow(uid)

    def doubt(self, resource: AgentBuild | AgentDeployment) -> None:
        """The remote refused a call: have the account's own pass look into it."""
        seat = self._seat_of(resource)
        if isinstance(seat, Seat):
            self._engine.wake(seat.uid)

    def recount(self, resource: AgentBuild | AgentDeployment) -> None:
        """A pass may have learned other numbers than the account's status shows: have that one say them soon."""
        seat = self._seat_of(resource)
        if isinstance(seat, Seat) and seat.counts() != seat.counted:
            self._engine.wake_after(seat.uid, seat.account.poll)

    def forget(self, view: View) -> None:
        """A resource has gone: nothing is followed or claimed for it, and a session kept only for it may close."""
        for seat in list(self._seats.values()):
            if view.uid in seat.followers:
                seat.forget(view.uid)
                self._close_if_idle(seat)

    def _close_if_idle(self, seat: Seat) -> None:
        if seat.gone and not seat.followers:
            self._close(seat)

    def _seat_of(self, resource: AgentBuild | AgentDeployment) -> Seat | AccountProblem:
        bound, ref = resource.status.account, resource.spec.account_ref
        named = bound or ref
        if named is None:
            return self._default_for(resource.meta.namespace)
        key = key_of(named.kind, resource.meta.namespace, named.name)
        seat = self._seats.get(key)
        if seat is None or (seat.gone and not resource.meta.deleting):
            return self._missing(key)
        return seat if bound is None else self._still_bound(seat, bound)

    def _still_bound(self, seat: Seat, bound: BoundAccount) -> Seat | AccountProblem:
        """Our remote objects live in the account we were bound to; another one knows nothing of them."""
        if (seat.spec.endpoint, seat.spec.account_id) == (bound.endpoint, bound.account_id):
            return seat
        return AccountProblem(
            reasons.ACCOUNT_CHANGED,
            f"{bound.kind} {bound.name!r} now is account {seat.spec.account_id} at {seat.spec.endpoint}, but what this "
            f"resource created is in {bound.account_id} at {bound.endpoint}. Restore the account, or delete this "
            "resource with deletionPolicy Orphan and create it anew.")

    def _default_for(self, namespace: str | None) -> Seat | AccountProblem:
        own = (AGENTEX_ACCOUNT.kind, namespace, DEFAULT)
        if own in self._seats and not self._seats[own].gone:
            return self._seats[own]
        shared = sorted((seat for seat in self._seats.values() if not seat.gone and seat.spec.is_default),
                        key=lambda seat: seat.key)
        if shared:
            return shared[0]
        return self._unseen(own) or AccountProblem(
            reasons.ACCOUNT_NOT_FOUND, f"There is no AgentexAccount named {DEFAULT!r} in this namespace and no default "
            "ClusterAgentexAccount. Create one, or set spec.accountRef.")

    def _missing(self, key: Key) -> AccountProblem:
        kind, _, name = key
        return self._unseen(key) or AccountProblem(
            reasons.ACCOUNT_NOT_FOUND, f"There is no {kind} {name!r}. Create it, or correct spec.accountRef.")

    def _unseen(self, key: Key) -> AccountProblem | None:
        """At start the account's first pass may come after ours; it wakes us."""
        return NOT_LOOKED_AT if self._engine.find(*key) else None

    async def _trouble(self, seat: Seat, resource: AgentBuild | AgentDeployment) -> AccountProblem | None:
        problem = seat.problem
        if problem is not None and not self._can_still_tear_down(seat, problem, resource):
            return _as_seen_by_resources(seat, problem)
        try:
            allowed = await self._allows(seat, resource)
        except Unauthorized as error:
            return AccountProblem(reasons.ACCOUNT_NOT_READY, "The account's namespaceSelector asks for the labels of "
                                  f"this namespace. Grant the operator `get` of namespaces. {error.message}")
        return None if allowed else AccountProblem(
            reasons.ACCOUNT_NOT_ALLOWED, f"ClusterAgentexAccount {seat.key[2]!r} is not for this namespace: its "
            "namespaceSelector does not match. Ask its owner, or name another account.")

    def _can_still_tear_down(self, seat: Seat, problem: AccountProblem, resource: AgentBuild | AgentDeployment) -> bool:
        """The Secret went first, as in a namespace's deletion: the key in memory serves to clean up."""
        return resource.meta.deleting and seat.session is not None and _lacks_key(problem)

    async def _allows(self, seat: Seat, resource: AgentBuild | AgentDeployment) -> bool:
        selector = seat.spec.namespace_selector
        if selector is None or resource.meta.namespace is None or resource.meta.deleting:
            return True
        found = await self._cluster.namespace(resource.meta.namespace) or {}
        return selects(selector, (found.get("metadata") or {}).get("labels") or {})

    # -- for the accounts' reconciler ----------------------------------------------------------------------------

    def seat(self, view: View, spec: AccountSpec, secret_namespace: str) -> Seat:
        """The seat of this account object, made or brought up to date."""
        seat = self._seats.get(view.key)
        if seat is None or seat.uid != view.uid:
            seat = self._replace(seat, Seat(view.key, view.uid, spec, secret_namespace))
        seat.spec = spec
        return seat

    def _replace(self, before: Seat | None, seat: Seat) -> Seat:
        if before is not None:
            self._close(before)
        self._seats[seat.key] = seat
        return seat

    def judge(self, seat: Seat, problem: AccountProblem | None) -> None:
        """Say whether the account can be used; whoever waits for that, or must stop, is woken."""
        changed = seat.problem != problem
        seat.problem = problem
        if changed:
            self.wake_dependants(seat.key)

    def leave(self, view: View) -> None:
        """The account object has gone; its session stays while resources being deleted need it."""
        seat = self._seats.get(view.key)
        if seat is None or seat.uid != view.uid:
            return
        seat.gone = True
        self._close_if_idle(seat)
        self.wake_dependants(seat.key)

    def wake_dependants(self, key: Key) -> None:
        """Wake every resource that may use this account."""
        kind, namespace, _ = key
        for dependant in DEPENDANTS:
            for view in self._engine.views(dependant):
                if kind == CLUSTER_AGENTEX_ACCOUNT.kind or view.namespace == namespace:
                    self._engine.wake(view.uid)

    def _close(self, seat: Seat) -> None:
        seat.closed = True
        if self._seats.get(seat.key) is seat:
            del self._seats[seat.key]
        if seat.session is not None:
            task = asyncio.create_task(seat.session.stop(), name="closing an account")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Close every session."""
        sessions = [seat.session for seat in self._seats.values() if seat.session is not None]
        await asyncio.gather(*self._closing, *(session.stop() for session in sessions))


def key_of(kind: str, namespace: str | None, name: str) -> Key:
    """How an account is found: the cluster kind has no namespace."""
    return kind, None if kind == CLUSTER_AGENTEX_ACCOUNT.kind else namespace, name


def _build_counts(found: inventory.Counts | None) -> BuildCounts | None:
    if found is None:
        return None
    return BuildCounts(queued=found.of(RemoteState.WAITING), running=found.of(RemoteState.RUNNING))


def _deployment_counts(found: inventory.Counts | None) -> DeploymentCounts | None:
    if found is None:
        return None
    return DeploymentCounts(healthy=found.of(RemoteState.SUCCEEDED), failed=found.of(RemoteState.FAILED),
                            previews=found.previews)


def _as_seen_by_resources(seat: Seat, problem: AccountProblem) -> AccountProblem:
    if problem.passing:
        return problem
    denied = problem.reason == reasons.ACCESS_DENIED
    return AccountProblem(problem.reason if denied else reasons.ACCOUNT_NOT_READY,
                          f"{seat.key[0]} {seat.key[2]!r} is not ready: {problem.message}")


def _lacks_key(problem: AccountProblem) -> bool:
    return problem.reason in (reasons.SECRET_NOT_FOUND, reasons.KEY_NOT_FOUND, reasons.SECRET_INVALID)
