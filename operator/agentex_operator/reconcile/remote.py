"""What the passes of both remote kinds do alike: account, listing, GET, removal, following."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Self

from agentex_operator import logs
from agentex_operator.agentex.watch_request import WatchRequest
from agentex_operator.core import creation, plan
from agentex_operator.core.errors import ExternalError, Unauthorized
from agentex_operator.core.protocol import hold_of
from agentex_operator.core.remote import Listing, Record
from agentex_operator.kube.kinds import AGENT_BUILD
from agentex_operator.reconcile import shell
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.agentex.accounts import AccountSession
    from agentex_operator.agentex.inventory import Inventory
    from agentex_operator.core.protocol import Observed
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.accounts import Found
    from agentex_operator.reconcile.views import View
    from agentex_operator.reconcile.world import World

log = logs.logger(__name__)


class RemotePass(ABC, Generic[Record]):
    """One pass over a resource with a remote counterpart."""

    core: Any
    kind: Kind

    def __init__(self, world: World, view: View, resource: Any, found: Found, cluster_uid: str) -> None:
        self.world, self.uid, self.resource = world, view.uid, resource
        self.namespace = view.namespace or ""
        self.account, self._session = found
        self.cluster_uid = cluster_uid
        self._writer = world.writer(self.kind, view)
        self.began = world.clock.monotonic()
        self._answer_by: datetime | None = None
        self.saw_everything = False  # whether a listing of this pass went back to the account's first record

    @classmethod
    async def over(cls, world: World, view: View, resource: Any) -> Outcome:
        """One pass over the resource. Without what every pass needs of the cluster there is none: it comes again."""
        one = await shell.attempt(lambda _: cls.begin(world, view, resource), cls)
        return Outcome(failed=True) if isinstance(one, ExternalError) else await one.run()

    @classmethod
    async def begin(cls, world: World, view: View, resource: Any) -> Self:
        """Resolve the account, then look at the resource."""
        found = await world.accounts.resolve(resource)
        return cls(world, view, resource, found, await world.cluster.cluster_uid())

    @property
    def has_session(self) -> bool:
        """Whether there is an account to speak to."""
        return self._session is not None

    @property
    def session(self) -> AccountSession:
        """The live session of the account; only asked for where the account was found usable."""
        assert self._session is not None, "no rule asks the remote without an account"  # noqa: S101 - see core
        return self._session

    @property
    def inventory(self) -> Inventory[Any]:
        """The listing of our kind in the account."""
        return self.session.builds if self.kind is AGENT_BUILD else self.session.deployments

    async def run(self) -> Outcome:
        """The conversation, then what is left to do when it is over."""
        observed = self.observe(self.resource)
        try:
            observed, planned = await shell.converse(self.core, observed, self._call, self.world.clock)
            self._follow(observed, planned)
        finally:
            self.end(observed)
        self.world.accounts.refresh_counts(self.resource)
        return shell.outcome_of(planned)

    async def _call(self, call: Any) -> Any:
        """Make one call; if the account was refused, its own pass shall find out for all."""
        try:
            return await self.perform(call)
        except Unauthorized:
            self.world.accounts.recheck_account(self.resource)
            raise

    @abstractmethod
    def observe(self, resource: Any) -> Any:
        """What is known before anything is asked."""

    @abstractmethod
    async def perform(self, call: Any) -> Any:
        """Make one call; its value, or what the adapter raises."""

    @abstractmethod
    def status_as_dict(self, status: Any) -> dict[str, Any]:
        """The status as the API server has it."""

    def end(self, observed: Any) -> None:
        """Give back what the pass held."""

    async def perform_common(self, call: Any) -> Any:
        """The calls both kinds make."""
        match call:
            case plan.LookForOurs():
                return await self._look(call)
            case plan.Confirm():
                return await self.confirm(call.id)
            case plan.Remove():
                return await self._remove(call.id)
            case _:
                return await self._write(call)

    async def _write(self, call: Any) -> Any:
        written = await self._writer.write(call, self.status_as_dict)
        if isinstance(call, plan.WriteIntent):
            self._answer_by = creation.answer_by(hold_of(call.status), self.world.policy)
        return written

    @property
    def until(self) -> float | None:
        """On the event loop's clock: when the create that was written down must be over."""
        if self._answer_by is None:
            return None
        return self.world.clock.monotonic() + (self._answer_by - self.world.clock.now()).total_seconds()

    async def _look(self, call: plan.LookForOurs) -> Listing[Any]:
        request = WatchRequest(call.owner, call.ids, call.back_to, call.every, call.fingerprint)
        now = self.world.clock.now()
        since = min(call.fresh_since, now) if call.fresh_since else None  # the API server's clock may be ahead
        listing = await self.inventory.find(request, fresh_since=since)
        self.saw_everything = listing.reaches_back_to is None
        return listing

    async def confirm(self, id_: str) -> Any:
        """GET one remote object of our kind."""
        client = self.session.client
        return await (client.get_build(id_) if self.kind is AGENT_BUILD else client.get_deployment(id_))

    async def _remove(self, id_: str) -> None:
        client = self.session.client
        await (client.cancel_build(id_) if self.kind is AGENT_BUILD else client.delete_deployment(id_))
        log.info("remote object removed", id=id_)

    def _follow(self, observed: Observed[Any, Any], planned: plan.Plan[Any]) -> None:
        """Have the inventory wake us when our remote changes; or no longer."""
        if not self.has_session:
            return
        if planned.follow is None or observed.over:
            self.inventory.unfollow(self.uid)
            return
        back_to = observed.meta.creation_timestamp - self.world.policy.skew
        self.inventory.follow(self.uid, WatchRequest(observed.owner, observed.ids, back_to, planned.follow,
                                                     observed.fingerprint))

