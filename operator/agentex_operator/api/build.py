"""AgentBuild: an image of an agent, built from the inputs it names."""

from dataclasses import replace
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.adoption import AdoptBuild
from agentex_operator.api.images import ImageName, ImageTag
from agentex_operator.api.metadata import REBUILD_REQUESTED_AT, Resource
from agentex_operator.api.operator_memory import NOT_FOR_READERS, BuildMemory
from agentex_operator.api.references import AccountRef, keeps_its_account
from agentex_operator.api.scalars import (
    Between,
    Count,
    Digest,
    Duration,
    Line,
    RelativePath,
    RemoteID,
    Tail,
    Timestamp,
    Url,
    Word,
)
from agentex_operator.api.schema import Names, exactly_one, immutable, model, rule
from agentex_operator.api.sources import BuildSource
from agentex_operator.api.status import RemoteStatus

AGENT_BUILD: Final = Names(kind="AgentBuild", plural="agentbuilds", singular="agentbuild", short="ab")


@dataclass(frozen=True, kw_only=True, config=model())
class ImageTarget:
    """What the built image is called."""

    name: Annotated[ImageName, Field(
        description="Repository name of the image, for example `quote-bot`; the account decides the registry.")]
    tag: Annotated[ImageTag | None, Field(
        description="Tag of the image, for example `v1`. Omitted (recommended), it is derived from the inputs: "
        "another tag for other inputs, so that a tag is never overwritten.")] = None


@dataclass(frozen=True, kw_only=True, repr=False, config=model())
class Context:
    """Where the agent lies in the source, and where the source is seen if the manifest's root lies above it."""

    path: Annotated[RelativePath, Field(
        description="Directory of the agent in the source, for example `agents/quote`; relative, without `..`. The "
        "default `.` is the top.")] = "."
    manifest: Annotated[RelativePath, Field(
        description="The agent's manifest, relative to `path`; by default `manifest.yaml`. It says which files belong "
        "to the build.")] = "manifest.yaml"
    mount_path: Annotated[RelativePath | None, Field(
        description="Directory at which the source is seen if the manifest's `build.context.root` leads above the "
        "source, as the `../` of `agentex init` does, for example `quote_bot`; relative, without `..`. The paths of "
        "the manifest are then resolved from there. Omitted: such that `build.context.dockerfile` names the directory "
        "of the manifest. Not used for a root inside the source.")] = None

    def __repr__(self) -> str:
        """As dataclasses write it; without a mount path that is not set: statuses hold a digest of this text."""
        mount = "" if self.mount_path is None else f", mount_path={self.mount_path!r}"
        return f"{type(self).__name__}(path={self.path!r}, manifest={self.manifest!r}{mount})"


