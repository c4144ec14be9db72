"""A status as full as it gets passes the API server's schema, and is read back as it was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.api.conftest import User
from tests.api.objects import an_object

from agentex_operator.api.account import AccountStatus, AgentexAccount, BuildCounts, DeploymentCounts
from agentex_operator.api.build import AgentBuild, AgentBuildStatus, BuiltImage, SourceStatus
from agentex_operator.api.deployment import AgentDeployment, AgentDeploymentStatus, DeployEvent
from agentex_operator.api.metadata import Resource
from agentex_operator.api.operator_memory import (
    AdoptedObject,
    Adoption,
    BuildMemory,
    Corrections,
    DeploymentMemory,
    PendingCreate,
    Removal,
)
from agentex_operator.api.status import BoundAccount, Condition, Status, status_as_dict

NOON = datetime(2026, 11, 24, 12, 0, 0, 120, tzinfo=UTC)
ID = "11111111-2222-3333-4444-555555555555"
SAID: dict[str, Any] = {
    "observed_generation": 1,
    "phase": "Retrying",
    "conditions": tuple(
        Condition(type=kind, status="Unknown", reason="Because", message="…" * 1024, observed_generation=1,
                  last_transition_time=NOON)
        for kind in ("Ready", "Reconciling", "SourceReady", "Succeeded")),
    "last_handled_reconcile_at": "z" * 256,
    "last_handled_reconcile_requested_at": "z" * 256,
}
OF_REMOTE: dict[str, Any] = {
    **SAID,
    "account": BoundAccount(kind="AgentexAccount", name="default", account_id="acct-1", endpoint="https://a.example.com"),
    "remote_status": "unheard-of",
}
REMEMBERED: dict[str, Any] = {
    "pending_create": PendingCreate(token="t" * 256, attempt=3, started_at=NOON, fingerprint="0" * 64),
    "unanswered_create_at": NOON,
    "condemned": tuple(f"{ID}-{n}" for n in range(50)),
    "removal": Removal(id=ID, reason="Duplicate", requested_at=NOON),
    "refused_at": NOON,
    "missing_since": NOON,
    "written_for": ID,
    "adoption": Adoption(objects=tuple(AdoptedObject(id=f"{ID}-{n}", owner="c/u") for n in range(60)), created_at=NOON,
                         claimed=ID),
}
FULL: dict[type[Resource], Status] = {
    AgentBuild: AgentBuildStatus(
        **OF_REMOTE, build_id=ID, agent_id=ID, image=BuiltImage(name="q", tag="v1", url="r.example.com/q:v1"),
        context_digest="0" * 64, inputs_digest="0" * 64, attempt=3, start_time=NOON, completion_time=NOON,
        source=SourceStatus(revision="9", digest="sha256:" + "0" * 64),
        failure_message="💥 failed", log_tail="\x1b[31mline\n" * 1000, last_handled_rebuild_requested_at="now",
        operator=BuildMemory(**REMEMBERED, retries_used=2, cancelled_for="TimedOut", source_fingerprint="0" * 64)),
    AgentDeployment: AgentDeploymentStatus(
        **OF_REMOTE, deployment_id=ID, build_id=ID, agent_name="q", namespace="n",
        helm_release_name="q", expires_at=NOON, last_healthy_deployment_id=ID, last_handled_extend_requested_at="now",
        operator=DeploymentMemory(**REMEMBERED, attempt=3, configuration_digest="0" * 64, predecessor_id=ID,
                                  progressing_since=NOON, corrections=Corrections(count=7, generation=1)),
        events=tuple(DeployEvent(type="Normal", reason="Pulled", message="m" * 512, timestamp=NOON)
                     for _ in range(10))),
    AgentexAccount: AccountStatus(
        **SAID, builds=BuildCounts(queued=1, running=2), throttled=True,
        deployments=DeploymentCounts(healthy=1, failed=2, previews=3)),
}


@pytest.mark.parametrize(("kind", "status"), FULL.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_full_status_is_stored_as_written(user: User, kind: type[Resource], status: Status) -> None:
    user.apply(an_object(kind.names.kind))
    user.kubectl("patch", kind.names.plural, "quote-bot", "--subresource=status", "--type=merge",
                 "-p", json.dumps({"status": status_as_dict(status)}))

    assert kind.parse(user.get(kind.names.plural)).status == status  # type: ignore[attr-defined]  # every kind's has one


def test_a_status_of_an_object_with_a_new_generation_is_still_the_old_ones(user: User) -> None:
    user.apply(an_object("AgentBuild"))
    user.kubectl("patch", "ab", "quote-bot", "--subresource=status", "--type=merge",
                 "-p", '{"status": {"observedGeneration": 1}}')
    user.apply(an_object("AgentBuild", suspend=True))
    build = AgentBuild.parse(user.get("ab"))

    assert (build.meta.generation, build.status.observed_generation) == (2, 1)
