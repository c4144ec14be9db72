"""One attempt: its number and token, the intent that is written before its POST, and the POST."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.core import account_binding, calls, expiry, fingerprint, memory, preview_labels, reasons
from agentex_operator.core.deployment import configuration, correction, facts, records
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.ownership import deployment_token, with_token
from agentex_operator.core.plan import Plan, Progress, Verdict
from agentex_operator.core.protocol import conversation, settle
from agentex_operator.core.remote import DeploymentRequest, RemoteState

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.api.deployment import AgentDeploymentStatus
    from agentex_operator.api.operator_memory import DeploymentMemory
    from agentex_operator.core.calls import CreateDeployment, WriteIntent
    from agentex_operator.core.deployment.observed import Observed

CREATING = Verdict(ready="Unknown", reason=reasons.DEPLOYING, message="Creating the remote deployment.",
                   phase="Deploying", progress=Progress.RECONCILING)


def write_the_intent(observed: Observed, now: datetime) -> Plan[WriteIntent[AgentDeploymentStatus]] | None:
    """P3: a conditional write right before every POST."""
    attempt = next_attempt(observed)
    purpose = f"create {attempt}"
    if observed.last_write_purpose == purpose:
        return None
    return Plan(calls.WriteIntent(intended(observed, attempt, now), purpose))


def next_attempt(observed: Observed) -> int:
    """The number of the next POST's attempt.

    The pending attempt is sent again under its own token, unless its end was extended or has passed; any other is new.
    """
    pending, ends = observed.status.operator.pending_create, observed.status.expires_at
    same = pending is not None and pending.token == token_text(observed, pending.attempt)
    over = observed.spec.preview is not None and ends is not None and observed.started_at >= ends
    if pending is not None and same and not over and not observed.extension_requested:
        return pending.attempt
    return observed.status.attempt + 1


def token_text(observed: Observed, attempt: int) -> str:
    """The ownership token of one attempt."""
    return deployment_token(observed.cluster, observed.meta.uid, observed.digest or "", attempt)


def intended(observed: Observed, attempt: int, now: datetime) -> AgentDeploymentStatus:
    """The status with the intent of one POST; the deployment that serves is kept as the predecessor."""
    status, texts, preview = observed.status, configuration.rendered(observed), observed.spec.preview
    again = attempt == status.attempt
    remembered = memory.intend(_without_unfinished(observed), token_text(observed, attempt), attempt, now)
    digest = fingerprint.configuration_fingerprint(texts.manifest, texts.environments)
    pending = replace(remembered.pending, fingerprint=digest) if remembered.pending else None
    ends = status.expires_at if again else expiry.expires_at(preview, now) if preview else None
    extended = observed.meta.extend_requested_at or status.last_handled_extend_requested_at
    written = replace(status, account=account_binding.bound_account(observed.account, status.account),
                      agent_name=texts.agent_name, expires_at=ends, remote_status=None, build_id=observed.build_id,
                      events=(), operator=_remembered(observed, attempt, now),
                      last_handled_extend_requested_at=extended)
    return _announced(observed, memory.into_status(written, replace(remembered, pending=pending)), now)


def _remembered(observed: Observed, attempt: int, now: datetime) -> DeploymentMemory:
    """The operator's memory, begun anew for this attempt; what it says of creates stays as it is."""
    kept, again = observed.status.operator, attempt == observed.status.attempt
    return replace(kept, attempt=attempt, configuration_digest=observed.digest, predecessor_id=_serving(observed),
                   progressing_since=now, missing_since=None, removal=None, written_for=observed.meta.uid,
                   corrections=kept.corrections if again else correction.counted(observed, now))


def _announced(observed: Observed, written: AgentDeploymentStatus, now: datetime) -> AgentDeploymentStatus:
    """A slow retry of the same refused configuration changes no condition until it succeeds (ecosystem.md R8)."""
    kept = observed.status.operator
    if kept.refused_at is not None and kept.configuration_digest == observed.digest:
        return written
    after = replace(observed, status=replace(written, operator=replace(written.operator, refused_at=None)))
    return conversation.with_verdict(after, CREATING, facts.facts_of(after), now)


def _serving(observed: Observed) -> str | None:
    """The deployment that serves until the new one does; None after the end of a preview."""
    if observed.has_ended:
        return None
    healthy = observed.state is RemoteState.SUCCEEDED
    return observed.status.deployment_id if healthy else observed.status.operator.predecessor_id


def _without_unfinished(observed: Observed) -> memory.RemoteMemory:
    """A preview that never became healthy, or has ended, is no predecessor: it is condemned at once."""
    remembered, record = memory.from_status(observed.status), observed.recorded
    if record is None or observed.spec.preview is None:
        return remembered
    serves = record.state is RemoteState.SUCCEEDED and not observed.has_ended
    return memory.condemn(remembered, record.id) if observed.alive(record) and not serves else remembered


def create(observed: Observed, _now: datetime) -> Plan[CreateDeployment]:
    """P5: one POST."""
    return Plan(calls.CreateDeployment(request(observed)))


def request(observed: Observed) -> DeploymentRequest:
    """The body of the POST: the token is in the first line of the manifest."""
    texts, preview, image = configuration.rendered(observed), observed.spec.preview, observed.spec.image
    label = preview_labels.sanitised_label(preview.label) if preview and preview.label else None
    return DeploymentRequest(
        manifest_file=with_token(texts.manifest, token_text(observed, observed.status.attempt)),
        environment_config=texts.environments,
        build_id=observed.build_id,
        image_name=image.name if image else None,
        image_tag=image.tag if image else None,
        preview=preview is not None,
        preview_label=label,
        expires_at=observed.status.expires_at if preview else None,
    )


def settle_create(observed: Observed, call: CreateDeployment, outcome: object, now: datetime) -> Observed:
    """Answered: on record. Refused: no create is open. No usable answer: open, to be looked for (P5)."""
    if isinstance(outcome, ExternalError):
        return settle.settle_refusal(observed, outcome, now)
    record = call.read(outcome)
    status = memory.into_status(observed.status, memory.answered(memory.from_status(observed.status), record.id))
    status = replace(status, operator=replace(status.operator, refused_at=None))
    status = records.mirror(status, record)
    return replace(observed, status=status, seen=observed.seen.confirm(record.id, record), last_write_purpose=None)
