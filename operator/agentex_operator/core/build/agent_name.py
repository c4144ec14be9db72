"""The agent of a build: its id if it exists, its name for the first build only (agentex-api.md §3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.core import calls, memory, reasons, sentences
from agentex_operator.core.calls import Agent, FindAgent, LookForOurs
from agentex_operator.core.errors import ExternalError, Rejected, Unavailable
from agentex_operator.core.failures import Failure, FailureClass, classify
from agentex_operator.core.observed_records import ObservedRecords
from agentex_operator.core.plan import Plan, Progress, UsableAccount, Verdict
from agentex_operator.core.protocol import conversation, create

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.build.observed import Observed
    from agentex_operator.core.remote import BuildRecord


def look_behind_a_refusal(observed: Observed) -> Plan[LookForOurs[BuildRecord]] | None:
    """After a create was refused for its agent's name, list again: our own lost POST may have taken the name."""
    return create.look(observed, observed.started_at)


def look_before_the_name_is_retried(observed: Observed, now: datetime) -> Plan[LookForOurs[BuildRecord]] | None:
    """Once `recreate_delay` has passed since the refusal, a list shows what our own create has made by that name."""
    refused_at = observed.status.operator.refused_at
    if refused_at is None or not observed.may_have_taken_its_own_name or create.creating(observed):
        return None
    settled_at = refused_at + observed.policy.recreate_delay
    return create.look(observed, settled_at) if now >= settled_at else None


def wait_for_the_open_create(observed: Observed, now: datetime) -> Verdict | None:
    """P5, but a create that was refused for its agent's name was answered: it is not open."""
    return None if observed.name_refused is not None else create.wait_for_the_open_create(observed, now)


def name_the_agent(observed: Observed, _now: datetime) -> Plan[FindAgent] | Verdict | None:
    """`agent_id` for an agent that exists; `agent_name` only for the very first build (agentex-api.md §3)."""
    name = observed.spec.agent_name
    if name is None or observed.status.agent_id or isinstance(observed.agent, str):
        return None
    if observed.agent is None:
        return Plan(calls.FindAgent(name, live=observed.name_refused is not None))
    return _wait_for_the_name(observed, name)


def _wait_for_the_name(observed: Observed, name: str) -> Verdict | None:
    if observed.agent is Agent.BUSY:
        return Verdict(ready="Unknown", reason=reasons.AGENT_BUSY, phase="Pending", progress=Progress.RECONCILING,
                       message=f"Another AgentBuild is creating the agent {name!r}; this one follows it.",
                       look_again=observed.account.poll if isinstance(observed.account, UsableAccount) else None,
                       follow=observed.follow)
    if observed.name_refused is None:
        return None
    message = (f"Agentex refused the first build of agent {name!r} and shows no build of it: "
               f"{sentences.sentence(observed.name_refused)} If the name is taken, create another AgentBuild: with "
               "spec.agentID if the agent is yours, else with another spec.agentName.")
    return conversation.failed(observed, Failure(FailureClass.STALLED, reasons.AGENT_NAME_TAKEN, message))


def settle_agent(observed: Observed, call: FindAgent, outcome: object, now: datetime) -> Observed:
    """The name has an id, or is free for this resource, or busy."""
    if isinstance(outcome, ExternalError):
        return replace(observed, failure=classify(outcome))
    found, status = call.read(outcome), observed.status
    if observed.name_refused is not None:  # no build of ours was found, so the refusal was the answer to the create
        refused_at = status.operator.refused_at if isinstance(found, str) else now
        closed = memory.into_status(status, memory.refused(memory.from_status(status)))
        status = replace(closed, operator=replace(closed.operator, refused_at=refused_at))
    return replace(observed, agent=found, status=status)


def may_be_about_the_name(outcome: object) -> bool:
    """Whether a create's answer may mean that the name is taken: 409, or 400/422 (the API does not document which)."""
    conflict = isinstance(outcome, Unavailable) and outcome.status == 409
    return conflict or (isinstance(outcome, Rejected) and outcome.status in (400, 422))


def settle_refused_name(observed: Observed, message: str, now: datetime) -> Observed:
    """Start over with a new listing: our own lost first POST is found by its token (agentex-api.md §3.5)."""
    return replace(observed, name_refused=message, agent=None, last_write_purpose=None, listed_since=None,
                   seen=ObservedRecords(), started_at=now)
