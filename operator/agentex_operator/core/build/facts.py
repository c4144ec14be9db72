"""The conditions of the domain of an AgentBuild: SourceReady, Succeeded, Suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.core import reasons
from agentex_operator.core.build import records
from agentex_operator.core.plan import Fact
from agentex_operator.core.remote import RemoteState

if TYPE_CHECKING:
    from agentex_operator.core.build.observed import Observed


def facts_of(observed: Observed) -> tuple[Fact, ...]:
    """SourceReady, Succeeded, and Suspended while it is."""
    suspended = Fact("Suspended", "True", reasons.SUSPENDED, "spec.suspend is true; nothing is started.")
    return (_source_ready(observed), _succeeded(observed), *((suspended,) if observed.spec.suspend else ()))


def _source_ready(observed: Observed) -> Fact:
    """Whether the build context can be read and packed."""
    failure = observed.source_failure
    if failure is not None:
        return Fact("SourceReady", "False", failure.reason, failure.message)
    if observed.context_digest is None and observed.status.source is None:
        return Fact("SourceReady", "Unknown", reasons.PROGRESSING, "The build context was not looked at yet.")
    return Fact("SourceReady", "True", reasons.SUCCEEDED, "The build context can be read.")


def _succeeded(observed: Observed) -> Fact:
    """Whether the build of the inputs on record succeeded."""
    state = observed.state
    if state is RemoteState.SUCCEEDED:
        return Fact("Succeeded", "True", reasons.SUCCEEDED, "The image exists.")
    if state in records.UNSUCCESSFUL:
        return Fact("Succeeded", "False", observed.unsuccessful[0], "The build ended without an image.")
    return Fact("Succeeded", "Unknown", reasons.PROGRESSING, "The build has not ended yet.")
