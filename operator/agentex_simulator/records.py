"""The records and their status machines: frozen values, pure moves, time passed in (agentex-api.md section 2)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from agentex_simulator.archives import ArchiveFacts
from agentex_simulator.clock import stamp

JsonObject = dict[str, Any]


class _TrueStatus:
    """Marks a record whose status is shown as it is."""


AS_IT_IS: Final = _TrueStatus()
Shown = str | None | _TrueStatus

BUILD_UNFINISHED: Final = frozenset({"queued", "running", "cancelling"})
BUILD_STATUSES: Final = BUILD_UNFINISHED | {
    *("success", "failed", "cancelled", "deleting", "delete_failed", "timed_out", "error", "unknown"),
}
DEPLOYMENT_OVER: Final = frozenset({"deleted", "cancelled", "superseded"})
ROLLING: Final = frozenset({"pending", "in_progress"})


@dataclass(frozen=True)
class Identity:
    """Who created a record."""

    id: str
    type: str = "service_account"

    def wire(self) -> JsonObject:
        """As the API prints it."""
        return {"id": self.id, "type": self.type, "object": "identity"}


@dataclass(frozen=True)
class Agent:
    """A name that is taken; a soft-deleted one stays taken (agentex-api.md section 3)."""

    id: str
    account_id: str
    name: str
    deleted: bool = False


@dataclass(frozen=True)
class Provenance:
    """What the client says about its source, echoed verbatim."""

    source_commit: str | None = None
    source_dirty: bool | None = None
    source_ref: str | None = None
    source_repo: str | None = None
    source_subpath: str | None = None
    working_tree_hash: str | None = None


@dataclass(frozen=True)
class Build:
    """One build; `archive`, `build_args`, `platform` and `copied_from` are known here but never shown by the API."""

    id: str
    account_id: str
    agent_name: str
    agent_id: str
    provider_id: str
    created_at: datetime
    created_by: Identity
    image_name: str
    image_tag: str
    provenance: Provenance = Provenance()
    status: str = "queued"
    image_url: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    archived: bool = False
    shown_status: Shown = AS_IT_IS
    archive: ArchiveFacts | None = None
    build_args: str | None = None
    platform: str | None = None
    copied_from: str | None = None

    @property
    def source_commit(self) -> str | None:
        """For the list filter of that name."""
        return self.provenance.source_commit

    @property
    def working_tree_hash(self) -> str | None:
        """For the list filter of that name."""
        return self.provenance.working_tree_hash


@dataclass(frozen=True)
class Deployment:
    """One deployment; `release` is its Helm release from the start, shown only once healthy."""

    id: str
    account_id: str
    agent_name: str
    build_id: str
    created_at: datetime
    created_by: Identity
    manifest_file: str
    environment_config: str
    namespace: str
    release: str
    status: str = "pending"
    preview: bool = False
    preview_label: str | None = None
    expires_at: datetime | None = None
    events: tuple[JsonObject, ...] = ()
    ever_healthy: bool = False
    archived: bool = False
    shown_status: Shown = AS_IT_IS


@dataclass(frozen=True)
class Secret:
    """A secret's metadata and the digest of its value; the value itself is not kept."""

    id: str
    account_id: str
    key: str
    created_at: datetime
    created_by: Identity
    value_sha256: str
    description: str | None = None
    updated_at: datetime | None = None
    updated_by: str | None = None
    archived: bool = False


def started(build: Build, now: datetime) -> Build:
    """The provider takes it up; only what waits can start."""
    return replace(build, status="running", started_at=now) if build.status == "queued" else build


def finished(build: Build, status: str, now: datetime) -> Build:
    """The provider reports an end. It stands even while cancelling: a cancel may lose the race (section 1.4)."""
    if build.status not in BUILD_UNFINISHED:
        return build
    return replace(build, status=status, started_at=build.started_at or now, ended_at=now)


def cancelling(build: Build) -> Build:
    """The cancel workflow marks it; what is finished or already cancelling stays as it is."""
    return replace(build, status="cancelling") if build.status in {"queued", "running"} else build


def cancelled(build: Build, now: datetime) -> Build:
    """The provider has stopped it, unless it finished first."""
    return replace(build, status="cancelled", ended_at=now) if build.status == "cancelling" else build


def rolling(deployment: Deployment) -> Deployment:
    """The workflow starts the release."""
    return replace(deployment, status="in_progress") if deployment.status == "pending" else deployment


def healthy(deployment: Deployment) -> Deployment:
    """The release is up; what was deleted or superseded meanwhile stays so."""
    return replace(deployment, status="healthy", ever_healthy=True) if deployment.status in ROLLING else deployment


def failed(deployment: Deployment) -> Deployment:
    """The release did not come up, or broke later; it still owns its release."""
    return deployment if deployment.status in DEPLOYMENT_OVER else replace(deployment, status="failed")


def over(deployment: Deployment, status: str) -> Deployment:
    """Deleted, cancelled or superseded: the end of a record's life."""
    return deployment if deployment.status in DEPLOYMENT_OVER else replace(deployment, status=status)


def build_wire(build: Build) -> JsonObject:
    """The response model of agentex-api.md section 1.2."""
    return {
        "id": build.id,
        "account_id": build.account_id,
        "agent_id": build.agent_id,
        "agent_name": build.agent_name,
        "build_status": _shown(build.status, build.shown_status),
        "cloud_provider_build_id": build.provider_id,
        "created_at": stamp(build.created_at),
        "created_by": build.created_by.wire(),
        "image_name": build.image_name,
        "image_tag": build.image_tag,
        "image_url": build.image_url,
        "build_start_time": stamp(build.started_at),
        "build_end_time": stamp(build.ended_at),
        **vars(build.provenance),
        "object": "agentex_cloud_build",
    }


def deployment_wire(deployment: Deployment, status_case: str) -> JsonObject:
    """The response model of agentex-api.md section 1.5; preview, image_name and image_tag are not echoed."""
    true_status = deployment.status.upper() if status_case == "upper" else deployment.status
    return {
        "id": deployment.id,
        "account_id": deployment.account_id,
        "build_id": deployment.build_id,
        "created_at": stamp(deployment.created_at),
        "created_by": deployment.created_by.wire(),
        "deploy_events": list(deployment.events),
        "environment_config": deployment.environment_config,
        "expires_at": stamp(deployment.expires_at),
        "helm_release_name": deployment.release if deployment.ever_healthy else None,
        "manifest_file": deployment.manifest_file,
        "namespace": deployment.namespace,
        "preview_label": deployment.preview_label,
        "status": _shown(true_status, deployment.shown_status),
        "object": "agentex_cloud_deploy",
    }


def secret_wire(secret: Secret) -> JsonObject:
    """The response model of agentex-api.md section 8; the value is never returned."""
    return {
        "id": secret.id,
        "account_id": secret.account_id,
        "key": secret.key,
        "cloud_secret_path": f"sgp/{secret.account_id}/{secret.key}",
        "created_at": stamp(secret.created_at),
        "created_by": secret.created_by.wire(),
        "description": secret.description,
        "updated_at": stamp(secret.updated_at),
        "updated_by": secret.updated_by,
        "object": "sgp_cloud_secret",
    }


def _shown(status: str, shown: Shown) -> str | None:
    return status if isinstance(shown, _TrueStatus) else shown
