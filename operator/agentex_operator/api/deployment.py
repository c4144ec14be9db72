"""AgentDeployment: "this build of this agent runs in this environment"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.build import Tag
from agentex_operator.api.common import (
    CONFIG,
    AccountRef,
    Duration,
    KeyRef,
    Meta,
    ObjectName,
    RemoteId,
    RemoteStatus,
    Timestamp,
    adapter,
)

Text = Annotated[str, Field(min_length=1, max_length=262144)]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class BuildRef:
    """Names an AgentBuild in the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the AgentBuild, in the same namespace.")]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class DeployedImage:
    """An image that exists already in the account's registry."""

    name: Annotated[str, Field(min_length=1, max_length=255, description="Name of the image.")]
    tag: Annotated[Tag, Field(description="Tag of the image.")]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class ManifestSource:
    """Where the manifest comes from: exactly one of these."""

    inline: Annotated[Text | None, Field(description="The text of manifest.yaml.")] = None
    config_map_key_ref: Annotated[KeyRef | None, Field(description="Key of a ConfigMap with the text; followed when it changes.")] = None
    from_build: Annotated[bool | None, Field(description="True takes the manifest of the context that buildRef's build was made from.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class EnvironmentsSource:
    """Where the environments come from: exactly one of these."""

    inline: Annotated[Text | None, Field(description="The text of environments.yaml.")] = None
    config_map_key_ref: Annotated[KeyRef | None, Field(description="Key of a ConfigMap with the text; followed when it changes.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Preview:
    """A short-lived deployment beside production."""

    label: Annotated[str | None, Field(min_length=1, max_length=30, description="Label of the preview, for example pr-482; at most 30 characters, sent in lower case with hyphens.")] = None
    ttl: Annotated[Duration | None, Field(description="How long it lives from each deployment on, for example 8h. Not with expiresAt; without both, 8h.")] = None
    expires_at: Annotated[Timestamp | None, Field(description="When it ends. Not with ttl.")] = None
    on_expiry: Annotated[Literal["Retain", "Delete"], Field(description="What happens to this resource when the preview has expired: Retain, or Delete (not when Argo CD, Flux or Helm would recreate it). Defaults to Retain.")] = "Retain"


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AgentDeploymentSpec:
    """What is to run, and where."""

    account_ref: Annotated[AccountRef | None, Field(description="Account to deploy in. Left out, the AgentexAccount named default of the namespace, else the default ClusterAgentexAccount. Immutable.")] = None
    build_ref: Annotated[BuildRef | None, Field(description="AgentBuild to deploy; a new image of it is deployed. Exactly one of buildRef, buildID and image.")] = None
    build_id: Annotated[RemoteId | None, Field(description="Remote id of a successful build. Exactly one of buildRef, buildID and image.")] = None
    image: Annotated[DeployedImage | None, Field(description="Existing image. Exactly one of buildRef, buildID and image.")] = None
    manifest: Annotated[ManifestSource, Field(description="Where manifest.yaml comes from: exactly one of inline, configMapKeyRef and fromBuild.")]
    environments: Annotated[EnvironmentsSource, Field(description="Where environments.yaml comes from: exactly one of inline and configMapKeyRef.")]
    environment: Annotated[str | None, Field(min_length=1, max_length=63, description="Key of the one environment to send. Left out, the file is sent as it is.")] = None
    preview: Annotated[Preview | None, Field(description="Makes this a preview: short-lived, with a release of its own. May be changed, but not added or removed later.")] = None
    progress_deadline: Annotated[Duration, Field(description="How long a rollout may take before it is reported as stalled. Defaults to 15m.")] = "15m"
    on_external_change: Annotated[Literal["Report", "Correct"], Field(description="What to do when somebody else superseded or deleted the deployment: Report it, or Correct it by deploying again. Defaults to Report.")] = "Report"
    suspend: Annotated[bool, Field(description="True watches the remote deployment but changes nothing. Defaults to false.")] = False
    deletion_policy: Annotated[Literal["Delete", "Orphan"], Field(description="What happens to the remote deployment when this is deleted: Delete or Orphan (leave it). Defaults to Delete.")] = "Delete"


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class DeployEvent:
    """One event of the rollout."""

    type: Annotated[str, Field(max_length=64, description="Type of the event.")]
    reason: Annotated[str, Field(max_length=256, description="Reason of the event.")]
    message: Annotated[str, Field(max_length=512, description="Message of the event.")]
    timestamp: Annotated[Timestamp | None, Field(description="When it happened.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AgentDeploymentStatus(RemoteStatus):
    """What is known of the deployment."""

    deployment_id: Annotated[RemoteId | None, Field(description="Remote id of the deployment.")] = None
    build_id: Annotated[RemoteId | None, Field(description="Remote id of the build that is deployed.")] = None
    configuration_digest: Annotated[str | None, Field(max_length=64, description="Digest of everything that makes the deployment; another digest is another deployment.")] = None
    agent_name: Annotated[str | None, Field(max_length=253, description="Name of the agent, from the manifest.")] = None
    helm_release_name: Annotated[str | None, Field(max_length=253, description="Helm release of the deployment.")] = None
    namespace: Annotated[str | None, Field(max_length=253, description="Remote namespace it landed in.")] = None
    expires_at: Annotated[Timestamp | None, Field(description="When the preview ends.")] = None
    predecessor_id: Annotated[RemoteId | None, Field(description="Remote id of the deployment that serves while the new one rolls out.")] = None
    last_healthy_deployment_id: Annotated[RemoteId | None, Field(description="Remote id of the deployment that was last seen healthy.")] = None
    progressing_since: Annotated[Timestamp | None, Field(description="When the newest rollout began.")] = None
    events: Annotated[tuple[DeployEvent, ...], Field(max_length=10, description="Last events of the rollout.")] = ()
    last_handled_extend_at: Annotated[str | None, Field(max_length=256, description="Value of the newest extend annotation that was acted upon.")] = None

    @property
    def remote_id(self) -> str | None:
        """The id of the remote deployment."""
        return self.deployment_id

    def with_remote_id(self, remote_id: str | None) -> AgentDeploymentStatus:
        """The status with another remote deployment on record."""
        return replace(self, deployment_id=remote_id)


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AgentDeployment:
    """One AgentDeployment."""

    meta: Meta
    spec: AgentDeploymentSpec
    status: AgentDeploymentStatus

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> AgentDeployment:
        """The typed resource. Raises ValidationError where it does not fit."""
        return cls(
            meta=Meta.parse(obj),
            spec=adapter(AgentDeploymentSpec).validate_python(obj.get("spec") or {}),
            status=adapter(AgentDeploymentStatus).validate_python(obj.get("status") or {}),
        )
