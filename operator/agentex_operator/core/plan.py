"""The vocabulary between the decisions and the shell: calls, plans and verdicts, all plain values.

One pass over a resource is a conversation. `decide` looks at what is observed and names one `Call`; the shell makes
it; `settle` folds its outcome (a value, or an ExternalError as a value) back into what is observed; until `decide`
has nothing more to ask. Nothing in here does anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from agentex_operator.api.build import BuildSource, Context
    from agentex_operator.api.references import KeyRef
    from agentex_operator.api.scalars import AccountKind
    from agentex_operator.core.remote import BuildRequest, DeploymentRequest

Truth = Literal["True", "False", "Unknown"]
StatusT = TypeVar("StatusT")


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's own times (settings), the same for every resource."""

    settle: timedelta = timedelta(seconds=30)         # from an unanswered create to the next one
    longest_life: timedelta = timedelta(seconds=660)  # T_max: after it, no create of ours can still commit
    missing_grace: timedelta = timedelta(seconds=60)  # a known id must be 404 for this long before it is lost
    expiry_grace: timedelta = timedelta(seconds=30)   # the remote's own clean-up goes first
    resync: timedelta = timedelta(minutes=5)          # a slow look at what rests
    reference_resync: timedelta = timedelta(seconds=60)  # a slow look at named ConfigMaps, Secrets, live deployments
    skew: timedelta = timedelta(minutes=5)            # how far the remote's clock may be off ours


@dataclass(frozen=True, slots=True)
class Account:
    """A usable remote account, as the accounts' reconciler last saw it."""

    kind: AccountKind
    name: str
    account_id: str
    endpoint: str
    poll: timedelta


@dataclass(frozen=True, slots=True)
class AccountProblem:
    """Why there is no usable account; `reason` is a condition reason, `message` ends with the next step.

    `temporary`: it ends by itself in a moment, so the resource keeps the status it has.
    """

    reason: str
    message: str
    temporary: bool = False


# --- calls to the cluster: every write carries the resourceVersion of the view it was decided on -----------------


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """P1: nothing remote before our finalizer is durable."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """P9: nothing of ours is left, and nothing can come."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event beside the transition of Ready, which is announced by itself."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SaveStatus(Generic[StatusT]):
    """Write the status, if the object is still the one decided on."""

    status: StatusT
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteIntent(Generic[StatusT]):
    """P3 and P7: the conditional write right before a create, or before a removal; `purpose` names which."""

    status: StatusT
    purpose: str


@dataclass(frozen=True, slots=True)
class DeleteSelf:
    """Delete our own resource (preview.onExpiry: Delete)."""


@dataclass(frozen=True, slots=True)
class ReadText:
    """Read one key of a ConfigMap as text. Outcome: str. `live`: read in this pass, not a moment before it."""

    ref: KeyRef
    live: bool = False


@dataclass(frozen=True, slots=True)
class ReadAgentBuild:
    """Read an AgentBuild of the same namespace, as it is now. Outcome: AgentBuild, or None."""

    name: str


# --- calls for the build context ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Revision:
    """Which version of a source there is now."""

    revision: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class ResolveSource:
    """Ask the source for its version: cheap. Outcome: Revision."""

    source: BuildSource


@dataclass(frozen=True, slots=True)
class StageContext:
    """Fetch, check and pack the build context, as it is now: dear. Outcome: StagedContext; the archive is kept."""

    source: BuildSource
    context: Context
    agent_name: str | None


@dataclass(frozen=True, slots=True)
class StagedContext:
    """The version of the source that was staged, and its working tree hash (hex)."""

    revision: Revision
    digest: str


@dataclass(frozen=True, slots=True)
class ReadBuildManifest:
    """Fetch a build's context again for its manifest. Outcome: (working tree hash, manifest text)."""

    source: BuildSource
    context: Context


# --- calls to the remote account ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookForOurs:
    """P4, P7: the records with our token or one of `ids`. Outcome: Listing.

    `fresh_since`: the listing must have begun after it; None takes what the inventory has.
    """

    owner: str
    ids: frozenset[str]
    back_to: datetime
    every: timedelta
    fresh_since: datetime | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """P8: GET one id that a listing did not show. Outcome: a record, or None for a 404."""

    id: str


@dataclass(frozen=True, slots=True)
class ConfirmBuild:
    """GET a build that a deployment names. Outcome: BuildRecord, or None for a 404."""

    id: str


class Agent(Enum):
    """What is known of an agent whose id is not."""

    FREE = "free"  # nobody has it, and we alone may create it now
    BUSY = "busy"  # another resource is creating it


@dataclass(frozen=True, slots=True)
class FindAgent:
    """The id behind an agent's name (agentex-api.md §3). Outcome: its id, or Agent. `live`: ask, do not remember."""

    name: str
    live: bool = False


@dataclass(frozen=True, slots=True)
class CreateBuild:
    """P5: one POST, never retried. Outcome: BuildRecord."""

    request: BuildRequest
    context_digest: str | None


@dataclass(frozen=True, slots=True)
class CreateDeployment:
    """P5: one POST, never retried. Outcome: DeploymentRecord."""

    request: DeploymentRequest


@dataclass(frozen=True, slots=True)
class Remove:
    """Cancel a build, delete a deployment. Outcome: None; what became of it is for the next listing to say."""

    id: str


@dataclass(frozen=True, slots=True)
class ReadLogTail:
    """The last lines of a failed build's log. Outcome: tuple[str, ...]."""

    id: str


@dataclass(frozen=True, slots=True)
class ProbeAccount:
    """One cheap authenticated call. Outcome: None."""


@dataclass(frozen=True, slots=True)
class ReadKey:
    """Read the API key and give it to the account's session. Outcome: True if it differs from the one in use."""

    ref: KeyRef


ClusterCall = AddFinalizer | RemoveFinalizer | SaveStatus[StatusT] | WriteIntent[StatusT] | DeleteSelf
CommonCall = LookForOurs | Confirm | Remove
Mutation = (CreateBuild, CreateDeployment, Remove)


# --- what decide answers ------------------------------------------------------------------------------------------


class Progress(Enum):
    """Which of the abnormal-true conditions stands beside Ready (ecosystem.md R5)."""

    SETTLED = "settled"
    RECONCILING = "reconciling"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Fact:
    """A condition of the domain: SourceReady, Succeeded, BuildReady, Deployed, Available, Expired, Suspended."""

    type: str
    status: Truth
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to say of the resource, and when to look again if nothing wakes us."""

    ready: Truth
    reason: str
    message: str
    phase: str
    progress: Progress = Progress.SETTLED
    look_again: timedelta | None = None
    follow: timedelta | None = None  # how often the inventory shall look at our remote; None: no need
    failed: bool = False             # this attempt failed: the engine backs off
    notices: tuple[Notice, ...] = ()


CallT = TypeVar("CallT")


@dataclass(frozen=True, slots=True)
class Plan(Generic[CallT]):
    """The one call to make next; or None, and then the rest says how the pass ends."""

    call: CallT | None
    look_again: timedelta | None = None
    follow: timedelta | None = None
    failed: bool = False
