"""Which field of the remote record each leaf of a spec reaches, or why it reaches none.

checks.py compares records by this table, and tests/faults/test_specs.py compares the table with the CRDs: a new leaf
without a line here fails.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldTarget:
    """The field of the remote record that a leaf reaches; or None, and `why` says what the leaf does instead."""

    field: str | None
    why: str = ""


def maps_to(field: str) -> FieldTarget:
    """It reaches this field."""
    return FieldTarget(field)


def no_field(why: str) -> FieldTarget:
    """It reaches no field, for this reason."""
    return FieldTarget(None, why)


WHERE = "says where the record is created, not what is in it: the account of the record"
CONTENT = "context_archive"
CREDENTIALS = no_field("the credentials of a download; they are sent to the source and never to Agentex")

BUILD = {
    "agentName": maps_to("agent"),
    "agentID": maps_to("agent_id"),
    "accountRef.kind": no_field(WHERE),
    "accountRef.name": maps_to("account"),
    "image.name": maps_to("image_name"),
    "image.tag": maps_to("image_tag"),
    "source.configMapKeyRef.name": maps_to(CONTENT),
    "source.configMapKeyRef.key": maps_to(CONTENT),
    "source.secretKeyRef.name": maps_to(CONTENT),
    "source.secretKeyRef.key": maps_to(CONTENT),
    "source.http.url": maps_to(CONTENT),
    "source.http.digest": no_field("pins the downloaded bytes; they are staged anew, and have another digest then"),
    "source.http.interval": no_field("how often the address is looked at; what is found there is staged"),
    "source.http.secretRef.name": CREDENTIALS,
    "source.image.url": maps_to("copied_from"),
    "context.path": maps_to(CONTENT),
    "context.manifest": maps_to(CONTENT),
    "context.mountPath": no_field("for a manifest whose root leads above the source; the root of all plans is inside"),
    "buildArgs": maps_to("build_args"),
    "buildArgs[].name": maps_to("build_args"),
    "buildArgs[].value": maps_to("build_args"),
    "platform": maps_to("platform"),
    "timeout": no_field("kept on the operator's own clock: the API has no timeout; a build beyond it is cancelled"),
    "retries": no_field("counts further creates, each the same"),
    "cancel": no_field("a cancel call, or no create"),
    "suspend": no_field("no create and no cancel"),
    "deletionPolicy": no_field("a cancel call at the deletion, or none"),
    "adopt.buildID": no_field("names a record that exists, instead of a create"),
}

DEPLOYMENT = {
    "accountRef.kind": no_field(WHERE),
    "accountRef.name": maps_to("account"),
    "buildRef.name": maps_to("build_id"),
    "buildID": maps_to("build_id"),
    "image.name": maps_to("build_id"),
    "image.tag": maps_to("build_id"),
    "manifest.inline": maps_to("manifest_file"),
    "manifest.configMapKeyRef.name": maps_to("manifest_file"),
    "manifest.configMapKeyRef.key": maps_to("manifest_file"),
    "manifest.fromBuild": maps_to("manifest_file"),
    "environments.inline": maps_to("environment_config"),
    "environments.configMapKeyRef.name": maps_to("environment_config"),
    "environments.configMapKeyRef.key": maps_to("environment_config"),
    "environment": maps_to("environment_config"),
    "preview.label": maps_to("preview_label"),
    "preview.ttl": maps_to("expires_at"),
    "preview.expiresAt": maps_to("expires_at"),
    "preview.onExpiry": no_field("what becomes of the resource, not of the remote, when the preview has ended"),
    "progressDeadline": no_field("kept on the operator's own clock; a slow rollout is reported and followed further"),
    "onExternalChange": no_field("whether another create answers what somebody else did"),
    "suspend": no_field("no create and no delete"),
    "deletionPolicy": no_field("a delete call at the deletion, or none"),
    "adopt.deploymentID": no_field("names a record that exists, instead of a create"),
}

ACCOUNT = {
    "endpoint": no_field("the address of every call"),
    "accountID": no_field("the header x-selected-account-id of every call; on every record as `account`"),
    "apiKeySecretRef.name": no_field("the header x-api-key of every call"),
    "apiKeySecretRef.key": no_field("the header x-api-key of every call"),
    "pollInterval": no_field("how often is asked"),
    "limits.requestsPerSecond": no_field("how often is asked at most"),
}

SELECTOR = no_field("decides here who may use the account; nothing is sent")

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

FIELD_MAP: dict[str, dict[str, FieldTarget]] = {
    "AgentBuild": BUILD,
    "AgentDeployment": DEPLOYMENT,
    "AgentexAccount": ACCOUNT,
    "ClusterAgentexAccount": CLUSTER_ACCOUNT,
}
