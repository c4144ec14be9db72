"""AgentBuild: "an image of this agent, built from these inputs, exists"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from dataclasses import replace
from pydantic import Field
from pydantic.dataclasses import dataclass

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

AgentName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9-]+$")]
Url = Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^https?://[^\s]+$")]
Tag = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
RelativePath = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^/]")]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class ImageName:
    """How the built image is called."""

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-z0-9]+([._/-]+[a-z0-9]+)*$", description="Name of the image in the account's registry, for example quote-bot.")]
    tag: Annotated[Tag | None, Field(description="Tag of the image. Leave it out (recommended) and an immutable tag is derived from the inputs.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class SecretName:
    """Names a Secret in the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret, in the same namespace.")]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class HttpSource:
    """A tar.gz behind a URL."""

    url: Annotated[Url, Field(description="Address of the tar.gz; https, and a public address unless the operator allows the host.")]
    digest: Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$", description="Digest of the archive's bytes, for example sha256:9f86…; nothing else is built.")]
    secret_ref: Annotated[SecretName | None, Field(description="Secret with username and password, or token, to fetch it with.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class ImageSource:
    """An image that exists already."""

    url: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^[^\s]+$", description="Tagged image to register, for example registry.example/quote-bot:1.")]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class BuildSource:
    """Where the build context comes from: exactly one of these."""

    config_map: Annotated[KeyRef | None, Field(description="Key of a ConfigMap's binaryData that holds a small tar.gz.")] = None
    secret: Annotated[KeyRef | None, Field(description="Key of a Secret that holds a small tar.gz.")] = None
    http: Annotated[HttpSource | None, Field(description="A tar.gz behind a URL, pinned by its digest.")] = None
    image: Annotated[ImageSource | None, Field(description="An existing image to register; nothing is built.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Context:
    """Where the agent lies in the source."""

    path: Annotated[RelativePath, Field(description="Directory of the agent in the source, relative, without '..'. Defaults to '.', the top.")] = "."
    manifest: Annotated[RelativePath, Field(description="Manifest file, relative to path. Defaults to manifest.yaml.")] = "manifest.yaml"


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class BuildArg:
    """One Docker build argument."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the argument.")]
    value: Annotated[str, Field(max_length=4096, description="Value of the argument. Plain text to the remote: never a secret.")]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AgentBuildSpec:
    """What is to be built."""

    agent_name: Annotated[AgentName | None, Field(description="Name of the agent, for example quote-bot; created by its first build. Immutable. Exactly one of agentName and agentID.")] = None
    agent_id: Annotated[RemoteId | None, Field(description="Id of an existing agent whose builds this account cannot list. Immutable. Exactly one of agentName and agentID.")] = None
    account_ref: Annotated[AccountRef | None, Field(description="Account to build in. Left out, the AgentexAccount named default of the namespace, else the default ClusterAgentexAccount. Immutable.")] = None
    image: Annotated[ImageName, Field(description="How the image is called.")]
    source: Annotated[BuildSource, Field(description="Where the build context comes from: exactly one of configMap, secret, http and image.")]
    context: Annotated[Context, Field(description="Where the agent lies in the source; staged as the vendor's packager does.")] = Context()
    build_args: Annotated[tuple[BuildArg, ...], Field(max_length=100, description="Docker build arguments. Plain text to the remote: never secrets.", json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})] = ()
    platform: Annotated[Literal["linux/amd64", "linux/arm64", "linux/arm/v7"] | None, Field(description="Platform to build for. Left out, the remote's own.")] = None
    timeout: Annotated[Duration, Field(description="How long one attempt may take before it is cancelled. Defaults to 30m.")] = "30m"
    retries: Annotated[int, Field(ge=0, le=10, description="Extra attempts after an attempt that ended as error or timed out; a failed build is not retried. Defaults to 2.")] = 2
    cancel: Annotated[bool, Field(description="True cancels the running build and starts none. Defaults to false.")] = False
    suspend: Annotated[bool, Field(description="True watches the remote build but starts and stops nothing. Defaults to false.")] = False
    deletion_policy: Annotated[Literal["Cancel", "Orphan"], Field(description="What happens to a running build when this is deleted: Cancel (and wait for its end) or Orphan (leave it). Defaults to Cancel.")] = "Cancel"


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class BuiltImage:
    """The image as the remote named it."""

    name: Annotated[str, Field(max_length=255, description="Name of the image.")]
    tag: Annotated[str, Field(max_length=128, description="Tag of the image.")]
    url: Annotated[str | None, Field(max_length=2048, description="Full address of the image, once built.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class SourceStatus:
    """Which version of the source was staged."""

    revision: Annotated[str, Field(max_length=2048, description="Version of the source.")]
    digest: Annotated[str | None, Field(max_length=128, description="Digest of the archive, where the source has one.")] = None
    fingerprint: Annotated[str | None, Field(max_length=64, description="Digest of source, version, path and manifest: what the staged context depends on.")] = None


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AgentBuildStatus(RemoteStatus):
    """What is known of the build."""

    build_id: Annotated[RemoteId | None, Field(description="Remote id of the build.")] = None
    agent_id: Annotated[RemoteId | None, Field(description="Remote id of the agent.")] = None
    image: Annotated[BuiltImage | None, Field(description="Image of the newest attempt.")] = None
    context_digest: Annotated[str | None, Field(max_length=64, description="working_tree_hash of the staged context.")] = None
    inputs_digest: Annotated[str | None, Field(max_length=64, description="Digest of everything that makes the image; another digest is another build.")] = None
    source: Annotated[SourceStatus | None, Field(description="Version of the source that was staged.")] = None
    retries_used: Annotated[int, Field(description="Extra attempts made for these inputs.")] = 0
    start_time: Annotated[Timestamp | None, Field(description="When the newest attempt was created.")] = None
    completion_time: Annotated[Timestamp | None, Field(description="When the newest attempt was seen to have ended.")] = None
    failure_message: Annotated[str | None, Field(max_length=1024, description="Line of the log that says why the build failed.")] = None
    log_tail: Annotated[str | None, Field(max_length=4096, description="Last lines of a failed build's log.")] = None
    last_handled_rebuild_at: Annotated[str | None, Field(max_length=256, description="Value of the newest rebuild annotation that was acted upon.")] = None

    @property
    def remote_id(self) -> str | None:
        """The id of the remote build."""
        return self.build_id

    def with_remote_id(self, remote_id: str | None) -> AgentBuildStatus:
        """The status with another remote build on record."""
        return replace(self, build_id=remote_id)


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AgentBuild:
    """One AgentBuild."""

    meta: Meta
    spec: AgentBuildSpec
    status: AgentBuildStatus

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> AgentBuild:
        """The typed resource. Raises ValidationError where it does not fit."""
        return cls(
            meta=Meta.parse(obj),
            spec=adapter(AgentBuildSpec).validate_python(obj.get("spec") or {}),
            status=adapter(AgentBuildStatus).validate_python(obj.get("status") or {}),
        )
