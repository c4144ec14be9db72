"""The configuration to deploy, manifest and environments: read, read live before a create, checked, rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentex_operator.core import calls, environments
from agentex_operator.core.deployment import places
from agentex_operator.core.errors import ExternalError, InvalidInput, NotReady
from agentex_operator.core.failures import classify
from agentex_operator.core.manifest import Manifest
from agentex_operator.core.plan import Plan, Verdict
from agentex_operator.core.protocol import conversation, settle

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.api.references import KeyRef
    from agentex_operator.core.calls import ReadAgentBuild, ReadText
    from agentex_operator.core.deployment.observed import Observed


def read_the_configuration(observed: Observed, _now: datetime) -> Plan[ReadText] | None:
    """Read the ConfigMaps that the spec names, in every pass; a preview ends even if its ConfigMap is gone.

    A requested reconcile reads them live: its acknowledgement tells a waiter that what they say now was seen.
    """
    if observed.unread:
        return None
    unread = [ref for ref in _named(observed) if ref not in dict(observed.texts)]
    live = conversation.reconcile_requested(observed)
    return Plan(calls.ReadText(unread[0], live=live)) if unread else None


def _named(observed: Observed) -> list[KeyRef]:
    """The ConfigMap keys that the spec names."""
    named = (observed.spec.manifest.config_map_key_ref, observed.spec.environments.config_map_key_ref)
    return [ref for ref in named if ref is not None]


def reread_inputs_live(observed: Observed, _now: datetime) -> Plan[ReadText | ReadAgentBuild] | None:
    """Before a create, read the ConfigMaps and the AgentBuild live.

    A cached one may be older than our own status, if another replica wrote that status.
    """
    build = observed.spec.build_ref
    reads: list[ReadText | ReadAgentBuild] = [calls.ReadText(ref, live=True) for ref in _named(observed)]
    reads += [calls.ReadAgentBuild(build.name)] if build else []
    unmade = [call for call in reads if call not in observed.read_live]
    return Plan(unmade[0]) if unmade else None


def settle_text(observed: Observed, call: ReadText, outcome: object) -> Observed:
    """The text is known for the rest of this pass; an expired preview goes on without a ConfigMap that is gone."""
    if isinstance(outcome, NotReady) and observed.expired_at_start:
        return replace(observed, unread=True)
    if isinstance(outcome, ExternalError):
        return settle.fail(observed, outcome)
    read_live = observed.read_live | {call} if call.live else observed.read_live
    return replace(observed, texts=(*observed.texts, (call.ref, call.read(outcome))), read_live=read_live)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The texts to send: the manifest without its token, and the environments reduced to the selected one."""

    manifest: str
    environments: str
    agent_name: str


def rendered(observed: Observed) -> Rendered:
    """The texts to send, checked by the vendor's rules. Raises InvalidInput."""
    text = observed.manifest or ""
    manifest = Manifest.parse(text, expected_agent(observed))
    return Rendered(text, environments.render_environments(observed.environments or "", observed.spec.environment),
                    manifest.agent_name)


def expected_agent(observed: Observed) -> str | None:
    """The agent of the build to deploy, if it is known; the server compares it with the manifest's."""
    if observed.build is not None:
        return observed.build.spec.agent_name
    record = observed.named_build[0] if observed.named_build else None
    return record.agent_name if record else None


def check_the_configuration(observed: Observed, _now: datetime) -> Verdict | None:
    """Report a clear InvalidManifest here instead of a remote 400."""
    try:
        rendered(observed)
    except InvalidInput as error:
        failure = classify(error)
        place = places.of_text(observed, failure.reason)
        return conversation.failed(observed, replace(failure, message=f"{failure.message} {place}".strip()))
    return None
