"""Where each leaf of each spec goes: the field of the remote record that it reaches, or why it reaches none.

The consistency oracle of transitions.py goes by this table, and tests/faults/test_specs.py compares it with the CRDs: a
new leaf without a line here fails.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """A leaf's way. `field`: of the remote record; None: it stays here, and `why` says what it does instead."""

    field: str | None
    why: str = ""


def to(field: str) -> Reach:
    """It reaches this field."""
    return Reach(field)


def none(why: str) -> Reach:
    """It reaches no field, for this reason."""
    return Reach(None, why)


WHERE = "says where the record is created, not what is in it: the account of the record"
CONTENT = "context_archive"
CREDENTIALS = none("the credentials of a download; they are sent to the source and never to Agentex")

BUILD = {
    "agentName": to("agent"),
    "agentID": to("agent_id"),
    "accountRef.kind": none(WHERE),
    "accountRef.name": to("account"),
    "image.name": to("image_name"),
    "image.tag": to("image_tag"),
    "source.configMap.name": to(CONTENT),
    "source.configMap.key": to(CONTENT),
    "source.secret.name": to(CONTENT),
    "source.secret.key": to(CONTENT),
    "source.http.url": to(CONTENT),
    "source.http.digest": none("pins the bytes that are downloaded; they are staged anew, so the archive has another"),
    "source.http.secretRef.name": CREDENTIALS,
    "source.image.url": to("copied_from"),
    "context.path": to(CONTENT),
    "context.manifest": to(CONTENT),
    "buildArgs": to("build_args"),
    "buildArgs[].name": to("build_args"),
    "buildArgs[].value": to("build_args"),
    "platform": to("platform"),
    "timeout": none("kept on the operator's own clock: the API has no timeout; a build beyond it is cancelled"),
    "retries": none("counts further creates, each the same"),
    "cancel": none("a cancel call, or no create"),
    "suspend": none("no create and no cancel"),
    "deletionPolicy": none("a cancel call at the deletion, or none"),
}

DEPLOYMENT = {
    "accountRef.kind": none(WHERE),
    "accountRef.name": to("account"),
    "buildRef.name": to("build_id"),
    "buildID": to("build_id"),
    "image.name": to("build_id"),
    "image.tag": to("build_id"),
    "manifest.inline": to("manifest_file"),
    "manifest.configMapKeyRef.name": to("manifest_file"),
    "manifest.configMapKeyRef.key": to("manifest_file"),
    "manifest.fromBuild": to("manifest_file"),
    "environments.inline": to("environment_config"),
    "environments.configMapKeyRef.name": to("environment_config"),
    "environments.configMapKeyRef.key": to("environment_config"),
    "environment": to("environment_config"),
    "preview.label": to("preview_label"),
    "preview.ttl": to("expires_at"),
    "preview.expiresAt": to("expires_at"),
    "preview.onExpiry": none("what becomes of the resource, not of the remote, when the preview has ended"),
    "progressDeadline": none("kept on the operator's own clock; a slow rollout is reported and followed further"),
    "onExternalChange": none("whether another create answers what somebody else did"),
    "suspend": none("no create and no delete"),
    "deletionPolicy": none("a delete call at the deletion, or none"),
}

ACCOUNT = {
    "endpoint": none("the address of every call"),
    "accountID": none("the header x-selected-account-id of every call; on every record as `account`"),
    "apiKeySecretRef.name": none("the header x-api-key of every call"),
    "apiKeySecretRef.key": none("the header x-api-key of every call"),
    "pollInterval": none("how often is asked"),
    "limits.requestsPerSecond": none("how often is asked at most"),
}

SELECTOR = none("decides here who may use the account; nothing is sent")

CLUSTER_ACCOUNT = ACCOUNT | {
    "namespaceSelector.matchLabels": SELECTOR,
    "namespaceSelector.matchLabels.*": SELECTOR,
    "namespaceSelector.matchExpressions": SELECTOR,
    "namespaceSelector.matchExpressions[].key": SELECTOR,
    "namespaceSelector.matchExpressions[].operator": SELECTOR,
    "namespaceSelector.matchExpressions[].values": SELECTOR,
    "namespaceSelector.matchExpressions[].values[]": SELECTOR,
    "default": SELECTOR,
}

REACHES: dict[str, dict[str, Reach]] = {
    "AgentBuild": BUILD,
    "AgentDeployment": DEPLOYMENT,
    "AgentexAccount": ACCOUNT,
    "ClusterAgentexAccount": CLUSTER_ACCOUNT,
}
