"""Identity: which remote deployments are those of one AgentDeployment: by token, configuration or take-over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.api.deployment import AgentDeploymentSpec, AgentDeploymentStatus
from agentex_operator.core import ownership, preview_labels
from agentex_operator.core.deployment import records
from agentex_operator.core.ownership import deployment_owner, deployment_token
from agentex_operator.core.protocol import observed as protocol
from agentex_operator.core.remote import DeploymentRecord

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Identity(protocol.Observed[AgentDeploymentStatus, DeploymentRecord]):
    """The part of Observed that says whose a remote deployment is."""

    spec: AgentDeploymentSpec

    @property
    def owner(self) -> str:
        """`<cluster>/<uid>`, the start of our tokens."""
        return ownership.deployment_owner_of(self.cluster, self.meta.uid)

    @property
    def pending_owner(self) -> str | None:
        """The owner in the token of the open create."""
        pending = self.status.operator.pending_create
        return deployment_owner(pending.token) if pending else None

    def owner_named(self, record: DeploymentRecord) -> str | None:
        """The owner in the first line of the deployment's manifest."""
        return deployment_owner(record.token) if record.token else None

    def alive(self, record: DeploymentRecord) -> bool:
        """Whether it owns a release; a failed one does (agentex-api.md §2.2)."""
        return record.state not in records.DEAD

    @property
    def fingerprint(self) -> str | None:
        """Digest of the configuration last sent, while its answer is missing."""
        pending = self.status.operator.pending_create
        return pending.fingerprint if pending else None

    def of_another(self, record: DeploymentRecord) -> bool:
        """Whether its token names another owner; without a token, whether its build is not the recorded one."""
        owner, pending = self.owner_named(record), self.status.operator.pending_create
        if owner is not None:
            is_pending = pending is not None and record.token == pending.token
            return not (owner == self.owner or is_pending or self.took_over(record.id, owner))
        recorded = record.id == self.status.deployment_id and self.status.build_id is not None
        return recorded and record.build_id not in (None, self.status.build_id)

    def wanted(self, record: DeploymentRecord) -> bool:
        """Whether it is the pending attempt's; or, if the status was lost (a restored backup), a living one of ours."""
        pending = self.status.operator.pending_create
        if record.token is None:
            return pending is not None and self._looks_like_ours(record, pending.started_at)
        if pending is not None:
            return record.token == pending.token
        forgotten = self.status.attempt == 0 and deployment_owner(record.token) == self.owner
        return self.alive(record) and (forgotten or self._took_effect_late(record))

    def _took_effect_late(self, record: DeploymentRecord) -> bool:
        """Whether it is of a create of this attempt that was still open when its repetition was refused."""
        return self.status.operator.unanswered_create_at is not None and record.token == self._token

    @property
    def _token(self) -> str:
        """The ownership token of the attempt on record."""
        digest = self.status.operator.configuration_digest or ""
        return deployment_token(self.cluster, self.meta.uid, digest, self.status.attempt)

    def _looks_like_ours(self, record: DeploymentRecord, started_at: datetime) -> bool:
        """Whether configuration, label and time fit: the server is documented, not proven, to keep our token."""
        preview = self.spec.preview
        label = preview_labels.sanitised_label(preview.label) if preview and preview.label else None
        window = self.policy.skew
        in_time = started_at - window <= record.created_at <= started_at + self.policy.longest_life + window
        return in_time and record.fingerprint == self.fingerprint and record.preview_label == label

    def follows_on(self, one: DeploymentRecord, record: DeploymentRecord | None) -> bool:
        """Whether it is of the same create; or of any of ours, after a deployment that was taken over.

        This resource may have deployed before a restored status was written back that names the one before.
        """
        if record is not None and self.owner_named(record) not in (None, self.owner):
            return self.owner_named(one) == self.owner
        return one.token is not None and one.token == (record.token if record else self._token)
