"""The vendor's models of manifest.yaml and environments.yaml, by the vendor's rules (agentex-api.md §4).

They mirror scale-agentex-python `agentex/config`: unknown keys are ignored, and types are as lenient as there. What the
server checks only after an upload is checked here before it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class VendorModel(BaseModel):
    """A model of the vendor's: frozen; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class VendorBuildContext(VendorModel):
    """`build.context` of a manifest."""

    root: str
    include_paths: list[str] = []
    dockerfile: str
    dockerignore: str | None = None


class VendorBuild(VendorModel):
    """`build` of a manifest."""

    context: VendorBuildContext


class VendorWorkflow(VendorModel):
    """One Temporal workflow."""

    name: str
    queue_name: str


class VendorTemporal(VendorModel):
    """`agent.temporal` of a manifest."""

    enabled: bool = False
    workflow: VendorWorkflow | None = None
    workflows: Annotated[list[VendorWorkflow], Field(min_length=1)] | None = None
    health_check_port: int | None = None


class VendorAgent(VendorModel):
    """`agent` of a manifest."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    acp_type: Literal["sync", "async", "agentic"]
    agent_input_type: Literal["text", "json"] | None = None
    description: str
    env: dict[str, str] | None = None
    credentials: list[dict[str, Any]] | None = None
    temporal: VendorTemporal | None = None


class VendorLocalAgent(VendorModel):
    """`local_development.agent` of a manifest."""

    port: Annotated[int, Field(gt=0, lt=65536)]
    host_address: str = ""


class VendorLocalPaths(VendorModel):
    """`local_development.paths` of a manifest."""

    acp: str = ""
    worker: str | None = None


class VendorLocalDevelopment(VendorModel):
    """`local_development` of a manifest."""

    agent: VendorLocalAgent
    paths: VendorLocalPaths | None = None


class VendorImage(VendorModel):
    """`deployment.image` of a manifest."""

    repository: str
    tag: str = "latest"


class VendorPullSecret(VendorModel):
    """One of `deployment.imagePullSecrets`."""

    name: str


class VendorAmounts(VendorModel):
    """Amounts of CPU and memory."""

    cpu: str = ""
    memory: str = ""


class VendorResources(VendorModel):
    """`deployment.global.resources` of a manifest."""

    requests: VendorAmounts = VendorAmounts()
    limits: VendorAmounts = VendorAmounts()


class VendorGlobal(VendorModel):
    """`deployment.global` of a manifest."""

    agent: dict[str, str] = {}
    replica_count: Annotated[int, Field(alias="replicaCount")] = 1
    resources: VendorResources = VendorResources()


class VendorDeployment(VendorModel):
    """`deployment` of a manifest."""

    image: VendorImage
    image_pull_secrets: Annotated[list[VendorPullSecret] | None, Field(alias="imagePullSecrets")] = None
    everywhere: Annotated[VendorGlobal, Field(alias="global")] = VendorGlobal()


class VendorManifest(VendorModel):
    """A whole manifest.yaml."""

    build: VendorBuild
    agent: VendorAgent
    local_development: VendorLocalDevelopment | None = None
    deployment: VendorDeployment | None = None


class VendorAuth(VendorModel):
    """`auth` of an environment."""

    principal: dict[str, Any]


class VendorKubernetes(VendorModel):
    """`kubernetes` of an environment."""

    namespace: str


class VendorRegistry(VendorModel):
    """`oci_registry` of an environment."""

    url: str
    provider: Literal["gar"] | None = None
    chart_version: str | None = None


class VendorEnvironment(VendorModel):
    """One entry of `environments` in environments.yaml."""

    kubernetes: VendorKubernetes | None = None
    environment: str | None = None
    auth: VendorAuth
    helm_repository_name: str = ""
    helm_repository_url: str = ""
    oci_registry: VendorRegistry | None = None
    helm_overrides: dict[str, Any] = {}
