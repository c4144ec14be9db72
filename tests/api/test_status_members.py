"""The operator's own memory in a status, and the fields that acknowledge the requests of users."""

from __future__ import annotations

from typing import Any

import pytest

from agentex_operator.api import crds
from agentex_operator.api.build import AgentBuild, AgentBuildStatus
from agentex_operator.api.deployment import AgentDeployment, AgentDeploymentStatus
from agentex_operator.api.metadata import (
    EXTEND_REQUESTED_AT,
    FLUX_RECONCILE,
    REBUILD_REQUESTED_AT,
    RECONCILE_REQUESTED_AT,
    Resource,
)
from agentex_operator.api.operator_memory import BuildMemory, DeploymentMemory, OperatorMemory
from agentex_operator.api.status import RemoteStatus, status_as_dict

REQUESTS: dict[str, str] = {
    RECONCILE_REQUESTED_AT: "lastHandledReconcileRequestedAt",
    FLUX_RECONCILE: "lastHandledReconcileAt",
    REBUILD_REQUESTED_AT: "lastHandledRebuildRequestedAt",
    EXTEND_REQUESTED_AT: "lastHandledExtendRequestedAt",
}
REMEMBERED: tuple[tuple[type[RemoteStatus], OperatorMemory], ...] = (
    (AgentBuildStatus, BuildMemory()), (AgentDeploymentStatus, DeploymentMemory()))
KINDS = pytest.mark.parametrize("kind", [AgentBuild, AgentDeployment], ids=lambda kind: kind.names.kind)


def status_schema(kind: type[Resource]) -> dict[str, Any]:
    found: dict[str, Any] = crds.schema(kind)["properties"]["status"]["properties"]
    return found


def test_each_request_annotation_has_a_field_of_its_own_that_names_it() -> None:
    described = {name: schema["description"] for kind in crds.COLUMNS for name, schema in status_schema(kind).items()}

    assert {name for name in described if name.startswith("lastHandled")} == {*REQUESTS.values()}
    assert {member: [one for one in REQUESTS if f" {one} " in described[member]] for member in REQUESTS.values()} == {
        member: [annotation] for annotation, member in REQUESTS.items()}


@KINDS
def test_the_memory_is_described_as_not_for_readers(kind: type[Resource]) -> None:
    described = status_schema(kind)["operator"]["description"]

    assert "not for readers" in described
    assert "no stable shape" in described


@pytest.mark.parametrize(("kind", "empty"), REMEMBERED, ids=["AgentBuild", "AgentDeployment"])
def test_without_anything_to_remember_there_is_no_memory(kind: Any, empty: OperatorMemory) -> None:
    assert "operator" not in status_as_dict(kind(operator=empty))
    assert status_as_dict(kind(operator=type(empty)(condemned=("b-1",))))["operator"] == {"condemned": ["b-1"]}
