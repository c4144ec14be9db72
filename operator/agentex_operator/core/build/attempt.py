"""One attempt: its number and token, the intent that is written before its POST, and the POST."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.core import account_binding, calls, memory, reasons, source_facts
from agentex_operator.core.build import agent_name, facts, records, retry, source
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.ownership import BuildToken, derived_tag, marked_ref
from agentex_operator.core.plan import Plan, Progress, Verdict
from agentex_operator.core.protocol import conversation, settle
from agentex_operator.core.remote import BuildRequest

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.api.build import AgentBuildStatus
    from agentex_operator.api.operator_memory import BuildMemory
    from agentex_operator.core.build.observed import Observed
    from agentex_operator.core.calls import CreateBuild, WriteIntent

CREATING = Verdict(ready="Unknown", reason=reasons.BUILDING, message="Creating the remote build.", phase="Building",
                   progress=Progress.RECONCILING)


def write_the_intent(observed: Observed, now: datetime) -> Plan[WriteIntent[AgentBuildStatus]] | None:
    """P3: a conditional write right before every POST."""
    attempt = next_attempt(observed)
    purpose = f"create {attempt}"
    if observed.last_write_purpose == purpose:
        return None
    return Plan(calls.WriteIntent(intended(observed, attempt, now), purpose))


def next_attempt(observed: Observed) -> int:
    """The number of the next POST's attempt: the pending one is sent again under its token, any other is new."""
    pending, digest = observed.status.operator.pending_create, observed.digest or ""
    if pending is not None and pending.token == token_text(observed, digest, pending.attempt):
        return pending.attempt
    return observed.status.attempt + 1


def token_text(observed: Observed, digest: str, attempt: int) -> str:
    """The ownership token of one attempt, as status.operator.pendingCreate shows it."""
    return BuildToken(observed.owner, attempt, digest[:12]).text


def intended(observed: Observed, attempt: int, now: datetime) -> AgentBuildStatus:
    """The status with the intent of one POST, and nothing left of the attempt before it."""
    status, digest = source.with_source(observed), observed.digest or ""
    remembered = memory.intend(memory.from_status(status), token_text(observed, digest, attempt), attempt, now)
    fresh = replace(status, remote_status=None, image=None, start_time=now, completion_time=None, log_tail=None,
                    failure_message=None, operator=_remembered(observed, status.operator, attempt))
    rebuilt = observed.meta.rebuild_requested_at or status.last_handled_rebuild_requested_at
    written = replace(fresh, account=account_binding.bound_account(observed.account, status.account), attempt=attempt,
                      inputs_digest=digest, context_digest=observed.context_digest or None,
                      last_handled_rebuild_requested_at=rebuilt)
    held = memory.into_status(written, remembered)
    if _refused_before(observed):
        return held
    after = replace(observed, status=held)
    return conversation.with_verdict(after, CREATING, facts.facts_of(after), now)


def _remembered(observed: Observed, kept: BuildMemory, attempt: int) -> BuildMemory:
    """The operator's memory, begun anew for this attempt; what it says of creates stays as it is."""
    again = attempt == observed.status.attempt
    return replace(kept, missing_since=None, removal=None, cancelled_for=None, written_for=observed.meta.uid,
                   retries_used=kept.retries_used if again else retry.retries_used(observed),
                   refused_at=kept.refused_at if _refused_before(observed) else None)


def _refused_before(observed: Observed) -> bool:
    """Whether these inputs were refused: their slow retry changes no condition until it succeeds (ecosystem.md R8)."""
    same = observed.status.inputs_digest == observed.digest
    return same and observed.status.operator.refused_at is not None


def create(observed: Observed, _now: datetime) -> Plan[CreateBuild]:
    """P5: one POST."""
    return Plan(calls.CreateBuild(request(observed), observed.context_digest or None))


def request(observed: Observed) -> BuildRequest:
    """The body of the POST: the token is in the tag, or, where the user pins the tag, in source_ref."""
    spec, attempt, digest = observed.spec, observed.status.attempt, observed.digest or ""
    found = observed.agent if isinstance(observed.agent, str) else None
    agent_id = spec.agent_id or observed.status.agent_id or found
    return BuildRequest(
        image_name=spec.image.name,
        image_tag=spec.image.tag or derived_tag(digest, observed.owner, attempt),
        agent_id=agent_id,
        agent_name=None if agent_id else spec.agent_name,
        build_args=tuple((arg.name, arg.value) for arg in spec.build_args),
        platform=spec.platform,
        working_tree_hash=observed.context_digest or None,
        source_ref=marked_ref(None, observed.owner, attempt) if spec.image.tag else None,
        image_url=source_facts.image_url(spec.source),
    )


def settle_create(observed: Observed, call: CreateBuild, outcome: object, now: datetime) -> Observed:
    """Answered: on record. Refused: no create is open. No usable answer: open, to be looked for (P5)."""
    if call.request.agent_name is not None and agent_name.may_be_about_the_name(outcome):
        return agent_name.settle_refused_name(observed, str(outcome), now)
    if isinstance(outcome, ExternalError):
        return settle.settle_refusal(observed, outcome, now)
    record = call.read(outcome)
    status = memory.into_status(observed.status, memory.answered(memory.from_status(observed.status), record.id))
    status = replace(status, operator=replace(status.operator, refused_at=None))
    status = records.mirror(status, record, now)
    return replace(observed, status=status, seen=observed.seen.confirm(record.id, record), last_write_purpose=None)
