"""AgentBuild's shell: what is observed at the start of a pass, and how each of its calls is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentex_operator.api.build import AgentBuild
from agentex_operator.api.status import status_as_dict
from agentex_operator.core import build, plan
from agentex_operator.core.creation import Sightings
from agentex_operator.core.invalid import InvalidObject
from agentex_operator.kube.kinds import AGENT_BUILD
from agentex_operator.reconcile import shell
from agentex_operator.reconcile.remote import RemotePass

if TYPE_CHECKING:
    from agentex_operator.core.remote import BuildRecord
    from agentex_operator.reconcile.views import View
    from agentex_operator.reconcile.work_queue import Outcome
    from agentex_operator.reconcile.world import World
    from agentex_operator.sources import Staged


class BuildReconciler:
    """One pass over an AgentBuild."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, view: View) -> Outcome:
        """Observe, decide, act, settle, save. Raises nothing an adapter raises."""
        resource = shell.parsed(AgentBuild, view.obj)
        if isinstance(resource, InvalidObject):
            return await shell.report_invalid(self._world, AGENT_BUILD, view, resource)
        return await BuildPass.over(self._world, view, resource)

    def gone(self, view: View) -> None:
        """The object is no more: nothing is followed for it."""
        self._world.accounts.forget(view)


class BuildPass(RemotePass["BuildRecord"]):
    """The calls of one pass."""

    core = build
    kind = AGENT_BUILD
    staged: Staged | None = None

    def observe(self, resource: AgentBuild) -> build.Observed:
        """What is known before anything is asked."""
        return build.Observed(
            meta=resource.meta, spec=resource.spec, stored=resource.status, status=resource.status,
            cluster=self.cluster_uid, account=self.account, policy=self.world.policy, began=self.world.clock.now(),
            seen=Sightings(),
        )

    async def perform(self, call: Any) -> Any:
        """Make one call; its value, or what the adapter raises."""
        match call:
            case plan.ResolveSource():
                return await self._resolve(call)
            case plan.StageContext():
                return await self._stage(call)
            case plan.FindAgent():
                return await self._find_agent(call)
            case plan.CreateBuild():
                return await self._create(call)
            case plan.ReadLogTail():
                return await self.session.client.build_log_tail(call.id)
            case _:
                return await self.perform_common(call)

    async def _resolve(self, call: plan.ResolveSource) -> plan.Revision:
        return await self.world.sources.resolve(self.namespace, call.source)

    async def _stage(self, call: plan.StageContext) -> plan.StagedContext:
        self._drop_archive()
        self.staged = await self.world.sources.stage(self.namespace, call.source, call.context, call.agent_name,
                                                     self.began)
        revision = self.staged.revision
        return plan.StagedContext(plan.Revision(revision, revision), self.staged.context_digest)

    async def _find_agent(self, call: plan.FindAgent) -> str | plan.Agent:
        """Known, found by list, free for us alone, or being created by somebody else (agentex-api.md §3)."""
        names, builds = self.session.names, self.session.builds
        if not call.live and (known := names.known(call.name) or builds.agent_id(call.name)):
            return known
        if not names.claim(call.name, self.uid):
            return plan.Agent.BUSY
        found = await self._ask_for_agent(call)
        return found or plan.Agent.FREE

    async def _ask_for_agent(self, call: plan.FindAgent) -> str | None:
        if not call.live and self.saw_everything:
            return None
        found = await self.session.client.find_agent(call.name)
        if found:
            self.session.names.learn(call.name, found)
        return found

    async def _create(self, call: plan.CreateBuild) -> BuildRecord:
        archive = self.staged.archive if self.staged else None
        record = await self.session.client.create_build(call.request, archive, until=self.until)
        if record.agent_id:
            self.session.names.learn(record.agent_name, record.agent_id)
        return record

    def status_as_dict(self, status: Any) -> dict[str, Any]:
        """The status as the API server has it."""
        return status_as_dict(status)

    def end(self, observed: build.Observed) -> None:
        """Give back what the pass held: the archive, and the agent's name unless its create is open."""
        self._drop_archive()
        if observed.status.pending_create is None and self.has_session:
            self.session.names.release(self.uid)

    def _drop_archive(self) -> None:
        if self.staged is not None:
            self.staged.release()
            self.staged = None
