"""Builds as a kind of record: how they are listed, which resource owns them, and which agents they prove to exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.record_kind import AgentName, RecordKind
from agentex_operator.agentex.remote_kind import RemoteKind
from agentex_operator.core.ownership import build_token

if TYPE_CHECKING:
    from agentex_operator.core.remote import BuildRecord


def builds_of(client: AgentexClient) -> RecordKind[BuildRecord]:
    """The builds of the client's account, as an inventory reads them."""
    return RecordKind(lambda limit, after, ordered: client.list_builds(limit, after, ordered=ordered), _owner_of,
                      agent_of=_agent_of)


def _owner_of(record: BuildRecord) -> str | None:
    token = build_token(record.image_tag, record.source_ref)
    return token.owner if token else None


def _agent_of(record: BuildRecord) -> AgentName | None:
    return AgentName(record.agent_name, record.agent_id) if record.agent_id else None


BUILDS = RemoteKind("build", builds_of, AgentexClient.get_build, AgentexClient.cancel_build, cancels=True)
