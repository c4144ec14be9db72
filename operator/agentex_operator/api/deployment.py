"""AgentDeployment: a build of an agent, running in an environment."""

from dataclasses import replace
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.adoption import AdoptDeployment
from agentex_operator.api.images import ImageName, ImageTag
from agentex_operator.api.metadata import EXTEND_REQUESTED_AT, Resource
from agentex_operator.api.operator_memory import NOT_FOR_READERS, DeploymentMemory
from agentex_operator.api.references import (
    AccountRef,
    BuildToDeploy,
    EnvironmentsInConfigMap,
    ManifestInConfigMap,
    keeps_its_account,
)
from agentex_operator.api.scalars import (
    IN_UTC,
    Between,
    Duration,
    GivenID,
    OnlyTrue,
    RemoteID,
    Sentence,
    Timestamp,
    Word,
)
from agentex_operator.api.schema import Names, at_most_one, exactly_one, model, rule
from agentex_operator.api.status import RemoteStatus

AGENT_DEPLOYMENT: Final = Names(kind="AgentDeployment", plural="agentdeployments", singular="agentdeployment",
                                short="ad")

InlineText = Annotated[str, Field(min_length=1, max_length=262_144)]
TimeToLive = Annotated[Duration, Between("1s", "8760h")]


@dataclass(frozen=True, kw_only=True, config=model())
class DeployedImage:
    """An image that was built before."""

    name: Annotated[ImageName, Field(description="Repository name of the image, for example `quote-bot`.")]
    tag: Annotated[ImageTag, Field(description="Tag of the image, for example `v1`.")]


@dataclass(frozen=True, kw_only=True, config=model(exactly_one("inline", "configMapKeyRef", "fromBuild")))
class ManifestSource:
    """The agent's manifest.yaml: exactly one of inline, configMapKeyRef and fromBuild."""

    inline: Annotated[InlineText | None, Field(
        description="The text of the manifest, at most 262144 characters.")] = None
    config_map_key_ref: Annotated[ManifestInConfigMap | None, Field(
        description="A key of a ConfigMap of this namespace that holds the manifest; a change of it is rolled out.",
    )] = None
    from_build: Annotated[OnlyTrue | None, Field(
        description="True, the only value, takes the manifest that lies in the context of the build that spec.buildRef "
        "names.")] = None


@dataclass(frozen=True, kw_only=True, config=model(exactly_one("inline", "configMapKeyRef")))
class EnvironmentsSource:
    """The agent's environments.yaml: exactly one of inline and configMapKeyRef."""

    inline: Annotated[InlineText | None, Field(
        description="The text of environments.yaml, at most 262144 characters.")] = None
    config_map_key_ref: Annotated[EnvironmentsInConfigMap | None, Field(
        description="A key of a ConfigMap of this namespace that holds environments.yaml; a change of it is rolled "
        "out.")] = None


@dataclass(frozen=True, kw_only=True, config=model(at_most_one("ttl", "expiresAt")))
class Preview:
    """A deployment beside the production one, which ends by itself."""

    label: Annotated[str | None, Field(
        min_length=1, max_length=30,
        description="Group of the preview, for example `pr-482`, at most 30 characters; reduced to lower-case letters, "
        "digits and hyphens. Default: none.")] = None
    ttl: Annotated[TimeToLive | None, Field(
        description="How long the preview lives, counted from its creation: a duration (h, m, s and ms) between 1s and "
        "8760h, for example `8h`. Without ttl and expiresAt: 8h.")] = None
    expires_at: Annotated[Timestamp | None, Field(
        json_schema_extra={"x-kubernetes-validations": [IN_UTC]},
        description="When the preview ends, in RFC 3339, for example `2027-01-31T18:00:00Z`. Set this or ttl.")] = None
    on_expiry: Annotated[Literal["Retain", "Delete"], Field(
        description="What happens to this resource when the preview has ended: Retain (the default) keeps it, with the "
        "condition Expired; Delete deletes it, unless Argo CD, Flux or Helm own it.")] = "Retain"


