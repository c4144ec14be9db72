"""Observed of one AgentDeployment, and what follows from it without looking at anything else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from agentex_operator.core import byte_order_mark, conditions, manifest, memory
from agentex_operator.core.deployment import identity, records
from agentex_operator.core.plan import UsableAccount
from agentex_operator.core.remote import BuildRecord, DeploymentRecord, RemoteState, deployment_state

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.api.build import AgentBuild
    from agentex_operator.api.deployment import EnvironmentsSource, ManifestSource
    from agentex_operator.api.references import KeyRef
    from agentex_operator.core.deployment.rivals import Rival


@dataclass(frozen=True, kw_only=True)
class Observed(identity.Identity):
    """What one pass knows of one AgentDeployment."""

    noun: ClassVar[str] = "deployment"
    removed_at_once: ClassVar[bool] = True
    build: AgentBuild | None = None                  # the one that buildRef names, from the cache or read live
    builds_served: bool = True                       # whether the cluster knows the kind AgentBuild
    texts: tuple[tuple[KeyRef, str], ...] = ()       # ConfigMap keys read in this pass
    unread: bool = False                             # a ConfigMap is gone, which does not matter to an ended preview
    rivals: tuple[Rival, ...] = ()                   # others of this agent and account, as last seen
    named_build: tuple[BuildRecord | None] | None = None    # the build that buildID names, once it was asked for
    built_from: tuple[str, str] | None = None        # working tree hash and manifest of the build's context
    read_live: frozenset[object] = frozenset()       # the calls of this pass that read live

    # -- the remote side -----------------------------------------------------------------------------------------

    @property
    def orphan(self) -> bool:
        """Whether deletionPolicy is Orphan: the remote deployment stays."""
        return self.spec.deletion_policy == "Orphan"

    @property
    def nothing_left(self) -> bool:
        """Whether nothing was sent, or a preview's deployment on record is known to be gone.

        A production deployment may have earlier ones alive that are on no record (see remove_extra_previews): only a
        listing rules them out.
        """
        if self.status.attempt == 0:
            return memory.from_status(self.status).empty
        dead = records.known_state(self.status) in records.DEAD
        return self.spec.preview is not None and not self.moving and dead

    @property
    def moving(self) -> bool:
        """Whether a create, a rollout, a replacement or a removal is under way."""
        remembered = memory.from_status(self.status)
        rolling = remembered.id is not None and records.known_state(self.status) in records.ROLLING_OUT
        open_create = memory.open_since(remembered)
        return bool(rolling or remembered.condemned or self.status.operator.predecessor_id or open_create)

    @property
    def follow(self) -> timedelta:
        """The poll interval while something moves; a slow look at one that serves; a slower one at one that is gone."""
        if self.nothing_left or not isinstance(self.account, UsableAccount):
            return self.policy.resync
        if self.meta.deleting or (self.moving and not self.nothing_can_come):
            return self.account.poll
        serving = records.known_state(self.status) is RemoteState.SUCCEEDED
        return self.policy.reference_resync if serving else self.policy.resync

    @property
    def references_poll(self) -> timedelta:
        """The same as of every kind; earlier if there are rivals, whose changes wake nobody."""
        return self.policy.reference_resync if self.rivals else super().references_poll

    @property
    def ids(self) -> frozenset[str]:
        """Every remote id on record, the predecessor's too."""
        predecessor = self.status.operator.predecessor_id
        return memory.from_status(self.status).ids | (frozenset({predecessor}) if predecessor else frozenset())

    @property
    def predecessor(self) -> DeploymentRecord | None:
        """The record that serves while the new one rolls out."""
        return self.seen.find(self.status.operator.predecessor_id) if self.status.operator.predecessor_id else None

    @property
    def state(self) -> RemoteState | None:
        """The state of the recorded deployment; None where there is none, or it is confirmed missing."""
        record = self.recorded
        if record is not None:
            return record.state
        known = self.status.remote_status is not None and self.status.operator.missing_since is None
        return deployment_state(self.status.remote_status) if known and self.status.deployment_id else None

    @property
    def strays(self) -> list[DeploymentRecord]:
        """As of every kind; of production ones those that roll out: they share a release, which the last one takes."""
        found = super().strays
        return found if self.spec.preview else [one for one in found if one.state in records.ROLLING_OUT]

    @property
    def named_to_adopt(self) -> str | None:
        """The deployment that `spec.adopt` names; None while the resource is suspended."""
        return self.spec.adopt.deployment_id if self.spec.adopt and not self.spec.suspend else None

    def mismatch(self, record: DeploymentRecord) -> str | None:
        """Why it is no deployment of this resource's agent, or not of its sort."""
        return records.mismatch(record, is_preview=self.spec.preview is not None, agent=self.agent_to_deploy)

    def has_ended_remotely(self, record: DeploymentRecord) -> bool:
        """Whether it failed, was deleted or superseded."""
        return record.state in records.DEAD | {RemoteState.FAILED}

    def forgetting_the_digest(self, now: datetime) -> Self:
        """The same, such that the present configuration counts as the recorded one."""
        kept, agent = self.status.operator, self.status.agent_name or self.agent_to_deploy
        kept = replace(kept, configuration_digest=None, progressing_since=kept.progressing_since or now)
        return replace(self, status=replace(self.status, operator=kept, agent_name=agent))

    def with_present_digest(self) -> Self:
        """The same with the present configuration on record, if a deployment is recorded without one."""
        status, kept = self.status, self.status.operator
        if status.deployment_id is None or kept.configuration_digest is not None or self.restored:
            return self
        return replace(self, status=replace(status, operator=replace(kept, configuration_digest=self.digest)))

    def mirrored(self, now: datetime) -> Self:
        """The same with the recorded deployment's state in the status; a production successor of ours taken over."""
        current = self._with_successor()._without_dead_predecessor()
        record = current.recorded
        if record is not None:
            return replace(current, status=records.mirror(current.status, record))
        missing = current.status.remote_id is not None and current.seen.absent(current.status.remote_id)
        kept = current.status.operator
        since = (kept.missing_since or now) if missing else kept.missing_since
        return replace(current, status=replace(current.status, operator=replace(kept, missing_since=since)))

    def _with_successor(self) -> Self:
        """With the newest living record of our token, if a late create of ours superseded the recorded one."""
        id_, record = self.status.remote_id, self.recorded
        if id_ is None or not (self.seen.absent(id_) or (record and record.state is RemoteState.SUPERSEDED)):
            return self
        successors = [one for one in self.seen.records if self.follows_on(one, record) and self.alive(one)
                      and one.id not in self.status.operator.condemned]
        newest = max(successors, key=lambda one: (one.created_at, one.id), default=None)
        return self if newest is None else replace(self, status=self.status.with_remote_id(newest.id))

    def _without_dead_predecessor(self) -> Self:
        predecessor, record = self.status.operator.predecessor_id, self.predecessor
        gone = predecessor and (self.seen.absent(predecessor) or (record is not None and not self.alive(record)))
        if not gone:
            return self
        kept = replace(self.status.operator, predecessor_id=None)
        return replace(self, status=replace(self.status, operator=kept))

    # -- the wanted configuration --------------------------------------------------------------------------------

    @property
    def manifest(self) -> str | None:
        """The manifest text; None if it was not read in this pass."""
        if self.spec.manifest.from_build:
            return self.built_from[1] if self.built_from else None
        return self._text(self.spec.manifest)

    @property
    def agent_to_deploy(self) -> str | None:
        """The name of the agent: of the AgentBuild, else in the manifest; None if neither is known."""
        if self.build is not None and self.build.spec.agent_name is not None:
            return self.build.spec.agent_name
        return manifest.agent_named_in(self.manifest) if self.manifest else None

    @property
    def environments(self) -> str | None:
        """The environments text; None if it was not read in this pass."""
        return self._text(self.spec.environments)

    def _text(self, member: ManifestSource | EnvironmentsSource) -> str | None:
        """The text of a ConfigMap or of the spec, without a byte-order mark; None if it was not read in this pass."""
        ref = member.config_map_key_ref
        text = member.inline if ref is None else dict(self.texts).get(ref)
        return byte_order_mark.without_mark(text) if text is not None else None

    @property
    def build_id(self) -> str | None:
        """The remote build to deploy, if it is known and ready."""
        return ready_build_id(self.build) if self.spec.build_ref else self.spec.build_id

    @property
    def digest(self) -> str | None:
        """sha256 (hex) of everything that makes the deployment; None while a part of it is not known."""
        environments, manifest = self.environments, self.manifest_identity
        if environments is None or manifest is None or (self.spec.image is None and self.build_id is None):
            return None
        preview = self.spec.preview
        wish = (preview.label, preview.ttl, preview.expires_at) if preview else None
        return self.digests.of((self.build_id, manifest, environments), self.build_id, repr(self.spec.image), manifest,
                               environments, self.spec.environment, wish)

    @property
    def manifest_identity(self) -> str | None:
        """The manifest text; or, from a build, the context it is part of, which need not be fetched to be compared."""
        if not self.spec.manifest.from_build:
            return self.manifest
        return f"context {self.build.status.context_digest}" if self.build else None

    @property
    def is_current(self) -> bool:
        """Whether the wanted configuration is the one on record; True while the wanted one is not known."""
        known = self.status.operator.configuration_digest
        return self.digest is None or known is None or known == self.digest

    @property
    def extension_requested(self) -> bool:
        """Whether an extend annotation is not handled yet."""
        handled = self.status.last_handled_extend_requested_at
        return self.meta.extend_requested_at not in (None, handled) and self.spec.preview is not None

    def is_expired(self, now: datetime) -> bool:
        """Whether the preview on record has ended by its own wish, and no new one is requested."""
        ends, was_there = self.status.expires_at, self.status.remote_id is not None
        if self.spec.preview is None or ends is None or not was_there:
            return False
        if self.extension_requested or not self.is_current:
            return False
        swept = self.state in records.DEAD and now >= ends - self.policy.expiry_grace
        return now >= ends or swept

    @property
    def expired_at_start(self) -> bool:
        """Whether the preview had expired when this pass started."""
        return self.is_expired(self.started_at)

    @property
    def has_ended(self) -> bool:
        """Whether the end of the preview on record has passed, even if an extension or another spec wants a new one."""
        ends = self.status.expires_at
        return self.spec.preview is not None and self.status.remote_id is not None and (
            ends is not None and self.started_at >= ends)

    @property
    def past_before_its_create(self) -> bool:
        """Whether the end that the spec names had passed before anything was created: the wish is fulfilled."""
        ends = self.spec.preview.expires_at if self.spec.preview else None
        nothing_made = memory.from_status(self.status).empty and self.status.operator.predecessor_id is None
        return ends is not None and self.started_at >= ends and nothing_made


def ready_build_id(build: AgentBuild | None) -> str | None:
    """The remote build of an AgentBuild whose newest generation is built; None otherwise."""
    if build is None or build.status.observed_generation != build.meta.generation:
        return None
    return build.status.build_id if conditions.is_true(build.status.conditions, "Succeeded") else None
