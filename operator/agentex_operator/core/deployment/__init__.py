"""AgentDeployment: the decisions. "This build of this agent runs in this environment."

The remote has no update: a changed spec is a new deployment. A production one takes over the agent's only Helm release,
so its predecessor is never removed by us (that would remove the release in use); a preview has a release of its own, so
its predecessor is removed once the new one is healthy (agentex-api.md §0.6, §6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.api.deployment import AgentDeploymentStatus
from agentex_operator.core import calls, memory
from agentex_operator.core.calls import CommonCall, LookForOurs
from agentex_operator.core.deployment import attempt, build_ref, configuration, facts, previews, rollout
from agentex_operator.core.plan import Plan, Verdict
from agentex_operator.core.protocol import adoption, conversation, create, teardown
from agentex_operator.core.protocol import settle as common
from agentex_operator.core.remote import DeploymentRecord

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.deployment.observed import Observed

DeploymentCall = (calls.ReadText | calls.ReadAgentBuild | calls.ConfirmBuild | calls.ReadBuildManifest |
                  calls.CreateDeployment | CommonCall[AgentDeploymentStatus, DeploymentRecord])


def look_for_ours(observed: Observed, now: datetime) -> Plan[LookForOurs[DeploymentRecord]] | Verdict | None:
    """List our records. Suspended and never started, or expired and gone, there is nothing to look for.

    An extension of an ended preview needs a fresh list: an older one may still show its deployment.
    """
    idle = observed.spec.suspend and memory.from_status(observed.status).empty
    if idle or previews.is_over_and_gone(observed):
        return None
    waiting = create.wait_for_the_account(observed, now)
    if observed.extension_requested and observed.has_ended and not create.creating(observed):
        return waiting or create.look(observed, observed.started_at)
    return waiting or create.look_for_ours(observed, now)


def take_over(observed: Observed, now: datetime) -> Plan[DeploymentCall] | Verdict | None:
    """Take over what `spec.adopt` or a restored status names; the configuration tells of which agent it must be."""
    if adoption.is_undecided(observed) and adoption.is_asked_for(observed):
        unread = configuration.read_the_configuration(observed, now)
        unknown = observed.spec.build_ref is not None and observed.build is None
        waiting = unread or (build_ref.wait_for_the_build(observed, now) if unknown else None)
        if waiting is not None:
            return waiting
    return adoption.take_over(observed, now)


def leave_alone_when_suspended(observed: Observed, _now: datetime) -> Verdict | None:
    """A suspended resource is watched; nothing is changed for it."""
    if not observed.spec.suspend:
        return None
    return conversation.suspended(observed, "spec.suspend is true: the remote side is watched, nothing is changed.")


# The order is the design: see the test of each rule by name. rest_when_expired stands before create, or an expired
# preview would be taken for drift and be created again for ever.
RULES: tuple[conversation.Rule[Observed, DeploymentCall], ...] = (
    conversation.stop_at_failure,
    take_over,
    teardown.release_when_deleted,
    create.add_finalizer,
    look_for_ours,
    create.confirm_missing,
    leave_alone_when_suspended,
    previews.remove_extra_previews,
    previews.rest_when_never_created,
    configuration.read_the_configuration,
    build_ref.wait_for_the_build,
    previews.rest_when_expired,
    create.wait_for_the_missing,
    previews.remove_the_predecessor,
    rollout.follow_the_rollout,
    rollout.report_healthy,
    rollout.report_the_end,
    create.wait_for_the_open_create,
    create.rest_when_refused,
    previews.check_the_expiry,
    configuration.reread_inputs_live,
    build_ref.check_the_named_build,
    build_ref.fetch_the_manifest,
    configuration.check_the_configuration,
    attempt.write_the_intent,
    attempt.create,
)


def decide(observed: Observed, now: datetime) -> Plan[DeploymentCall]:
    """The next call for this AgentDeployment, or how the pass ends."""
    answer = conversation.first_answer(observed, RULES, now)
    if isinstance(answer, Plan):
        return answer
    ended = observed.with_present_digest()
    return conversation.report(ended, answer, facts.facts_of(ended), now)


def settle(observed: Observed, call: DeploymentCall, outcome: object, now: datetime) -> Observed:
    """Fold the outcome of a call, a value or an ExternalError, into the observed state. Pure."""
    match call:
        case calls.CreateDeployment():
            return attempt.settle_create(observed, call, outcome, now)
        case calls.ReadText():
            return configuration.settle_text(observed, call, outcome)
        case calls.ReadAgentBuild() | calls.ConfirmBuild() | calls.ReadBuildManifest():
            return build_ref.settle_read(observed, call, outcome)
        case _:
            return common.settle(observed, call, outcome, now)
