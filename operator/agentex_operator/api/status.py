"""The status that all kinds share, and how a status is written as JSON."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.metadata import FLUX_RECONCILE, RECONCILE_REQUESTED_AT
from agentex_operator.api.scalars import Count, Digest, Generation, Message, RemoteID, Timestamp, Url, Word
from agentex_operator.api.schema import adapter, model


@dataclass(frozen=True, kw_only=True, config=model())
class Condition:
    """One thing that is true, false or not known of the resource (metav1.Condition)."""

    type: Annotated[str, Field(min_length=1, max_length=316, description="What it speaks of, for example `Ready`.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="True, False or Unknown.")]
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                                 description="Why, in one CamelCase word that programs may rely on.")]
    message: Annotated[Message, Field(description="Why, in a sentence for people, with the next step where one helps.")]
    observed_generation: Annotated[Generation, Field(
        description="The metadata.generation this condition speaks of.")]
    last_transition_time: Annotated[Timestamp, Field(description="When `status` last changed, in RFC 3339.")]


@dataclass(frozen=True, kw_only=True, config=model())
class PendingCreate:
    """A create that was written down before it was sent, and whose answer is not on record."""

    token: Annotated[Word, Field(description="The ownership token by which the remote object is found.")]
    attempt: Annotated[Count, Field(description="Which create this is, counted from 1.")]
    started_at: Annotated[Timestamp, Field(description="When it was written down, right before it was sent.")]
    answer_lost_at: Annotated[Timestamp | None, Field(
        description="When it became clear that its answer would not come; unset while it may.")] = None
    fingerprint: Annotated[Digest | None, Field(
        description="What the remote object looks like if the server dropped the token.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class BoundAccount:
    """The account in which the remote objects of this resource live; kept for good once something was created."""

    kind: Annotated[Word, Field(description="AgentexAccount or ClusterAgentexAccount.")]
    name: Annotated[Word, Field(description="Name of the account resource.")]
    account_id: Annotated[Word, Field(description="The remote account's id.")]
    endpoint: Annotated[Url, Field(description="The remote API it was created through.")]


RemovalReason = Literal["Requested", "TimedOut", "Replaced", "Deleted", "Duplicate", "Expired"]


@dataclass(frozen=True, kw_only=True, config=model())
class Removal:
    """The last removal (the cancellation of a build, the deletion of a deployment) that the operator asked for."""

    id: Annotated[RemoteID, Field(description="Id of the remote object.")]
    reason: Annotated[RemovalReason, Field(
        description="Why: the user asked (Requested), it took too long (TimedOut), its inputs changed (Replaced), the "
        "resource was deleted (Deleted), a lost answer left it behind (Duplicate), or its time was over (Expired).")]
    requested_at: Annotated[Timestamp, Field(description="When it was asked for.")]


@dataclass(frozen=True, kw_only=True, config=model())
class AdoptedObject:
    """A remote object that another resource created, and that this resource took over."""

    id: Annotated[RemoteID, Field(description="Id of the remote object.")]
    owner: Annotated[Word | None, Field(
        description="The owner that the ownership token of the object names; unset where the object was not read.",
    )] = None


@dataclass(frozen=True, kw_only=True, config=model())
class Adoption:
    """The remote objects of another resource that this resource took over, or is about to take over."""

    objects: Annotated[tuple[AdoptedObject, ...], Field(
        max_length=60, json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="The objects that were taken over; they count as objects of this resource.")] = ()
    created_at: Annotated[Timestamp | None, Field(description="When the oldest of them was created.")] = None
    claimed: Annotated[RemoteID | None, Field(
        description="Id of the object that this resource is about to take over. Of several resources that claim one "
        "object, the oldest takes it over.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class Status:
    """What every resource says of itself."""

    observed_generation: Annotated[Generation, Field(
        description="The metadata.generation this status speaks of; -1 until the operator has seen the resource.")] = -1
    phase: Annotated[Word | None, Field(
        description="The state in one word, for people. Programs read the conditions.")] = None
    conditions: Annotated[tuple[Condition, ...], Field(
        max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="What is true of the resource. Ready comes first; Reconciling and Stalled are there only while "
        "they are True.")] = ()
    last_handled_reconcile_at: Annotated[Word | None, Field(
        description=f"Value of the annotation {RECONCILE_REQUESTED_AT} (or {FLUX_RECONCILE}) last acted upon; where a "
        "resource has both, the one and the other with a space between them.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class RemoteStatus(Status):
    """What a resource with a remote object remembers of it: enough to create it once, find it again and remove it."""

    account: Annotated[BoundAccount | None, Field(
        description="The account in which the remote objects live.")] = None
    attempt: Annotated[Count, Field(
        description="How many creates were written down for this resource.")] = 0
    pending_create: Annotated[PendingCreate | None, Field(
        description="The create whose answer is not on record yet.")] = None
    unanswered_create_at: Annotated[Timestamp | None, Field(
        description="When an earlier create was sent whose answer never came; it may still take effect.")] = None
    condemned: Annotated[tuple[RemoteID, ...], Field(
        max_length=50, description="Ids of remote objects that are ours, are not wanted and are being removed.")] = ()
    written_for: Annotated[Word | None, Field(
        description="The uid of the resource that this status was written for. Another uid than that of the resource "
        "itself shows that the status came from a backup.")] = None
    adoption: Annotated[Adoption | None, Field(
        description="The remote objects that were taken over from another resource.")] = None
    removal: Annotated[Removal | None, Field(
        description="The last removal the operator asked for.")] = None
    refused_at: Annotated[Timestamp | None, Field(
        description="When the remote last gave a create a definite no.")] = None
    missing_since: Annotated[Timestamp | None, Field(
        description="Since when the recorded remote object answers 404.")] = None
    remote_status: Annotated[Word | None, Field(
        description="The remote API's own word for the state, for example `running`.")] = None

    @property
    def remote_id(self) -> str | None:
        """The id of the recorded remote object; None without one."""
        return None

    def with_remote_id(self, remote_id: str | None) -> Self:
        """The status with this remote id on record."""
        return self


def status_as_dict(status: Status) -> dict[str, Any]:
    """The status as the API server stores it: without None and empty values, and always with observedGeneration."""
    written: dict[str, Any] = adapter(type(status)).dump_python(status, mode="json", by_alias=True)
    return {**_without_empty(written), "observedGeneration": status.observed_generation}


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(one) for key, one in value.items() if one is not None}
        return {key: one for key, one in kept.items() if one or not isinstance(one, str | list | dict)}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value
