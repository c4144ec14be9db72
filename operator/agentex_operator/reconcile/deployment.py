"""AgentDeployment's shell: what is observed at the start of a pass, and how each of its calls is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentex_operator.agentex.deployment_records import DEPLOYMENTS
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.core import calls, deployment, ownership, reasons
from agentex_operator.core.deployment import DeploymentCall, rivals
from agentex_operator.core.deployment.observed import Observed
from agentex_operator.core.endpoints import RemoteAccount
from agentex_operator.core.errors import InvalidInput, NotReady
from agentex_operator.core.observed_records import ObservedRecords
from agentex_operator.core.remote import DeploymentRecord
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT
from agentex_operator.reconcile import parsing, references, shell
from agentex_operator.reconcile.registration import Registration
from agentex_operator.reconcile.remote import RemotePass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.api.references import KeyRef
    from agentex_operator.core.calls import Answer
    from agentex_operator.core.deployment.rivals import Rival
    from agentex_operator.reconcile.views import View


MANIFEST: Final = "spec.manifest"
ENVIRONMENTS: Final = "spec.environments"
INVALID: Final = {MANIFEST: reasons.INVALID_MANIFEST, ENVIRONMENTS: reasons.INVALID_ENVIRONMENTS}


class DeploymentPass(RemotePass[AgentDeployment, Observed, DeploymentCall, DeploymentRecord]):
    """The calls of one pass."""

    core: shell.Decisions[Observed, DeploymentCall] = deployment
    kind = AGENT_DEPLOYMENT
    remote = DEPLOYMENTS
    id_member = "deploymentID"

    def observe(self, resource: AgentDeployment) -> Observed:
        """The observed state before any call."""
        return Observed(
            meta=resource.meta, spec=resource.spec, stored=resource.status, status=resource.status,
            cluster=self.cluster_uid, account=self.account, policy=self.runtime.policy,
            started_at=self.runtime.clock.now(), seen=ObservedRecords(), build=self._build(resource),
            builds_served=AGENT_BUILD.kind not in self.runtime.crds.missing,
            rivals=self._rivals(resource),
            references_watched=self.runtime.references.are_watched(self.uid),
        )

    def _build(self, resource: AgentDeployment) -> AgentBuild | None:
        ref = resource.spec.build_ref
        view = self.runtime.engine.find(AGENT_BUILD.kind, self.namespace, ref.name) if ref else None
        return as_build(view.obj if view else None)

    def _rivals(self, resource: AgentDeployment) -> tuple[Rival, ...]:
        """The other AgentDeployments that deploy the same agent to the same account."""
        account, agent = resource.status.account, resource.status.agent_name
        if account is None or agent is None or resource.spec.preview is not None:
            return ()
        key = references.remote_agent(RemoteAccount(account.endpoint, account.account_id), agent)
        others = [view for view in self.runtime.engine.dependents(*key) if view.uid != self.uid]
        found = [parsing.parsed(AgentDeployment.parse, view.obj) for view in others]
        return tuple(sorted(rival for one in found if isinstance(one, AgentDeployment)
                            and (rival := rivals.rival_of(one)) is not None))

    @staticmethod
    def owner_in(cluster_uid: str, uid: str) -> str:
        """`<cluster>/<uid>`."""
        return ownership.deployment_owner_of(cluster_uid, uid)

    async def perform(self, call: DeploymentCall) -> Answer:
        """Make one call. Raises what the adapter raises."""
        match call:
            case calls.ReadText():
                return call.answer(await self._read_text(call))
            case calls.ReadAgentBuild():
                return call.answer(await self._read_build(call.name))
            case calls.ConfirmBuild():
                return call.answer(await self.session.client.get_build(call.id))
            case calls.ReadBuildManifest():
                return call.answer(await self.runtime.sources.manifest(self.namespace, call.source, call.context,
                                                                     self.started_at))
            case calls.CreateDeployment():
                with self.creating():
                    return call.answer(await self.session.client.create_deployment(call.request, until=self.until))
            case _:
                return await self.perform_common(call)

    async def _read_build(self, name: str) -> AgentBuild | None:
        return as_build(await self.runtime.cluster.get(AGENT_BUILD, self.namespace, name))

    async def _read_text(self, call: calls.ReadText) -> str:
        ref = call.ref
        of_environments = ref == self.resource.spec.environments.config_map_key_ref
        member = ENVIRONMENTS if of_environments else MANIFEST
        found = await self.runtime.objects.config_map(self.namespace, ref.name, self.started_at if call.live else 0.0)
        if found is None:
            raise NotReady(reasons.CONFIG_MAP_NOT_FOUND,
                           f"There is no ConfigMap {ref.name!r} in this namespace. Create it, or correct "
                           f"{member}.configMapKeyRef.name.")
        return text_of(found, ref, member)


def as_build(obj: Mapping[str, Any] | None) -> AgentBuild | None:
    """The AgentBuild, if there is one and it can be read."""
    found = parsing.parsed(AgentBuild.parse, obj) if obj else None
    return found if isinstance(found, AgentBuild) else None


def text_of(config_map: Mapping[str, Mapping[str, object]], ref: KeyRef, member: str) -> str:
    """The text under the key that this member of the spec names.

    Raises NotReady where there is no such key, and InvalidInput where it is not text.
    """
    texts = config_map.get("data") or {}
    if ref.key in texts:
        return str(texts[ref.key])
    if ref.key in (config_map.get("binaryData") or {}):
        raise InvalidInput(INVALID[member], f"Key {ref.key!r} of ConfigMap {ref.name!r} is binary, and no text. Put it "
                                            "under data, as UTF-8.")
    there = ", ".join(sorted(texts)) or "none"
    raise NotReady(reasons.KEY_NOT_FOUND, f"ConfigMap {ref.name!r} has no key {ref.key!r} (it has: {there}). Add it, "
                                          f"or correct {member}.configMapKeyRef.key.")


def build_excerpt(view: View) -> tuple[object, ...]:
    """The part of an AgentBuild's view that its deployments read."""
    status = view.obj.get("status") or {}
    return view.uid, view.obj["metadata"].get("generation"), status.get("buildID"), status.get("conditions")


AGENT_DEPLOYMENTS = Registration(AgentDeployment.parse, DeploymentPass, references.deployment_references,
                                 {AGENT_BUILD.kind: build_excerpt}, least_spec={"manifest": {}, "environments": {}})
