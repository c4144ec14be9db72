"""The calls that the decisions ask the shell to make: one class each, which declares the type of its outcome.

A pass is a conversation: `decide` names one call, the shell makes it, and `settle` folds its outcome, or an
ExternalError as a value, into the observed state. Nothing here does anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from agentex_operator.api.build import AgentBuild
from agentex_operator.api.metadata import Meta
from agentex_operator.api.status import RemoteStatus
from agentex_operator.core.account_hold import BoundResource
from agentex_operator.core.holders import Holder
from agentex_operator.core.remote import BuildRecord, DeploymentRecord, Listing, Record, Record_co, RemoteRecord

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.api.build import Context
    from agentex_operator.api.operator_memory import RemovalReason
    from agentex_operator.api.references import KeyRef
    from agentex_operator.api.sources import BuildSource
    from agentex_operator.api.status import Status
    from agentex_operator.core.plan import Notice
    from agentex_operator.core.remote import BuildRequest, DeploymentRequest

OutcomeT_co = TypeVar("OutcomeT_co", covariant=True)
StatusT_co = TypeVar("StatusT_co", bound="Status", covariant=True)
RemoteStatusT = TypeVar("RemoteStatusT", bound=RemoteStatus)


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one call. Only `Call.answer` makes one, so that its type was checked against the call."""

    outcome: object


class Call(Generic[OutcomeT_co]):
    """One thing to do outside, as a value. `OutcomeT_co` is the type of a successful outcome."""

    __slots__ = ()

    def answer(self, outcome: OutcomeT_co) -> Answer:  # type: ignore[misc]  # the call is known where it is answered
        """The outcome of this call, for the shell to return."""
        return Answer(outcome)

    def read(self, outcome: object) -> OutcomeT_co:
        """The outcome of this call with its declared type; `answer` checked it where it was made."""
        return cast("OutcomeT_co", outcome)


# --- calls to the cluster: every write carries the resourceVersion of the view that was decided on -----------------


@dataclass(frozen=True, slots=True)
class AddFinalizer(Call[Meta]):
    """P1: nothing remote is created before our finalizer is durable."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer(Call[Meta]):
    """P9: nothing of ours is left, and no unanswered create can take effect any more."""


@dataclass(frozen=True, slots=True)
class SaveStatus(Call[Meta], Generic[StatusT_co]):
    """Write the status, if the object is still the one decided on; then emit `notices` as Events."""

    status: StatusT_co
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteIntent(Call[Meta], Generic[StatusT_co]):
    """P3 and P7: the conditional write right before a create, or before a removal; `purpose` names which."""

    status: StatusT_co
    purpose: str


@dataclass(frozen=True, slots=True)
class DeleteSelf(Call[None]):
    """Delete our own resource (preview.onExpiry: Delete)."""


@dataclass(frozen=True, slots=True)
class ReadText(Call[str]):
    """Read one key of a ConfigMap as text. `live`: the read began in this pass; otherwise it may be 2 s old."""

    ref: KeyRef
    live: bool = False


@dataclass(frozen=True, slots=True)
class ReadAgentBuild(Call[AgentBuild | None]):
    """Read an AgentBuild of the same namespace from the API server; None where there is none."""

    name: str


# --- calls for the build context ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Revision:
    """The present version of a source; `digest` is `sha256:<hex>` of its bytes where it is known.

    `due`: the time until a source with an interval is to be looked at again; None for any other.
    """

    revision: str
    digest: str | None = None
    due: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ResolveSource(Call[Revision]):
    """Ask the source for its present version: cheap, made in every pass. `live`: as in ReadText."""

    source: BuildSource
    live: bool = False


@dataclass(frozen=True, slots=True)
class StagedContext:
    """The version of the source that was staged, and the working tree hash (hex) of the result."""

    revision: Revision
    digest: str


@dataclass(frozen=True, slots=True)
class StageContext(Call[StagedContext]):
    """Fetch, check and pack the build context as it is now: expensive. The shell keeps the archive for the create."""

    source: BuildSource
    context: Context
    agent_name: str | None


@dataclass(frozen=True, slots=True)
class ReadBuildManifest(Call[tuple[str, str]]):
    """Fetch a build's context again for its manifest. Outcome: working tree hash (hex), manifest text."""

    source: BuildSource
    context: Context


