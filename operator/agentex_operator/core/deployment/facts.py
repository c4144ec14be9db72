"""The conditions of the domain of an AgentDeployment: BuildReady, Deployed, Available, Expired, Suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.core import expiry, reasons
from agentex_operator.core.deployment import build_ref, records
from agentex_operator.core.plan import Fact
from agentex_operator.core.remote import RemoteState

if TYPE_CHECKING:
    from agentex_operator.core.deployment.observed import Observed

GONE: Final = {RemoteState.DELETED: reasons.DELETED, RemoteState.CANCELLED: reasons.CANCELLED,
               RemoteState.SUPERSEDED: reasons.SUPERSEDED}  # the reason of Deployed for each state of records.DEAD


def facts_of(observed: Observed) -> tuple[Fact, ...]:
    """BuildReady, Deployed, Available; Expired and Suspended while they are."""
    wished = observed.spec.preview.expires_at if observed.spec.preview else None
    ends = expiry.stamp(observed.status.expires_at or wished)
    is_over = observed.expired_at_start or observed.past_before_its_create
    expired = (Fact("Expired", "True", reasons.EXPIRED, f"The preview ended at {ends}."),)
    suspended = (Fact("Suspended", "True", reasons.SUSPENDED, "spec.suspend is true; nothing is changed."),)
    return (_build_ready(observed), _deployed(observed), _available(observed),
            *(expired if is_over else ()), *(suspended if observed.spec.suspend else ()))


def _build_ready(observed: Observed) -> Fact:
    """Whether the build to deploy exists and succeeded."""
    trouble = build_ref.build_trouble(observed)
    if trouble is None:
        return Fact("BuildReady", "True", reasons.SUCCEEDED, "The build can be deployed.")
    return Fact("BuildReady", "False", trouble.reason, trouble.message)


def _deployed(observed: Observed) -> Fact:
    """Whether the wanted configuration was rolled out."""
    state = observed.state
    if state is RemoteState.SUCCEEDED and observed.is_current:
        return Fact("Deployed", "True", reasons.SUCCEEDED, "The wanted configuration is rolled out.")
    if state is RemoteState.FAILED:
        return Fact("Deployed", "False", reasons.DEPLOYMENT_FAILED, "The rollout failed.")
    if observed.past_before_its_create:
        return Fact("Deployed", "False", reasons.EXPIRED, "The preview ended before its deployment was created.")
    if state in records.DEAD:
        return Fact("Deployed", "False", reasons.DELETING if observed.meta.deleting else GONE[state],
                    f"The remote deployment is {state.value}.")
    return Fact("Deployed", "Unknown", reasons.PROGRESSING, "The rollout has not ended yet.")


def _available(observed: Observed) -> Fact:
    """Whether a revision serves: the one on record, or its predecessor (ecosystem.md R9)."""
    if observed.expired_at_start or observed.has_ended or observed.past_before_its_create:
        return Fact("Available", "False", reasons.EXPIRED, "The preview has ended.")
    if observed.state is RemoteState.SUCCEEDED:
        return Fact("Available", "True", reasons.HEALTHY, "The deployment is healthy.")
    before = observed.predecessor
    if before is not None and before.state is RemoteState.SUCCEEDED:
        return Fact("Available", "True", reasons.REPLACING, f"The deployment before it, {before.id}, serves.")
    return Fact("Available", "False", reasons.PROGRESSING, "No revision serves.")
