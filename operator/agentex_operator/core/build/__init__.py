"""AgentBuild: the decisions. "An image of this agent, built from these inputs, exists."

The walk of a healthy one: add the finalizer, resolve the source, stage its context, look for our records, name the
agent, write the intent, create, follow, report. Every line of `RULES` is one step of it, or a reason to leave it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.api.build import AgentBuildStatus
from agentex_operator.core import calls, memory
from agentex_operator.core.build import agent_name, attempt, cancellation, facts, report, source
from agentex_operator.core.calls import CommonCall, LookForOurs
from agentex_operator.core.plan import Plan, Verdict
from agentex_operator.core.protocol import adoption, conversation, create, teardown
from agentex_operator.core.protocol import settle as common
from agentex_operator.core.remote import BuildRecord

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.build.observed import Observed

# The calls of the kind come first: mypy shows the first members of a union in its messages.
BuildCall = (calls.ResolveSource | calls.StageContext | calls.FindAgent | calls.CreateBuild | calls.ReadLogTail |
             CommonCall[AgentBuildStatus, BuildRecord])


def look_for_ours(observed: Observed, now: datetime) -> Plan[LookForOurs[BuildRecord]] | Verdict | None:
    """List our records. Suspended and never started, there is nothing to look for, and no account is needed."""
    if observed.spec.suspend and memory.from_status(observed.status).empty:
        return None
    if observed.name_refused is not None:
        return agent_name.look_behind_a_refusal(observed)
    waiting = create.wait_for_the_account(observed, now)
    return waiting or agent_name.look_before_the_name_is_retried(observed, now) or create.look_for_ours(observed, now)


# The order is the design: see the test of each rule by name.
RULES: tuple[conversation.Rule[Observed, BuildCall], ...] = (
    conversation.stop_at_failure,
    adoption.take_over,
    teardown.release_when_deleted,
    create.add_finalizer,
    look_for_ours,
    create.confirm_missing,
    cancellation.leave_alone_when_suspended,
    create.wait_for_the_missing,
    cancellation.remove_duplicates,
    cancellation.cancel_when_requested,
    cancellation.cancel_when_overdue,
    source.resolve_the_source,
    source.stage_a_new_version,
    cancellation.cancel_an_outdated_build,
    report.follow_the_running,
    report.read_the_log_of_a_failure,
    report.report_success,
    report.report_failure,
    cancellation.start_none_when_cancelled,
    source.stop_without_source,
    create.rest_when_refused,
    cancellation.wait_for_the_duplicates,
    agent_name.wait_for_the_open_create,
    agent_name.name_the_agent,
    source.stage_the_archive,
    attempt.write_the_intent,
    attempt.create,
)


def decide(observed: Observed, now: datetime) -> Plan[BuildCall]:
    """The next call for this AgentBuild, or how the pass ends."""
    answer = conversation.first_answer(observed, RULES, now)
    if isinstance(answer, Plan):
        return answer
    ended = observed.with_present_digest()
    return conversation.report(ended, answer, facts.facts_of(ended), now)


def settle(observed: Observed, call: BuildCall, outcome: object, now: datetime) -> Observed:
    """Fold the outcome of a call, a value or an ExternalError, into the observed state. Pure."""
    match call:
        case calls.ResolveSource():
            return source.settle_resolved(observed, call, outcome)
        case calls.StageContext():
            return source.settle_staged(observed, call, outcome)
        case calls.FindAgent():
            return agent_name.settle_agent(observed, call, outcome, now)
        case calls.CreateBuild():
            return attempt.settle_create(observed, call, outcome, now)
        case calls.ReadLogTail():
            return report.settle_log(observed, call, outcome)
        case _:
            return common.settle(observed, call, outcome, now)
