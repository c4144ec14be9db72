"""Deployments as a kind of record: how they are listed, which resource owns them, and which are live previews."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.record_kind import RecordKind
from agentex_operator.agentex.remote_kind import RemoteKind
from agentex_operator.core.fingerprint import configuration_fingerprint
from agentex_operator.core.ownership import deployment_owner
from agentex_operator.core.remote import RemoteState

if TYPE_CHECKING:
    from agentex_operator.agentex.wire import EchoedTexts
    from agentex_operator.core.remote import DeploymentRecord

LIVE_PREVIEWS = "live previews"  # the group of the previews that run, or may run
FINGERPRINTS_KEPT = 10_000
_LIVE = frozenset({RemoteState.WAITING, RemoteState.RUNNING, RemoteState.SUCCEEDED, RemoteState.UNKNOWN})

ComputeFingerprint = Callable[[str, str], str]


def deployments_of(client: AgentexClient, compute: ComputeFingerprint) -> RecordKind[DeploymentRecord]:
    """The deployments of the client's account, as an inventory reads them.

    `compute` answers the digest of a manifest and its environments.
    """
    return RecordKind(
        lambda limit, after, ordered: client.list_deployments(limit, after, ordered=ordered),
        _owner_of,
        fingerprint_of=_fingerprint_of,
        add_fingerprint=_Fingerprints(compute).add,
        groups_of=_groups_of,
    )


class _Fingerprints:
    """The digests of deployments without a token, each computed once from its manifest and environments."""

    def __init__(self, compute: ComputeFingerprint) -> None:
        self._compute = compute
        self._known: dict[str, str] = {}

    def add(self, record: DeploymentRecord, texts: EchoedTexts) -> DeploymentRecord:
        """The record with its fingerprint."""
        if record.id not in self._known:
            self._known[record.id] = self._compute(texts.manifest, texts.environments)
            _drop_oldest(self._known, FINGERPRINTS_KEPT)
        return replace(record, fingerprint=self._known[record.id])


def _owner_of(record: DeploymentRecord) -> str | None:
    return deployment_owner(record.token) if record.token else None


def _fingerprint_of(record: DeploymentRecord) -> str | None:
    return record.fingerprint


def _groups_of(record: DeploymentRecord) -> tuple[str, ...]:
    return (LIVE_PREVIEWS,) if record.expires_at is not None and record.state in _LIVE else ()


def _drop_oldest(cache: dict[str, str], capacity: int) -> None:
    while len(cache) > capacity:
        del cache[next(iter(cache))]


DEPLOYMENTS = RemoteKind("deployment", lambda client: deployments_of(client, configuration_fingerprint),
                         AgentexClient.get_deployment, AgentexClient.delete_deployment)
