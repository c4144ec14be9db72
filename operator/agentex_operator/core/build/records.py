"""What the record of a remote build says: whether it is alive, how it ended, and how it shows in the status."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.build import AgentBuildStatus, BuiltImage
from agentex_operator.core.ownership import build_token
from agentex_operator.core.remote import BuildRecord, RemoteState

if TYPE_CHECKING:
    from datetime import datetime

ALIVE = frozenset({RemoteState.WAITING, RemoteState.RUNNING, RemoteState.UNKNOWN, RemoteState.LEAVING})
WORTH_ANOTHER_TRY = frozenset({RemoteState.ERRORED, RemoteState.TIMED_OUT})
UNSUCCESSFUL = frozenset({RemoteState.FAILED, RemoteState.CANCELLED}) | WORTH_ANOTHER_TRY


def mirror(status: AgentBuildStatus, record: BuildRecord, now: datetime) -> AgentBuildStatus:
    """The status with the news of the record; a build that ended stays ended, whatever a stale answer says (I10)."""
    if status.completion_time is not None and record.state in ALIVE - {RemoteState.LEAVING}:
        return replace(status, operator=replace(status.operator, missing_since=None))
    token = build_token(record.image_tag, record.source_ref)
    return replace(
        status,
        agent_id=record.agent_id or status.agent_id,
        attempt=max(status.attempt, token.attempt if token else 0),
        image=BuiltImage(name=record.image_name, tag=record.image_tag, url=record.image_url),
        remote_status=record.raw_status,
        completion_time=status.completion_time or (None if record.state in ALIVE else now),
        operator=replace(status.operator, missing_since=None),
    )