@dataclass(frozen=True, kw_only=True, config=model(
    exactly_one("buildRef", "buildID", "image"),
    rule("has(self.preview) == has(oldSelf.preview)",
         "preview cannot be added or removed: a preview and a production deployment are different things; create "
         "another AgentDeployment", "preview", "FieldValueForbidden"),
    rule("!has(self.manifest.fromBuild) || has(self.buildRef)",
         "manifest.fromBuild needs buildRef: only an AgentBuild has a context to read the manifest from",
         "manifest.fromBuild", "FieldValueForbidden"),
))
class AgentDeploymentSpec:
    """What runs, with which configuration, and for how long."""

    account_ref: Annotated[AccountRef | None, Field(
        description="The account to deploy in. Immutable, except that the account in status.account may be added. "
        "Omitted: the AgentexAccount named `default` in this namespace, else the default ClusterAgentexAccount.",
    )] = None
    build_ref: Annotated[BuildToDeploy | None, Field(
        description="AgentBuild of this namespace to deploy; each new image of it is rolled out. Set exactly one of "
        "buildRef, buildID and image.")] = None
    build_id: Annotated[GivenID | None, Field(
        description="Id of a remote build to deploy, for example one from an AgentBuild's status.buildID. Set exactly "
        "one of buildRef, buildID and image.")] = None
    image: Annotated[DeployedImage | None, Field(
        description="Image to deploy, by name and tag. Set exactly one of buildRef, buildID and image.")] = None
    manifest: Annotated[ManifestSource, Field(
        description="The agent's manifest.yaml: exactly one of inline, configMapKeyRef and fromBuild.")]
    environments: Annotated[EnvironmentsSource, Field(
        description="The agent's environments.yaml: exactly one of inline and configMapKeyRef.")]
    environment: Annotated[str | None, Field(
        min_length=1, max_length=63,
        description="The entry of environments.yaml to deploy to, for example `prod`; only this entry is sent. "
        "Omitted: the file is sent as it is, and the remote chooses.")] = None
    preview: Annotated[Preview | None, Field(
        description="Makes this a preview: a deployment beside the production one, which ends by itself; `{}` is a "
        "preview of 8h. Omitted: a production deployment, which supersedes the one before it. Immutable in that "
        "it cannot be added or removed.")] = None
    progress_deadline: Annotated[Duration, Between("1s", "24h"), Field(
        description="How long a rollout may take before it is reported as failed: a duration (h, m, s and ms) between "
        "1s and 24h, for example `20m`, by default 15m.")] = "15m"
    on_external_change: Annotated[Literal["Report", "Correct"], Field(
        description="What to do when somebody else supersedes or deletes the deployment: Report (the default) says so, "
        "Correct deploys again, after a delay that doubles with each time in a row, up to 1h.")] = "Report"
    suspend: Annotated[bool, Field(
        description="True leaves the remote side alone, apart from deletion; its state is still reported. By default "
        "false.")] = False
    deletion_policy: Annotated[Literal["Delete", "Orphan"], Field(
        description="What happens to the remote deployment when this resource is deleted: Delete (the default) removes "
        "it and waits until it is gone, Orphan leaves it running.")] = "Delete"
    adopt: Annotated[AdoptDeployment | None, Field(
        description="An existing remote deployment to take over, instead of a first rollout; by default none. Used "
        "only while the status names no deployment; afterwards it has no effect. Refused while another AgentDeployment "
        "of this cluster holds the deployment.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class DeployEvent:
    """One thing that happened during the rollout, as the remote reports it."""

    type: Annotated[Word | None, Field(description="Kind of event, in the remote's words.")] = None
    reason: Annotated[Word | None, Field(description="Why, in one word.")] = None
    message: Annotated[Sentence | None, Field(description="What happened, at most 512 characters.")] = None
    timestamp: Annotated[Timestamp | None, Field(description="When it happened.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class AgentDeploymentStatus(RemoteStatus):
    """Where the rollout is, and what the operator must not forget."""

    deployment_id: Annotated[RemoteID | None, Field(description="Id of the remote deployment.")] = None
    build_id: Annotated[RemoteID | None, Field(description="Id of the remote build that is deployed.")] = None
    agent_name: Annotated[Word | None, Field(description="Name of the agent, from its manifest.")] = None
    helm_release_name: Annotated[Word | None, Field(description="The Helm release in the agents' cluster.")] = None
    namespace: Annotated[Word | None, Field(description="The namespace in the agents' cluster.")] = None
    expires_at: Annotated[Timestamp | None, Field(description="When the preview ends.")] = None
    last_healthy_deployment_id: Annotated[RemoteID | None, Field(
        description="Id of the last remote deployment that was healthy.")] = None
    events: Annotated[tuple[DeployEvent, ...], Field(
        max_length=10, json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="The last 10 things the remote reported of the rollout.")] = ()
    last_handled_extend_requested_at: Annotated[Word | None, Field(
        description=f"Value of the annotation {EXTEND_REQUESTED_AT} (its first 256 characters) last acted upon.",
    )] = None
    operator: Annotated[DeploymentMemory, Field(description=NOT_FOR_READERS)] = DeploymentMemory()

    @property
    def attempt(self) -> int:
        """How many creates were written down for this resource."""
        return self.operator.attempt

    @property
    def remote_id(self) -> str | None:
        """The id of the recorded remote deployment; None without one."""
        return self.deployment_id

    def with_remote_id(self, remote_id: str | None) -> Self:
        """The status with this remote deployment on record."""
        return replace(self, deployment_id=remote_id)

    def without_progress(self) -> Self:
        """The status without the members that tell how far the rollout is."""
        return replace(self, phase=None, remote_status=None, events=())


@dataclass(frozen=True, kw_only=True, config=model(
    keeps_its_account("the remote deployments live in that account; create another AgentDeployment")))
class AgentDeployment(Resource):
    """A build of an agent, running in an environment: in production, or as a preview that ends by itself. For example:

    apiVersion: agentex.scale.com/v1alpha1
    kind: AgentDeployment
    metadata: {name: quote-bot}
    spec:
      buildRef: {name: quote-bot}
      manifest: {fromBuild: true}
      environments: {configMapKeyRef: {name: quote-bot, key: environments.yaml}}
      environment: prod
    """

    names: ClassVar[Names] = AGENT_DEPLOYMENT
    spec: AgentDeploymentSpec
    status: AgentDeploymentStatus = AgentDeploymentStatus()
