"""The status that all kinds share, and how a status is written as JSON."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.metadata import FLUX_RECONCILE, RECONCILE_REQUESTED_AT, Meta
from agentex_operator.api.operator_memory import NOT_FOR_READERS, OperatorMemory
from agentex_operator.api.scalars import Generation, Message, Timestamp, Url, Word
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
class BoundAccount:
    """The account in which the remote objects of this resource live; kept for good once something was created."""

    kind: Annotated[Word, Field(description="AgentexAccount or ClusterAgentexAccount.")]
    name: Annotated[Word, Field(description="Name of the account resource.")]
    account_id: Annotated[Word, Field(description="The remote account's id.")]
    endpoint: Annotated[Url, Field(description="The remote API it was created through.")]


@dataclass(frozen=True, kw_only=True, config=model())
class Status:
    """What every resource says of itself."""

    observed_generation: Annotated[Generation, Field(
        description="The metadata.generation this status speaks of; -1 until the operator has seen the resource.")] = -1
    phase: Annotated[Word | None, Field(
        description="The state in one word, for people. Unstable: the words may change with each version; programs "
        "read the conditions.")] = None
    conditions: Annotated[tuple[Condition, ...], Field(
        max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="What is true of the resource. Ready comes first; Reconciling and Stalled are there only while "
        "they are True.")] = ()
    last_handled_reconcile_at: Annotated[Word | None, Field(
        description=f"Value of the annotation {FLUX_RECONCILE} (its first 256 characters) last acted upon.")] = None
    last_handled_reconcile_requested_at: Annotated[Word | None, Field(
        description=f"Value of the annotation {RECONCILE_REQUESTED_AT} (its first 256 characters) last acted upon.",
    )] = None

    def has_handled_reconcile(self, meta: Meta) -> bool:
        """Whether every request for a reconcile in these annotations is acknowledged."""
        return (meta.flux_requested_at in (None, self.last_handled_reconcile_at)
                and meta.reconcile_requested_at in (None, self.last_handled_reconcile_requested_at))

    def handling_reconcile(self, meta: Meta) -> Self:
        """The status that acknowledges the requests for a reconcile in these annotations."""
        if self.has_handled_reconcile(meta):
            return self
        ours = meta.reconcile_requested_at or self.last_handled_reconcile_requested_at
        return replace(self, last_handled_reconcile_at=meta.flux_requested_at or self.last_handled_reconcile_at,
                       last_handled_reconcile_requested_at=ours)


@dataclass(frozen=True, kw_only=True, config=model())
class RemoteStatus(Status):
    """What a resource with a remote object says of it, and remembers: enough to find it again and remove it."""

    account: Annotated[BoundAccount | None, Field(
        description="The account in which the remote objects live.")] = None
    remote_status: Annotated[Word | None, Field(
        description="The remote API's own word for the state, for example `running`.")] = None
    operator: Annotated[OperatorMemory, Field(description=NOT_FOR_READERS)] = OperatorMemory()

    @property
    def attempt(self) -> int:
        """How many creates were written down for this resource."""
        return 0

    @property
    def remote_id(self) -> str | None:
        """The id of the recorded remote object; None without one."""
        return None

    def with_remote_id(self, remote_id: str | None) -> Self:
        """The status with this remote id on record."""
        return self

    def without_progress(self) -> Self:
        """The status without the members that tell how far the remote object is on its way."""
        return replace(self, phase=None, remote_status=None)


def status_as_dict(status: Status) -> dict[str, Any]:
    """The status as the API server stores it: without None and empty values, and always with observedGeneration.

    Of the operator's memory, only what differs from the default is there: no memory is no member.
    """
    written: dict[str, Any] = adapter(type(status)).dump_python(status, mode="json", by_alias=True)
    if isinstance(status, RemoteStatus):
        written["operator"] = adapter(type(status.operator)).dump_python(status.operator, mode="json", by_alias=True,
                                                                         exclude_defaults=True)
    return {**_without_empty(written), "observedGeneration": status.observed_generation}


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(one) for key, one in value.items() if one is not None}
        return {key: one for key, one in kept.items() if one or not isinstance(one, str | list | dict)}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value
