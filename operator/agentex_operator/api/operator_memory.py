"""The operator's memory: what it keeps for itself under `status.operator`, beside what the status says to readers."""

from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.scalars import Count, Digest, Generation, RemoteID, Timestamp, Word
from agentex_operator.api.schema import model

NOT_FOR_READERS: Final = (
    "The operator's own memory, not for readers: its members have no stable shape and may change with each version. "
    "Do not edit it: without it a remote object can be created twice, or be left behind.")


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
class Corrections:
    """How often in a row the deployment was deployed again after somebody else replaced or deleted it."""

    count: Annotated[Count, Field(
        description="How many creates, counted up to the one after which the delay grows no more.")]
    generation: Annotated[Generation, Field(
        description="The metadata.generation in which they were counted; another generation is counted anew.")]


@dataclass(frozen=True, kw_only=True, config=model())
class OperatorMemory:
    """What every kind with a remote object remembers: enough to create it once, find it again and remove it."""

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


@dataclass(frozen=True, kw_only=True, config=model())
class BuildMemory(OperatorMemory):
    """What is remembered of an AgentBuild."""

    retries_used: Annotated[Count, Field(description="How many of spec.retries were used for these inputs.")] = 0
    cancelled_for: Annotated[Literal["Requested", "TimedOut"] | None, Field(
        description="Why the operator cancelled the recorded build: the user asked (Requested), or it took too long "
        "(TimedOut).")] = None
    source_fingerprint: Annotated[Digest | None, Field(
        description="Of the source, its version and spec.context: as long as it stays, the context is not staged anew.",
    )] = None


@dataclass(frozen=True, kw_only=True, config=model())
class DeploymentMemory(OperatorMemory):
    """What is remembered of an AgentDeployment."""

    attempt: Annotated[Count, Field(description="How many creates were written down for this resource.")] = 0
    configuration_digest: Annotated[Digest | None, Field(
        description="Digest of everything that is deployed; another one means another rollout.")] = None
    predecessor_id: Annotated[RemoteID | None, Field(
        description="Id of the remote deployment that serves while this one rolls out.")] = None
    progressing_since: Annotated[Timestamp | None, Field(
        description="When the present rollout began; spec.progressDeadline counts from here.")] = None
    corrections: Annotated[Corrections | None, Field(
        description="How often in a row spec.onExternalChange Correct deployed again; the delay before the next time "
        "grows with the number.")] = None
