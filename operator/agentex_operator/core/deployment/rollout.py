"""What the status says of a rollout: in flight, too slow, healthy, failed, or replaced by somebody else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.scalars import duration
from agentex_operator.core import environments, expiry, memory, reasons, sentences
from agentex_operator.core.deployment import correction, places, records, rivals
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.plan import Notice, Progress, Verdict
from agentex_operator.core.remote import DEPLOYMENT_STATES, DeploymentRecord, RemoteState

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.deployment.observed import Observed
    from agentex_operator.core.deployment.rivals import Rival
    from agentex_operator.core.reasons import Reason

EXTEND = "agentex.scale.com/extend-requested-at"


def follow_the_rollout(observed: Observed, now: datetime) -> Verdict | None:
    """Report the state of a rollout in flight; beyond `progressDeadline` report that, and go on looking."""
    record = observed.recorded
    if record is None or record.state not in records.ROLLING_OUT or not observed.is_current:
        return None
    deadline = (observed.status.operator.progressing_since or now) + duration(observed.spec.progress_deadline)
    if now >= deadline:
        return _too_slow(observed, record)
    known = record.raw_status.lower() in DEPLOYMENT_STATES
    return Verdict(ready="Unknown", reason=reasons.DEPLOYING if known else reasons.UNRECOGNIZED_STATUS,
                   phase="Deploying", progress=Progress.RECONCILING, follow=observed.follow,
                   message=f"The remote deployment {record.id} is {record.raw_status}.",
                   look_again=min(memory.until(deadline, now), observed.references_poll))


def _too_slow(observed: Observed, record: DeploymentRecord) -> Verdict:
    message = (f"The remote deployment {record.id} is still {record.raw_status} after "
               f"{observed.spec.progress_deadline}. It is followed further; change the spec to start over.")
    return _stalled(observed, reasons.DEADLINE_EXCEEDED, message)


def report_healthy(observed: Observed, now: datetime) -> Verdict | None:
    """The wanted configuration serves."""
    done = observed.state is RemoteState.SUCCEEDED and observed.is_current
    if not done or observed.extension_requested:
        return None
    return _misplaced(observed) or _healthy(observed, now)


def _misplaced(observed: Observed) -> Verdict | None:
    """Which environment the server picks is not documented (agentex-api.md §4): compare the namespaces."""
    wanted, got = _expected_namespace(observed), observed.status.namespace
    if wanted is None or got is None or wanted.lower() == got.lower():
        return None
    message = (f"Environment {observed.spec.environment!r} names the namespace {wanted!r}, but Agentex deployed to "
               f"{got!r}. Correct environments.yaml, which is {places.of_environments(observed)}, or ask the account's "
               "administrator.")
    return Verdict(ready="False", reason=reasons.ENVIRONMENT_MISMATCH, message=message, phase="Failed",
                   progress=Progress.STALLED, follow=observed.follow, look_again=observed.references_poll)


def _expected_namespace(observed: Observed) -> str | None:
    if observed.spec.environment is None or observed.environments is None:
        return None
    try:
        return environments.expected_namespace(observed.environments, observed.spec.environment)
    except InvalidInput:
        return None


def _healthy(observed: Observed, now: datetime) -> Verdict:
    ends, preview = observed.status.expires_at, observed.spec.preview
    verdict = Verdict(ready="True", reason=reasons.HEALTHY, phase="Ready", follow=observed.follow,
                      message=f"Deployment {observed.status.deployment_id} is healthy.{_contested(observed)}",
                      look_again=observed.references_poll)
    if preview is None or ends is None:
        return verdict
    soon, at = expiry.soon_at(preview, ends), expiry.stamp(ends)
    if now < soon:
        until_soon = min(memory.until(soon, now), observed.references_poll)
        return replace(verdict, message=f"{verdict.message} It expires at {at}.", look_again=until_soon)
    step = f"set the annotation {EXTEND} to a new value" if preview.expires_at is None else (
        "set a later spec.preview.expiresAt")
    message = f"{verdict.message} It expires soon, at {at}: {step} to keep it."
    return replace(verdict, message=message, look_again=memory.until(ends, now),
                   notices=(Notice("Normal", reasons.EXPIRING_SOON, message),))


def _contested(observed: Observed) -> str:
    """The sentences, after a space, on those with which this one competes; empty if nothing was corrected."""
    if not observed.rivals or not correction.is_recurring(observed):
        return ""
    return f" It had to be deployed again: {_also_deployed_by(observed)}. {_settle_with(observed.rivals)}"


def report_the_end(observed: Observed, now: datetime) -> Verdict | None:
    """Report one that failed, or was superseded or deleted by somebody else; deploy again only if the spec says so."""
    if _failed(observed):
        return _stalled(observed, reasons.DEPLOYMENT_FAILED, f"{_last_word(observed)} Correct the manifest, the "
                        "environments or the build; the next change is deployed.")
    state = correction.ended_by_somebody_else(observed, now)
    if state is None:
        return None
    correct = observed.spec.on_external_change == "Correct"
    return _wait_to_correct(observed, state, now) if correct else _external(observed, state)


def _failed(observed: Observed) -> bool:
    known = observed.is_current and not observed.extension_requested and observed.status.deployment_id is not None
    return known and observed.state is RemoteState.FAILED


def _wait_to_correct(observed: Observed, state: RemoteState, now: datetime) -> Verdict | None:
    """Deploy again after a delay that grows, so that two writers do not compete at full speed."""
    due = correction.due_at(observed)
    if due is None or now >= due:
        return None
    again = f"it is deployed again at {expiry.stamp(due)}"
    if state is RemoteState.SUPERSEDED and observed.rivals:
        message = f"{_replaced_by(observed)}; {again}. {_settle_with(observed.rivals)}"
    else:
        message = (f"Somebody else replaced or deleted the deployment; {again}. If that recurs, find the other writer, "
                   "or set spec.onExternalChange to Report.")
    return Verdict(ready="False", reason=reasons.PROGRESSING_WITH_RETRY, phase="Retrying", follow=observed.follow,
                   message=message, progress=Progress.RECONCILING, look_again=memory.until(due, now))


def _replaced_by(observed: Observed) -> str:
    return f"Deployment {observed.status.deployment_id} was superseded: {_also_deployed_by(observed)}"


def _also_deployed_by(observed: Observed) -> str:
    names = rivals.names(observed.rivals)
    return f"the agent {observed.status.agent_name!r} is deployed to this account by {names} too"


def _settle_with(others: tuple[Rival, ...]) -> str:
    """The next step for AgentDeployments that replace each other's deployment, of which this one corrects."""
    which = "of one" if any(one.corrects for one in others) else "here"
    return f"Keep only one of them, or set spec.onExternalChange {which} to Report."


def _external(observed: Observed, state: RemoteState) -> Verdict:
    superseded = state is RemoteState.SUPERSEDED
    reason = reasons.SUPERSEDED_EXTERNALLY if superseded else reasons.DELETED_EXTERNALLY
    if superseded and observed.rivals:
        step = "Keep only one of them, or change the spec here to deploy this one again."
        return _stalled(observed, reason, f"{_replaced_by(observed)}. {step}")
    what = "superseded it with another deployment of the agent" if superseded else "deleted it"
    return _stalled(observed, reason, f"Deployment {observed.status.deployment_id} is {state.value}: somebody else "
                    f"{what}. Set spec.onExternalChange to Correct, or change the spec, to deploy again.")


def _stalled(observed: Observed, reason: Reason, message: str) -> Verdict:
    return Verdict(ready="False", reason=reason, message=message, phase="Failed", progress=Progress.STALLED,
                   follow=observed.follow, look_again=observed.references_poll)


def _last_word(observed: Observed) -> str:
    events = observed.status.events
    last = events[-1].message if events else None
    return sentences.sentence(f"The rollout failed: {last}" if last else "The rollout failed")
