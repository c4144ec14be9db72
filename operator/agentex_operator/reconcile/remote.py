"""What the passes of all remote kinds do alike: account, listing, GET, removal, following."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar, assert_never

from agentex_operator import logs
from agentex_operator.agentex.watch_request import WatchRequest
from agentex_operator.core import account_remedies, calls, memory
from agentex_operator.core.errors import ExternalError, NotReady, Unauthorized
from agentex_operator.core.plan import UsableAccount
from agentex_operator.core.protocol.observed import ObservedT
from agentex_operator.core.remote import Record
from agentex_operator.reconcile import failed_passes, shell
from agentex_operator.reconcile.holders import Seeker
from agentex_operator.reconcile.remote_acts import RemoteActs
from agentex_operator.reconcile.shell import CallT
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from agentex_operator.agentex.inventory import Inventory
    from agentex_operator.agentex.remote_kind import RemoteKind
    from agentex_operator.agentex.session import AccountSession
    from agentex_operator.api.status import RemoteStatus
    from agentex_operator.core.account_binding import AccountUser
    from agentex_operator.core.calls import Answer, CommonCall, LookForOurs
    from agentex_operator.core.plan import Plan
    from agentex_operator.core.remote import Listing
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.accounts import Found
    from agentex_operator.reconcile.runtime import Runtime
    from agentex_operator.reconcile.views import View

log = logs.logger(__name__)

ResourceT = TypeVar("ResourceT", bound="AccountUser")


class RemotePass(ABC, Generic[ResourceT, ObservedT, CallT, Record]):
    """One pass over a resource with a remote counterpart."""

    core: shell.Decisions[ObservedT, CallT]
    kind: Kind
    remote: RemoteKind[Record]
    id_member: ClassVar[str] = ""  # of the status, that holds the id of the recorded remote object

    def __init__(self, runtime: Runtime, view: View, resource: ResourceT, found: Found, cluster_uid: str) -> None:
        self.runtime, self.uid = runtime, view.uid
        self.resource: ResourceT = resource
        self.namespace = view.namespace or ""
        self.account, self._session = found
        self.cluster_uid = cluster_uid
        self._writer = runtime.writer(self.kind, view)
        self._acts = RemoteActs(view.uid, resource.status, cancels=self.remote.cancels)
        self.started_at = runtime.clock.monotonic()
        self._answer_by: datetime | None = None
        self.saw_everything = False  # whether a listing of this pass went back to the account's first record

    @classmethod
    async def over(cls, runtime: Runtime, view: View, resource: ResourceT) -> Outcome:
        """Make one pass over the resource. If cluster prerequisites cannot be read, the status says so; retry."""
        try:
            return await cls._over(runtime, view, resource)
        finally:
            runtime.accounts.end_pass(view.uid)

    @classmethod
    async def _over(cls, runtime: Runtime, view: View, resource: ResourceT) -> Outcome:
        try:
            one = await cls.begin(runtime, view, resource)
        except ExternalError as error:
            log.info("pass not begun", error=type(error).__name__, message=error.message)
            await failed_passes.report_not_begun(runtime, cls.kind, view, error)
            return Outcome(failed=True)
        return await one.run()

    @classmethod
    async def begin(cls, runtime: Runtime, view: View, resource: ResourceT) -> Self:
        """Resolve the account, then look at the resource. Raises as Cluster does."""
        await runtime.crds.require_current(cls.kind)
        found = await runtime.accounts.resolve(resource)
        return cls(runtime, view, resource, found, await runtime.cluster.cluster_uid())

    @property
    def has_session(self) -> bool:
        """Whether there is an account to call."""
        return self._session is not None

    @property
    def session(self) -> AccountSession:
        """The live session of the account; only used after the account was found usable."""
        assert self._session is not None, "no rule calls the remote without an account"  # noqa: S101 - see core
        return self._session

    @property
    def inventory(self) -> Inventory[Record]:
        """The listing of this kind in the account."""
        return self.session.inventory(self.remote)

    @property
    def until(self) -> float | None:
        """When the create of the written intent must have ended (monotonic, seconds); None without an intent."""
        if self._answer_by is None:
            return None
        return self.runtime.clock.monotonic() + (self._answer_by - self.runtime.clock.now()).total_seconds()

    async def run(self) -> Outcome:
        """Run the pass, then set what is followed and counted."""
        ended: ObservedT | None = None
        try:
            observed, planned = await shell.run_pass(self.core, self.observe(self.resource), self._call,
                                                     self.runtime.clock, self._acts.log_call)
            ended = observed
            self._follow(observed, planned)
        finally:
            self.end(ended)
        self.runtime.accounts.refresh_counts(self.resource)
        return shell.outcome_of(planned)

    async def _call(self, call: CallT) -> Answer:
        """Make one call; name the account of an error. If the key is refused, request a pass over the account."""
        try:
            return await self.perform(call)
        except ExternalError as error:
            if not error.of_account or not isinstance(self.account, UsableAccount):
                raise
            if isinstance(error, Unauthorized):
                self.runtime.accounts.recheck_account(self.resource)
            raise account_remedies.naming_the_account(error, self.account) from error

    # -- what differs between kinds ------------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def owner_in(cluster_uid: str, uid: str) -> str:
        """The owner that the remote objects of the resource with this uid name, in the cluster of that uid."""

    @abstractmethod
    def observe(self, resource: ResourceT) -> ObservedT:
        """The observed state before any call."""

    @abstractmethod
    async def perform(self, call: CallT) -> Answer:
        """Make one call. Raises what the adapter raises."""

    def end(self, observed: ObservedT | None) -> None:
        """Release what the pass held. `observed`: the last observed state; None if the pass raised."""

    # -- what all kinds do alike ---------------------------------------------------------------------------------

    async def perform_common(self, call: CommonCall[RemoteStatus, Record]) -> Answer:
        """Make one of the calls that all kinds make."""
        match call:
            case calls.Confirm() | calls.ReadCandidate():
                return call.answer(await self.remote.get(self.session.client, call.id))
            case calls.LookForOurs() | calls.FindHolders():
                return await self._find(call)
            case calls.Remove():
                await self.remote.remove(self.session.client, call.id)
                return call.answer(None)
            case calls.WriteIntent():
                return await self._write_intent(call)
            case calls.SaveStatus():
                return await self._save(call)
            case calls.AddFinalizer() | calls.RemoveFinalizer() | calls.DeleteSelf():
                return await self._writer.write(call)
            case _:
                assert_never(call)

    async def _save(self, call: calls.SaveStatus[RemoteStatus] | calls.WriteIntent[RemoteStatus]) -> Answer:
        """Write a status. If the API server does not store all of it, write the former one back, and raise NotReady.

        With the former status a create that was answered counts as open, and what it made is found by its token.
        """
        former, written = self._writer.stored_status, await self._writer.write(call)
        try:
            self.runtime.crds.require_stored(self.kind, self._writer.sent_status, self._writer.stored_status)
        except NotReady:
            await self._writer.restore(former)
            raise
        return written

    async def _write_intent(self, call: calls.WriteIntent[RemoteStatus]) -> Answer:
        written = await self._save(call)
        self._answer_by = memory.answer_by(memory.from_status(call.status), self.runtime.policy)
        return written

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Within this context a create is sent: however it ends, the inventory answers from later listings only."""
        try:
            yield
        finally:
            self.inventory.note_create(self.owner_in(self.cluster_uid, self.uid))

    async def _find(self, call: LookForOurs[Record] | calls.FindHolders) -> Answer:
        if isinstance(call, calls.FindHolders):
            owner_of = functools.partial(self.owner_in, self.cluster_uid)
            seeker = Seeker(self.kind, self.id_member, self.uid, owner_of, self.runtime.clock.monotonic())
            return call.answer(await self.runtime.holders.find(seeker, call))
        return call.answer(await self._look(call))

    async def _look(self, call: LookForOurs[Record]) -> Listing[Record]:
        request = WatchRequest(call.owner, call.ids, call.back_to, call.every, call.fingerprint)
        now = self.runtime.clock.now()
        since = min(call.fresh_since, now) if call.fresh_since else None  # the API server's clock may be ahead
        listing = await self.inventory.find(request, fresh_since=since, waiting=self.runtime.engine.without_a_slot)
        self.saw_everything = listing.reaches_back_to is None
        return listing

    def _follow(self, observed: ObservedT, planned: Plan[CallT]) -> None:
        """Have the inventory wake this resource when its remote objects change, if the plan asks for that."""
        if not self.has_session:
            return
        if planned.follow is None or observed.object_gone:
            self.inventory.unfollow(self.uid)
            return
        back_to = observed.oldest - self.runtime.policy.skew
        self.inventory.follow(self.uid, WatchRequest(observed.owner, observed.ids, back_to, planned.follow,
                                                     observed.fingerprint))