@dataclass(frozen=True, kw_only=True, config=model())
class BuildArg:
    """One build argument."""

    name: Annotated[str, Field(
        min_length=1, max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the ARG in the Dockerfile, for example `PYTHON_VERSION`.")]
    value: Annotated[str, Field(
        max_length=4096,
        description="Its value, for example `3.13`. It is stored and sent as plain text: never a secret.")]


_ANOTHER: Final = "it says whose builds these are; create another AgentBuild"
_IS_BUILT: Final = ("source.image registers an image that is built already: platform and buildArgs have no place "
                    "beside it; leave them out")


@dataclass(frozen=True, kw_only=True, config=model(
    exactly_one("agentName", "agentID"),
    immutable("agentName", _ANOTHER),
    immutable("agentID", _ANOTHER),
    rule("!has(self.source.image) || !has(self.platform)", _IS_BUILT, "platform", "FieldValueForbidden"),
    rule("!has(self.source.image) || !has(self.buildArgs) || self.buildArgs.size() == 0", _IS_BUILT, "buildArgs",
         "FieldValueForbidden"),
))
class AgentBuildSpec:
    """The image that is wanted, and what it is built from."""

    agent_name: Annotated[str | None, Field(
        min_length=1, max_length=63, pattern=r"^[a-z0-9-]+$",
        description="Name of the agent, for example `quote-bot`: lower-case letters, digits and hyphens, at most 63 "
        "characters. An agent that does not exist is created by its first build. Immutable. Set this or agentID.",
    )] = None
    agent_id: Annotated[str | None, Field(
        min_length=1, max_length=128,
        description="Id of an existing agent whose builds cannot be found by name. Immutable. Set this or agentName.",
    )] = None
    account_ref: Annotated[AccountRef | None, Field(
        description="The account to build in. Immutable, except that the account in status.account may be added. "
        "Omitted: the AgentexAccount named `default` in this namespace, else the default ClusterAgentexAccount.",
    )] = None
    image: Annotated[ImageTarget, Field(description="What the built image is called.")]
    source: Annotated[BuildSource, Field(
        description="Where the build context comes from: exactly one of configMapKeyRef, secretKeyRef, http and "
        "image. Other content means another build.")]
    context: Annotated[Context, Field(
        description="Where the agent lies in the source; by default at its top, with the manifest `manifest.yaml`.",
    )] = Context()
    build_args: Annotated[tuple[BuildArg, ...], Field(
        max_length=100, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Build arguments for the Dockerfile, at most 100, each name once. They are plain text remotely: "
        "never secrets. Default: none.")] = ()
    platform: Annotated[Literal["linux/amd64", "linux/arm64", "linux/arm/v7"] | None, Field(
        description="Platform of the image: linux/amd64, linux/arm64 or linux/arm/v7. Omitted: the remote builder "
        "decides.")] = None
    timeout: Annotated[Duration, Between("1s", "24h"), Field(
        description="How long a remote build may take before it is cancelled and counted as timed out: a duration (h, "
        "m, s and ms) between 1s and 24h, for example `45m`, by default 30m.")] = "30m"
    retries: Annotated[int, Field(
        ge=0, le=10, json_schema_extra={"format": "int32"},
        description="How many more builds are tried after one that broke or timed out, 0 to 10, by default 2. A build "
        "whose Dockerfile failed is not tried again.")] = 2
    cancel: Annotated[bool, Field(
        description="True cancels a running build and starts none; false (the default) builds.")] = False
    suspend: Annotated[bool, Field(
        description="True leaves the remote side alone, apart from deletion; a running build goes on and is reported. "
        "By default false.")] = False
    deletion_policy: Annotated[Literal["Delete", "Orphan"], Field(
        description="What happens to a build that still runs when this resource is deleted: Delete (the default) "
        "cancels it and waits for its end, Orphan lets it run. Finished builds and images stay in any case.",
    )] = "Delete"
    adopt: Annotated[AdoptBuild | None, Field(
        description="An existing remote build to take over, instead of a first build; by default none. Used only while "
        "the status names no build; afterwards it has no effect. Refused while another AgentBuild of this cluster "
        "holds the build.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class BuiltImage:
    """The image of the recorded build."""

    name: Annotated[Word | None, Field(description="Repository name of the image.")] = None
    tag: Annotated[Word | None, Field(description="Tag of the image.")] = None
    url: Annotated[Url | None, Field(description="The image's full address, once it exists.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class SourceStatus:
    """What was last read from the source."""

    revision: Annotated[Url | None, Field(description="Which version of the source it was.")] = None
    digest: Annotated[Word | None, Field(description="Digest of the bytes that were read.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class AgentBuildStatus(RemoteStatus):
    """Where the build is, and what the operator must not forget."""

    attempt: Annotated[Count, Field(
        description="How many remote builds were asked for, counted from 1; it never goes back.")] = 0
    build_id: Annotated[RemoteID | None, Field(
        description="Id of the remote build; it can be named in an AgentDeployment's spec.buildID.")] = None
    agent_id: Annotated[RemoteID | None, Field(description="Id of the agent the build belongs to.")] = None
    image: Annotated[BuiltImage | None, Field(description="The image of the recorded build.")] = None
    context_digest: Annotated[Digest | None, Field(
        description="Hash of the staged build context, as the vendor's packager computes it (working_tree_hash).",
    )] = None
    inputs_digest: Annotated[Digest | None, Field(
        description="Digest of everything the image depends on; another one means another build.")] = None
    source: Annotated[SourceStatus | None, Field(description="What was last read from the source.")] = None
    start_time: Annotated[Timestamp | None, Field(description="When the recorded build was created.")] = None
    completion_time: Annotated[Timestamp | None, Field(description="When it was seen to have ended.")] = None
    failure_message: Annotated[Line | None, Field(
        description="The line of the build log that says why the build failed.")] = None
    log_tail: Annotated[Tail | None, Field(
        description="The end of a failed build's log, at most 4096 characters.")] = None
    last_handled_rebuild_requested_at: Annotated[Word | None, Field(
        description=f"Value of the annotation {REBUILD_REQUESTED_AT} (its first 256 characters) last acted upon.",
    )] = None
    operator: Annotated[BuildMemory, Field(description=NOT_FOR_READERS)] = BuildMemory()

    @property
    def remote_id(self) -> str | None:
        """The id of the recorded remote build; None without one."""
        return self.build_id

    def with_remote_id(self, remote_id: str | None) -> Self:
        """The status with this remote build on record."""
        return replace(self, build_id=remote_id)


@dataclass(frozen=True, kw_only=True, config=model(
    keeps_its_account("the remote builds live in that account; create another AgentBuild")))
class AgentBuild(Resource):
    """An image of an agent, built from the inputs that the spec names; again whenever they change. For example:

    apiVersion: agentex.scale.com/v1alpha1
    kind: AgentBuild
    metadata: {name: quote-bot}
    spec:
      agentName: quote-bot
      image: {name: quote-bot}
      source: {configMapKeyRef: {name: quote-bot, key: context.tar.gz}}
    """

    names: ClassVar[Names] = AGENT_BUILD
    spec: AgentBuildSpec
    status: AgentBuildStatus = AgentBuildStatus()
