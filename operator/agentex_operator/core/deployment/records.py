"""What the record of a remote deployment says: whether it is alive, rolls out, and how it shows in the status."""

from __future__ import annotations

from dataclasses import replace

from agentex_operator.api.deployment import AgentDeploymentStatus, DeployEvent
from agentex_operator.core.remote import DeploymentRecord, RemoteState, deployment_state

DEAD = frozenset({RemoteState.DELETED, RemoteState.CANCELLED, RemoteState.SUPERSEDED})
ROLLING_OUT = frozenset({RemoteState.WAITING, RemoteState.RUNNING, RemoteState.UNKNOWN})


def mirror(status: AgentDeploymentStatus, record: DeploymentRecord) -> AgentDeploymentStatus:
    """The status with the news of the record."""
    healthy = record.state is RemoteState.SUCCEEDED
    events = tuple(DeployEvent(type=event.type, reason=event.reason, message=event.message, timestamp=event.timestamp)
                   for event in record.events[-10:])
    return replace(
        status,
        build_id=record.build_id or status.build_id,
        helm_release_name=record.helm_release_name or status.helm_release_name,
        namespace=record.namespace or status.namespace,
        expires_at=record.expires_at or status.expires_at,
        remote_status=record.raw_status,
        last_healthy_deployment_id=record.id if healthy else status.last_healthy_deployment_id,
        events=events or status.events,
        operator=replace(status.operator, missing_since=None),
    )


def mismatch(record: DeploymentRecord, *, is_preview: bool, agent: str | None) -> str | None:
    """Why the record is not of that sort or not of that agent, as the end of a sentence; None if it may be."""
    if (record.expires_at is not None) != is_preview:
        found, wanted = ("production deployment", "preview") if is_preview else ("preview", "production deployment")
        return f"is a {found}, not a {wanted}"
    if None not in (agent, record.agent_name) and agent != record.agent_name:
        return f"is of the agent {record.agent_name!r}, not {agent!r}"
    return None


def known_state(status: AgentDeploymentStatus) -> RemoteState:
    """The state in which the deployment on record was last seen; UNKNOWN before the first look."""
    return deployment_state(status.remote_status)