# --- calls to the remote account ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookForOurs(Call[Listing[Record_co]]):
    """P4, P7: list the records with our ownership token or with one of `ids`.

    `fresh_since`: the listing must have begun at that time or later; None accepts what the inventory has.
    """

    owner: str
    ids: frozenset[str]
    back_to: datetime
    every: timedelta
    fresh_since: datetime | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Confirm(Call[Record_co | None]):
    """P8: GET one id that a listing did not show; None for a 404."""

    id: str


@dataclass(frozen=True, slots=True)
class ReadCandidate(Call[Record_co | None]):
    """GET a remote object that is to be taken over; None for a 404."""

    id: str


@dataclass(frozen=True, slots=True)
class FindHolders(Call[tuple[Holder, ...]]):
    """Find the other resources of this kind and cluster that hold or claim one of these remote objects.

    `owner`: the owner that the object's token names; None without a token. `live`: read from the API server, by a
    request that is sent after the call is made; otherwise from the cache.
    """

    ids: frozenset[str]
    owner: str | None
    live: bool


@dataclass(frozen=True, slots=True)
class ConfirmBuild(Call[BuildRecord | None]):
    """GET a build that a deployment names; None for a 404."""

    id: str


class Agent(Enum):
    """The state of an agent's name that has no known id."""

    FREE = "free"  # no agent has this name, and this resource alone may create it now
    BUSY = "busy"  # another resource is creating it


@dataclass(frozen=True, slots=True)
class FindAgent(Call[str | Agent]):
    """Find the id of an agent's name (agentex-api.md §3). `live`: ask the remote API, use nothing remembered."""

    name: str
    live: bool = False


class Create(Call[Record_co]):
    """P5: one POST of a remote object, never retried. Base of the creates of all kinds."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CreateBuild(Create[BuildRecord]):
    """One POST of a build."""

    request: BuildRequest
    context_digest: str | None


@dataclass(frozen=True, slots=True)
class CreateDeployment(Create[DeploymentRecord]):
    """One POST of a deployment."""

    request: DeploymentRequest


@dataclass(frozen=True, slots=True)
class Remove(Call[None]):
    """Cancel a build, delete a deployment; the next listing tells the result. `reason`: for the log."""

    id: str
    reason: RemovalReason


@dataclass(frozen=True, slots=True)
class ReadLogTail(Call[tuple[str, ...]]):
    """Read the last lines of a failed build's log."""

    id: str


@dataclass(frozen=True, slots=True)
class ProbeAccount(Call[None]):
    """Make one cheap authenticated call."""


@dataclass(frozen=True, slots=True)
class ListAccountHolders(Call[tuple[BoundResource, ...]]):
    """List the resources that hold this account, live from the API server: a cache may lag behind another replica."""


@dataclass(frozen=True, slots=True)
class ReadKey(Call[bool]):
    """Read the API key and give it to the account's session; True if it differs from the one in use."""

    ref: KeyRef


WriteCall = AddFinalizer | RemoveFinalizer | SaveStatus[StatusT_co] | WriteIntent[StatusT_co] | DeleteSelf
CommonCall = (AddFinalizer | RemoveFinalizer | SaveStatus[RemoteStatusT] | WriteIntent[RemoteStatusT] | DeleteSelf |
              LookForOurs[Record] | Confirm[Record] | ReadCandidate[Record] | FindHolders | Remove)
AnyCommonCall = CommonCall[RemoteStatus, RemoteRecord]
AnyWriteCall = WriteCall["Status"]
