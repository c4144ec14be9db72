"""Values around the decisions: the operator's times, the account in use, the plan or verdict of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from agentex_operator.api.references import KeyRef
    from agentex_operator.api.scalars import AccountKind
    from agentex_operator.core.reasons import Reason

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's own times (from its settings), the same for every resource."""

    recreate_delay: timedelta = timedelta(seconds=30)   # least time from an unanswered create to the next one
    longest_life: timedelta = timedelta(seconds=660)    # T_max: after it no create of ours can take effect
    missing_grace: timedelta = timedelta(seconds=60)    # a known id must be 404 for this long before it is lost
    expiry_grace: timedelta = timedelta(seconds=30)     # the remote has this long for its own clean-up
    reference_grace: timedelta = timedelta(minutes=2)   # a named object may be missing for this long before we stall
    resync: timedelta = timedelta(minutes=5)            # how often an idle resource is looked at
    reference_resync: timedelta = timedelta(seconds=60) # the same, if it names ConfigMaps or Secrets, or serves
    longest_correction_delay: timedelta = timedelta(hours=1)  # where the delays of `onExternalChange: Correct` end
    undisturbed: timedelta = timedelta(hours=2)         # after so long between two corrections they are counted anew
    skew: timedelta = timedelta(minutes=5)              # how far the remote's clock may be off ours


@dataclass(frozen=True, slots=True)
class UsableAccount:
    """A usable remote account, as the accounts' reconciler last saw it.

    `key_ref`: its API key; None where the Secret is not the tenant's business, as for a ClusterAgentexAccount.
    """

    kind: AccountKind
    name: str
    account_id: str
    endpoint: str
    poll: timedelta
    key_ref: KeyRef | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """A step of a person, as the end of a sentence that begins with "To remove it, ".

    `creates`: the step creates an object in the namespace of the resource. `terminating`: that namespace is being
    deleted, so that nothing can be created in it; None if unknown.
    """

    step: str
    creates: bool = False
    terminating: bool | None = None


@dataclass(frozen=True, slots=True)
class AccountProblem:
    """Why there is no usable account; `reason` is a condition reason, `message` ends with the next step.

    `temporary`: it ends by itself in a moment, so the resource keeps the status it has. `stalled`: the account is
    Stalled, so that a person has to mend it. `remedy`: what makes the account usable for a deletion, if that is known.
    """

    reason: Reason
    message: str
    temporary: bool = False
    stalled: bool = False
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event to emit beside the one that a change of Ready gives."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    message: str


class Progress(Enum):
    """Which of Reconciling and Stalled is present beside Ready (ecosystem.md R5)."""

    SETTLED = "settled"
    RECONCILING = "reconciling"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Fact:
    """A condition of the domain: SourceReady, Succeeded, BuildReady, Deployed, Available, Expired, Suspended."""

    type: str
    status: Truth
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the status shall say of the resource, and when to look again if no event comes first."""

    ready: Truth
    reason: Reason
    message: str
    phase: str
    progress: Progress = Progress.SETTLED
    look_again: timedelta | None = None
    follow: timedelta | None = None  # how often the inventory shall list for this resource; None: not at all
    failed: bool = False             # the pass failed: the engine backs off
    notices: tuple[Notice, ...] = ()


CallT_co = TypeVar("CallT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Plan(Generic[CallT_co]):
    """The one call to make next; with `call` None the pass is over, and the rest says how it ends."""

    call: CallT_co | None
    look_again: timedelta | None = None
    follow: timedelta | None = None
    failed: bool = False
