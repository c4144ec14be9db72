"""AgentBuild's shell: what is observed at the start of a pass, and how each of its calls is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.agentex.build_records import BUILDS
from agentex_operator.api.build import AgentBuild
from agentex_operator.core import build, calls, ownership
from agentex_operator.core.build import BuildCall
from agentex_operator.core.build.observed import Observed
from agentex_operator.core.calls import Agent
from agentex_operator.core.observed_records import ObservedRecords
from agentex_operator.core.remote import BuildRecord
from agentex_operator.kube.kinds import AGENT_BUILD
from agentex_operator.reconcile import references, shell
from agentex_operator.reconcile.registration import Registration
from agentex_operator.reconcile.remote import RemotePass

if TYPE_CHECKING:
    from agentex_operator.core.calls import Answer
    from agentex_operator.sources import Staged


class BuildPass(RemotePass[AgentBuild, Observed, BuildCall, BuildRecord]):
    """The calls of one pass."""

    core: shell.Decisions[Observed, BuildCall] = build
    kind = AGENT_BUILD
    remote = BUILDS
    id_member = "buildID"
    staged: Staged | None = None

    def observe(self, resource: AgentBuild) -> Observed:
        """The observed state before any call."""
        return Observed(
            meta=resource.meta, spec=resource.spec, stored=resource.status, status=resource.status,
            cluster=self.cluster_uid, account=self.account, policy=self.runtime.policy,
            started_at=self.runtime.clock.now(), seen=ObservedRecords(),
            references_watched=self.runtime.references.are_watched(self.uid),
        )

    @staticmethod
    def owner_in(cluster_uid: str, uid: str) -> str:
        """Eight hex digits made of the cluster's uid and the resource's."""
        return ownership.owner_of(cluster_uid, uid)

    async def perform(self, call: BuildCall) -> Answer:
        """Make one call. Raises what the adapter raises."""
        match call:
            case calls.ResolveSource():
                since = self.started_at if call.live else 0.0
                return call.answer(await self.runtime.sources.resolve(
                    self.namespace, call.source, since, self.runtime.engine.without_a_slot))
            case calls.StageContext():
                return call.answer(await self._stage(call))
            case calls.FindAgent():
                return call.answer(await self._find_agent(call))
            case calls.CreateBuild():
                return call.answer(await self._create(call))
            case calls.ReadLogTail():
                return call.answer(await self.session.client.build_log_tail(call.id))
            case _:
                return await self.perform_common(call)

    async def _stage(self, call: calls.StageContext) -> calls.StagedContext:
        self._drop_archive()
        self.staged = await self.runtime.sources.stage(self.namespace, call.source, call.context, call.agent_name,
                                                     self.started_at)
        revision = self.staged.revision
        return calls.StagedContext(calls.Revision(revision, revision), self.staged.context_digest)

    async def _find_agent(self, call: calls.FindAgent) -> str | Agent:
        """Known, found by list, free for this resource alone, or being created by another (agentex-api.md §3)."""
        names, builds = self.session.names, self.inventory
        if not call.live and (known := names.known(call.name) or builds.agent_id(call.name)):
            return known
        if not names.claim(call.name, self.uid):
            return Agent.BUSY
        found = await self._ask_for_agent(call)
        return found or Agent.FREE

    async def _ask_for_agent(self, call: calls.FindAgent) -> str | None:
        if not call.live and self.saw_everything:
            return None
        found = await self.session.client.find_agent(call.name)
        if found:
            self.session.names.learn(call.name, found)
        return found

    async def _create(self, call: calls.CreateBuild) -> BuildRecord:
        archive = self.staged.archive if self.staged else None
        with self.creating():
            record = await self.session.client.create_build(call.request, archive, until=self.until)
        if record.agent_id:
            self.session.names.learn(record.agent_name, record.agent_id)
        return record

    def end(self, observed: Observed | None) -> None:
        """Release the archive, and the agent's name unless its create is open, or may be: the pass raised."""
        self._drop_archive()
        if observed is not None and observed.status.operator.pending_create is None and self.has_session:
            self.session.names.release(self.uid)

    def _drop_archive(self) -> None:
        if self.staged is not None:
            self.staged.release()
            self.staged = None


AGENT_BUILDS = Registration(AgentBuild.parse, BuildPass, references.build_references,
                            least_spec={"image": {"name": "unknown"}, "source": {}})
