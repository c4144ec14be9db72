"""The entry and the live session of each account; `core/account_binding.py` decides which one a resource uses.

An account that is being deleted stays while resources are bound to it (core/account_hold.py); its Secret does not, and
the session keeps the API key. Where a person removed the finalizer of the account, the session outlives the object
while resources that are being deleted need it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentex_operator.agentex.build_records import BUILDS
from agentex_operator.agentex.deployment_records import DEPLOYMENTS, LIVE_PREVIEWS
from agentex_operator.agentex.gate import Rate
from agentex_operator.core import account, account_binding, account_remedies
from agentex_operator.core.account import Counts
from agentex_operator.core.account_binding import AccountRequest, AccountSnapshot, KnownAccounts
from agentex_operator.core.errors import ExternalError, Unauthorized
from agentex_operator.core.plan import AccountProblem, UsableAccount
from agentex_operator.kube.kinds import CLUSTER_AGENTEX_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agentex_operator.agentex.session import AccountSession
    from agentex_operator.api.account import AccountSpec
    from agentex_operator.core.account_binding import AccountUser
    from agentex_operator.core.account_remedies import AccountKey
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.views import View

Found = tuple["UsableAccount | AccountProblem", "AccountSession | None"]


@dataclass(slots=True)
class AccountEntry:
    """One account: its object as the last pass read it, and its session."""

    key: AccountKey
    uid: str
    spec: AccountSpec
    secret_namespace: str
    session: AccountSession | None = None
    problem: AccountProblem | None = account_binding.NOT_RECONCILED
    proved_at: datetime | None = None
    counted: Counts | None = None  # the counts that the account's status was told last
    deleting: bool = False
    gone: bool = False
    closed: bool = False
    followers: set[str] = field(default_factory=set)  # uids of the resources that use the session
    passes: set[str] = field(default_factory=set)  # of these, uids whose pass in flight may still create something

    @property
    def rate(self) -> Rate:
        """How fast the account may be called, with a burst of one second's worth of calls."""
        most = self.spec.limits.requests_per_second
        return Rate(requests_per_second=most, burst=most)

    @property
    def is_of_administrator(self) -> bool:
        """Whether only administrators can create the account object: a ClusterAgentexAccount."""
        return self.key[0] == CLUSTER_AGENTEX_ACCOUNT.kind

    def snapshot(self) -> AccountSnapshot:
        """The entry as a value for the decisions."""
        return AccountSnapshot(self.key, self.spec, self.problem, self.session is not None, self.gone,
                               self.deleting)

    def counts(self) -> Counts:
        """What the session's inventories count; nothing where there is no session."""
        if self.session is None:
            return Counts()
        builds = self.session.inventory(BUILDS).counts()
        found = self.session.inventory(DEPLOYMENTS).counts()
        return Counts(account.build_counts(builds.states) if builds else None,
                      account.deployment_counts(found.states, found.in_group(LIVE_PREVIEWS)) if found else None,
                      bool(self.session.gate.pause_left))

    def forget(self, uid: str) -> None:
        """Stop following this resource, and release the agent names that it claimed."""
        self.unfollow(uid)
        self.followers.discard(uid)
        if self.session is not None:
            self.session.names.release(uid)

    def unfollow(self, uid: str) -> None:
        """Stop listing remote objects for this resource."""
        if self.session is not None:
            self.session.unfollow(uid)


