"""The shape that the API promises: the path, the type and the values of each field, compared with the CRDs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentex_operator.api import crds

Schema = dict[str, Any]
MEMORY = "status.operator"  # its members have no stable shape

STATUS = """
status.observedGeneration integer
status.phase string
status.conditions array
status.conditions[].type string
status.conditions[].status string True|False|Unknown
status.conditions[].reason string
status.conditions[].message string
status.conditions[].observedGeneration integer
status.conditions[].lastTransitionTime string
status.lastHandledReconcileAt string
status.lastHandledReconcileRequestedAt string
"""
REMOTE_STATUS = f"""{STATUS}
status.account object
status.account.kind string
status.account.name string
status.account.accountID string
status.account.endpoint string
status.remoteStatus string
status.buildID string
{MEMORY} object
"""
REMOTE_SPEC = """
spec.accountRef object
spec.accountRef.kind string AgentexAccount|ClusterAgentexAccount
spec.accountRef.name string
spec.image object
spec.image.name string
spec.image.tag string
spec.suspend boolean
spec.deletionPolicy string Delete|Orphan
spec.adopt object
"""
ACCOUNT = f"""{STATUS}
spec.endpoint string
spec.accountID string
spec.apiKeySecretRef object
spec.apiKeySecretRef.name string
spec.apiKeySecretRef.key string
spec.pollInterval string
spec.limits object
spec.limits.requestsPerSecond integer
status.builds object
status.builds.queued integer
status.builds.running integer
status.deployments object
status.deployments.healthy integer
status.deployments.failed integer
status.deployments.previews integer
status.throttled boolean
"""
PROMISED = {
    "AgentBuild": f"""{REMOTE_SPEC}{REMOTE_STATUS}
spec.agentName string
spec.agentID string
spec.source object
spec.source.configMapKeyRef object
spec.source.configMapKeyRef.name string
spec.source.configMapKeyRef.key string
spec.source.secretKeyRef object
spec.source.secretKeyRef.name string
spec.source.secretKeyRef.key string
spec.source.http object
spec.source.http.url string
spec.source.http.digest string
spec.source.http.interval string
spec.source.http.secretRef object
spec.source.http.secretRef.name string
spec.source.image object
spec.source.image.url string
spec.context object
spec.context.path string
spec.context.manifest string
spec.context.mountPath string
spec.buildArgs array
spec.buildArgs[].name string
spec.buildArgs[].value string
spec.platform string linux/amd64|linux/arm64|linux/arm/v7
spec.timeout string
spec.retries integer
spec.cancel boolean
spec.adopt.buildID string
status.agentID string
status.image object
status.image.name string
status.image.tag string
status.image.url string
status.contextDigest string
status.inputsDigest string
status.source object
status.source.revision string
status.source.digest string
status.attempt integer
status.startTime string
status.completionTime string
status.failureMessage string
status.logTail string
status.lastHandledRebuildRequestedAt string
""",
    "AgentDeployment": f"""{REMOTE_SPEC}{REMOTE_STATUS}
spec.buildRef object
spec.buildRef.name string
spec.buildID string
spec.manifest object
spec.manifest.inline string
spec.manifest.configMapKeyRef object
spec.manifest.configMapKeyRef.name string
spec.manifest.configMapKeyRef.key string
spec.manifest.fromBuild boolean
spec.environments object
spec.environments.inline string
spec.environments.configMapKeyRef object
spec.environments.configMapKeyRef.name string
spec.environments.configMapKeyRef.key string
spec.environment string
spec.preview object
spec.preview.label string
spec.preview.ttl string
spec.preview.expiresAt string
spec.preview.onExpiry string Retain|Delete
spec.progressDeadline string
spec.onExternalChange string Report|Correct
spec.adopt.deploymentID string
status.deploymentID string
status.lastHealthyDeploymentID string
status.agentName string
status.helmReleaseName string
status.namespace string
status.expiresAt string
status.events array
status.events[].type string
status.events[].reason string
status.events[].message string
status.events[].timestamp string
status.lastHandledExtendRequestedAt string
""",
    "AgentexAccount": ACCOUNT,
    "ClusterAgentexAccount": f"""{ACCOUNT}
spec.default boolean
spec.namespaceSelector object
spec.namespaceSelector.matchLabels object
spec.namespaceSelector.matchExpressions array
spec.namespaceSelector.matchExpressions[].key string
spec.namespaceSelector.matchExpressions[].operator string In|NotIn|Exists|DoesNotExist
spec.namespaceSelector.matchExpressions[].values array
""",
}
SCHEMAS = {kind.names.kind: crds.schema(kind) for kind in crds.COLUMNS}


def fields(schema: Schema, path: str) -> Iterator[str]:
    """Each field within a schema as a line: path, type and values."""
    for name, child in schema.get("properties", {}).items():
        inner = f"{path}{name}"
        yield " ".join((inner, child["type"], "|".join(child.get("enum", ())))).rstrip()
        if inner != MEMORY:
            yield from fields(child, f"{inner}.")
            yield from fields(child.get("items", {}), f"{inner}[].")


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_fields_of_a_kind_are_those_that_the_api_promises(kind: str) -> None:
    parts = SCHEMAS[kind]["properties"]
    found = {line for part in ("spec", "status") for line in fields(parts[part], f"{part}.")}

    assert found == {line for line in PROMISED[kind].splitlines() if line}
