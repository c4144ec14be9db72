"""The source of the build context: its version, whether it is staged, and what happens if it cannot be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.build import AgentBuildStatus, SourceStatus
from agentex_operator.core import calls, source_facts
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.failures import FailureClass, classify
from agentex_operator.core.plan import Plan, Verdict
from agentex_operator.core.protocol import conversation

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.core.build.observed import Observed
    from agentex_operator.core.calls import ResolveSource, StageContext


def resolve_the_source(observed: Observed, _now: datetime) -> Plan[ResolveSource] | None:
    """Ask the source for its present version, in every pass: cheap. A requested reconcile reads it anew."""
    if observed.revision is not None or observed.source_failure is not None:
        return None
    return Plan(calls.ResolveSource(observed.spec.source, live=conversation.reconcile_requested(observed)))


def stage_a_new_version(observed: Observed, _now: datetime) -> Plan[StageContext] | None:
    """Fetch the context if this version of it was not staged before: expensive."""
    if observed.context_digest is not None or observed.source_failure is not None:
        return None
    return Plan(_staging(observed))


def stage_the_archive(observed: Observed, _now: datetime) -> Plan[StageContext] | None:
    """Fetch the context if its archive is not at hand, as after a restart."""
    needed = source_facts.facts_of(observed.spec.source).has_context and observed.staged is None
    return Plan(_staging(observed)) if needed else None


def _staging(observed: Observed) -> StageContext:
    return calls.StageContext(observed.spec.source, observed.spec.context, observed.spec.agent_name)


def stop_without_source(observed: Observed, _now: datetime) -> Verdict | None:
    """Nothing can be created from a context that cannot be read. An unusable one is downloaded again slowly."""
    failure = observed.source_failure
    if failure is None:
        return None
    verdict = conversation.failed(observed, failure)
    stalled = failure.failure_class is FailureClass.STALLED
    return replace(verdict, look_again=next_look(observed)) if stalled else verdict


def next_look(observed: Observed) -> timedelta:
    """How soon the source may have changed without an event: earlier if nothing tells of its changes."""
    facts = source_facts.facts_of(observed.spec.source)
    if facts.interval is not None:
        due = observed.revision.due if observed.revision else None
        return min(due or facts.interval, observed.policy.resync)
    told = facts.is_pinned or (facts.is_object and observed.references_watched)
    return observed.policy.resync if told else observed.policy.reference_resync


def with_source(observed: Observed) -> AgentBuildStatus:
    """The status with the source's present version, if that is known."""
    status, revision = observed.status, observed.revision
    if revision is None:
        return status
    return replace(status, source=SourceStatus(revision=revision.revision, digest=revision.digest),
                   operator=replace(status.operator, source_fingerprint=observed.fingerprint_of_source))


def settle_resolved(observed: Observed, call: ResolveSource, outcome: object) -> Observed:
    """The present version, or why there is none: that stops a create, not a build that runs."""
    if isinstance(outcome, ExternalError):
        return replace(observed, source_failure=classify(outcome))
    return replace(observed, revision=call.read(outcome))


def settle_staged(observed: Observed, call: StageContext, outcome: object) -> Observed:
    """The staged context, or why it cannot be staged."""
    if isinstance(outcome, ExternalError):
        return replace(observed, source_failure=classify(outcome))
    context = call.read(outcome)
    due = observed.revision.due if observed.revision else None
    staged = replace(observed, staged=context.digest, revision=replace(context.revision, due=due))
    return replace(staged, status=replace(with_source(staged), context_digest=staged.staged))
