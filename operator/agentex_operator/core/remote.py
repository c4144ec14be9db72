"""Remote objects as values: what a listing or a GET of the Agentex API says, in the operator's own words.

The states unite the vendor's differing vocabularies (agentex-api.md §2); an unknown word is UNKNOWN and never terminal
(§2.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from datetime import datetime


class RemoteState(Enum):
    """Where a remote build or deployment is in its life."""

    WAITING = "waiting"        # build queued; deployment pending
    RUNNING = "running"        # build running; deployment in_progress or running
    LEAVING = "leaving"        # build cancelling or deleting: on its way out, may still win a race
    SUCCEEDED = "succeeded"    # build success; deployment healthy or completed
    FAILED = "failed"          # build failed; deployment failed (still owns a release)
    ERRORED = "errored"        # build error: the provider's fault, worth another attempt
    TIMED_OUT = "timed_out"    # build timed_out
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # a newer production deployment took the Helm release
    DELETED = "deleted"        # deployment deleted; build delete_failed or gone: its image is not to be trusted
    UNKNOWN = "unknown"        # a word nobody told us; treated as still running


BUILD_STATES = {
    "queued": RemoteState.WAITING,
    "running": RemoteState.RUNNING,
    "cancelling": RemoteState.LEAVING,
    "deleting": RemoteState.LEAVING,
    "success": RemoteState.SUCCEEDED,
    "failed": RemoteState.FAILED,
    "error": RemoteState.ERRORED,
    "timed_out": RemoteState.TIMED_OUT,
    "cancelled": RemoteState.CANCELLED,
    "delete_failed": RemoteState.DELETED,
}

DEPLOYMENT_STATES = {
    "pending": RemoteState.WAITING,
    "in_progress": RemoteState.RUNNING,
    "running": RemoteState.RUNNING,
    "healthy": RemoteState.SUCCEEDED,
    "completed": RemoteState.SUCCEEDED,
    "failed": RemoteState.FAILED,
    "cancelled": RemoteState.CANCELLED,
    "superseded": RemoteState.SUPERSEDED,
    "deleted": RemoteState.DELETED,
}


def build_state(word: object) -> RemoteState:
    """Fold a `build_status` as the wire has it (any type, any case) into a state."""
    return BUILD_STATES.get(word.lower() if isinstance(word, str) else "", RemoteState.UNKNOWN)


def deployment_state(word: object) -> RemoteState:
    """Fold a deployment `status` as the wire has it (any type, any case) into a state."""
    return DEPLOYMENT_STATES.get(word.lower() if isinstance(word, str) else "", RemoteState.UNKNOWN)


class RemoteRecord(Protocol):
    """What every remote object has, of whatever kind. `created_at` is aware UTC, `raw_status` is the vendor's word."""

    @property
    def id(self) -> str:
        """The id that the remote API gave it."""
        ...

    @property
    def state(self) -> RemoteState:
        """Where it is in its life."""
        ...

    @property
    def raw_status(self) -> str:
        """The remote API's own word for the state."""
        ...

    @property
    def created_at(self) -> datetime:
        """When the remote API created it."""
        ...


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """One remote build (agentex-api.md §1.2); times are aware UTC, `raw_status` is the vendor's word."""

    id: str
    state: RemoteState
    raw_status: str
    created_at: datetime
    agent_name: str
    agent_id: str | None
    image_name: str
    image_tag: str
    image_url: str | None = None
    source_ref: str | None = None
    working_tree_hash: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeployEvent:
    """One entry of `deploy_events` (agentex-api.md §1.5)."""

    type: str
    reason: str
    message: str
    timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """One remote deployment (agentex-api.md §1.5).

    `token` is the ownership comment found in the first line of `manifest_file`, or None. `fingerprint` is the
    digest of the parsed manifest and environments (`core.fingerprint.configuration_fingerprint`), kept only where
    there is no token: the server is documented, not proven, to echo the text verbatim.
    """

    id: str
    state: RemoteState
    raw_status: str
    created_at: datetime
    namespace: str
    build_id: str | None = None
    token: str | None = None
    fingerprint: str | None = None
    helm_release_name: str | None = None
    preview_label: str | None = None
    expires_at: datetime | None = None    # None: a production deployment (agentex-api.md §1.5)
    events: tuple[DeployEvent, ...] = ()
    agent_name: str | None = None         # read by a GET only, from the manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What one POST /v5/builds sends, beside the archive (agentex-api.md §1.2).

    Exactly one of `agent_name` and `agent_id`. `image_url` registers an existing image: no archive, no `build_args`,
    no `platform`. `build_args` are (name, value) pairs, and plain text to the remote.
    """

    image_name: str
    image_tag: str
    agent_name: str | None = None
    agent_id: str | None = None
    build_args: tuple[tuple[str, str], ...] = ()
    platform: str | None = None
    working_tree_hash: str | None = None
    source_ref: str | None = None
    source_commit: str | None = None
    image_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """What one POST /v5/agentex/deployments sends (agentex-api.md §1.5).

    Either `build_id`, or `image_name` and `image_tag`. `preview_label` and `expires_at` (aware) with `preview` only.
    """

    manifest_file: str
    environment_config: str
    build_id: str | None = None
    image_name: str | None = None
    image_tag: str | None = None
    preview: bool = False
    preview_label: str | None = None
    expires_at: datetime | None = None


Record = TypeVar("Record", bound=RemoteRecord)
Record_co = TypeVar("Record_co", bound=RemoteRecord, covariant=True)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Record_co]):
    """What one newest-first listing of an account showed of one resource's remote objects.

    `began_at`: our clock when its first page was asked for; nothing younger can be ruled out by it.
    `reaches_back_to`: the creation time down to which it is complete; None means to the very first.
    `records`: those that carry our ownership token or one of the asked-for ids, oldest first.
    """

    began_at: datetime
    reaches_back_to: datetime | None
    records: tuple[Record_co, ...]