class Accounts:
    """All accounts of this operator, by key; filled by the reconciler of accounts."""

    def __init__(self, engine: Engine, cluster: Cluster, missing_kinds: frozenset[str] = frozenset()) -> None:
        self._engine, self._cluster, self._missing_kinds = engine, cluster, missing_kinds
        self._entries: dict[AccountKey, AccountEntry] = {}
        self._in_pass: dict[str, AccountEntry] = {}  # uid of a resource to the account that its pass in flight has
        self._unreadable: dict[AccountKey, AccountProblem] = {}  # of objects that are no valid account
        self._closing: set[asyncio.Task[None]] = set()

    # -- for the resources ---------------------------------------------------------------------------------------

    async def resolve(self, resource: AccountUser) -> Found:
        """The account this resource uses and its session; or why there is none. A bound resource keeps its account."""
        request = AccountRequest.of(resource)
        found = await self._bind(request)
        if isinstance(found, AccountProblem):
            if not found.temporary:
                self._stop_listing_for(resource.meta.uid)
            return await self._of_deletion(request, found), None
        entry = self._entries[account_binding.account_key(found.kind, request.namespace, found.name)]
        entry.followers.add(resource.meta.uid)
        if not request.deleting:
            entry.passes.add(resource.meta.uid)
            self._in_pass[resource.meta.uid] = entry
        return found, entry.session

    def end_pass(self, uid: str) -> None:
        """The pass of a resource has ended: a deleted account that waited for this end has a pass."""
        entry = self._in_pass.pop(uid, None)
        if entry is None:
            return
        entry.passes.discard(uid)
        if entry.deleting:
            self._engine.wake(entry.uid)

    async def _bind(self, request: AccountRequest) -> UsableAccount | AccountProblem:
        known = self._known(request)
        if not account_binding.needs_namespace_labels(request, known):
            return account_binding.bind(request, known)
        try:
            labels = await self._labels(request.namespace or "")
        except Unauthorized as error:
            return account_remedies.labels_unreadable(error)
        return account_binding.bind(request, self._known(request), labels)  # of now: reading took time

    async def _of_deletion(self, request: AccountRequest, problem: AccountProblem) -> AccountProblem:
        """The problem; of a resource that is being deleted, with whether its namespace is, too."""
        if problem.temporary or not request.deleting or request.namespace is None:
            return problem
        terminating = await self.is_terminating(request.namespace)
        return account_remedies.in_namespace(problem, terminating=terminating)

    async def is_terminating(self, namespace: str) -> bool | None:
        """Whether a namespace is being deleted; None if that cannot be read."""
        try:
            found = await self._cluster.namespace(namespace)
        except ExternalError:
            return None
        return found is None or "deletionTimestamp" in found["metadata"]

    def _known(self, request: AccountRequest) -> KnownAccounts:
        """Snapshots of the accounts that come into question for this request."""
        named = self._entries.get(request.key)
        entries = [named] if named is not None else []
        if request.names_none:
            entries += [entry for entry in self._entries.values() if entry.key[0] == CLUSTER_AGENTEX_ACCOUNT.kind]
        existing = {request.key} if self._engine.find(*request.key) else set()
        return KnownAccounts(tuple(entry.snapshot() for entry in entries), frozenset(existing), self._unreadable,
                             self._missing_kinds)

    async def _labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace; none where there is no such namespace. Raises Unauthorized."""
        found = await self._cluster.namespace(namespace) or {}
        return (found.get("metadata") or {}).get("labels") or {}

    def _stop_listing_for(self, uid: str) -> None:
        """The resource may not use its account: the key may have been revoked, or the account taken away.

        The session stays: the resource may be deleted next, as when a whole namespace is.
        """
        for entry in self._entries.values():
            if uid in entry.followers:
                entry.unfollow(uid)

    def recheck_account(self, resource: AccountUser) -> None:
        """Have a pass of the resource's account: the remote API refused its key."""
        entry = self._entry_of(resource)
        if entry is not None:
            self._engine.wake(entry.uid)

    def refresh_counts(self, resource: AccountUser) -> None:
        """Have the account's status show the present counts, one poll interval from now, if it shows others."""
        entry = self._entry_of(resource)
        if entry is not None and entry.counts() != entry.counted:
            self._engine.wake_after(entry.uid, entry.spec.poll)

    def _entry_of(self, resource: AccountUser) -> AccountEntry | None:
        request = AccountRequest.of(resource)
        found = account_binding.select(request, self._known(request))
        return None if isinstance(found, AccountProblem) else self._entries[found.key]

    def forget(self, view: View) -> None:
        """The resource is gone: release what was kept for it, and close the session of an account that went before."""
        for entry in list(self._entries.values()):
            if view.uid in entry.followers:
                entry.forget(view.uid)
                self._close_if_idle(entry)

    def _close_if_idle(self, entry: AccountEntry) -> None:
        if entry.gone and not entry.followers:
            self._close(entry)

    # -- for the accounts' reconciler ----------------------------------------------------------------------------

    def entry(self, view: View, spec: AccountSpec, secret_namespace: str) -> AccountEntry:
        """The entry of this account object, made or brought up to date."""
        self._unreadable.pop(view.key, None)
        entry = self._entries.get(view.key)
        if entry is None or entry.uid != view.uid:
            entry = self._replace(entry, AccountEntry(view.key, view.uid, spec, secret_namespace))
        entry.spec = spec
        self._note_deletion(entry, view)
        return entry

    def _note_deletion(self, entry: AccountEntry, view: View) -> None:
        """From now on a deleted account serves deletions only; every resource that may use it is told."""
        if not entry.deleting and "deletionTimestamp" in view.obj["metadata"]:
            self.wake_dependents(entry.key)
            entry.deleting = True

    def _replace(self, before: AccountEntry | None, entry: AccountEntry) -> AccountEntry:
        if before is not None:
            self._close(before)
        self._entries[entry.key] = entry
        return entry

    def set_availability(self, entry: AccountEntry, problem: AccountProblem | None) -> None:
        """Record whether the account can be used; a change wakes every resource that may use it."""
        if entry.problem != problem:
            self.wake_dependents(entry.key)  # first: a pass that raises here is made again, and wakes them then
            entry.problem = problem

    def set_unreadable(self, view: View, message: str) -> None:
        """Record why the object is no valid account; resources that name it are told, unless a session is there."""
        problem = account_remedies.unreadable(view.key, message)
        if self._unreadable.get(view.key) != problem:
            self.wake_dependents(view.key)
            self._unreadable[view.key] = problem
        if (entry := self.find(view)) is not None:
            self._note_deletion(entry, view)

    def find(self, view: View) -> AccountEntry | None:
        """The entry of this account object, or None."""
        entry = self._entries.get(view.key)
        return entry if entry is not None and entry.uid == view.uid else None

    def leave(self, view: View) -> None:
        """The account object is gone; its session stays while resources that are being deleted need it."""
        self._unreadable.pop(view.key, None)
        entry = self._entries.get(view.key)
        if entry is not None and entry.uid != view.uid:
            return  # another object has the name by now
        if entry is not None:
            entry.gone = True
            self._close_if_idle(entry)
        self.wake_dependents(view.key)

    def wake_dependents(self, key: AccountKey) -> None:
        """Wake every resource that may use this account."""
        for view in self._engine.dependents(*key):
            self._engine.wake(view.uid)

    def _close(self, entry: AccountEntry) -> None:
        entry.closed = True
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
        if entry.session is not None:
            task = asyncio.create_task(entry.session.stop(), name="closing an account")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Close every session."""
        sessions = [entry.session for entry in self._entries.values() if entry.session is not None]
        await asyncio.gather(*self._closing, *(session.stop() for session in sessions))
