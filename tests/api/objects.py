"""Valid objects, as a user would write them; a test shows only what is different about its own."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Object = dict[str, Any]

SPECS: dict[str, Object] = {
    "AgentBuild": {
        "agentName": "quote-bot",
        "image": {"name": "quote-bot"},
        "source": {"configMapKeyRef": {"name": "quote-bot", "key": "context.tar.gz"}},
    },
    "AgentDeployment": {
        "buildRef": {"name": "quote-bot"},
        "manifest": {"fromBuild": True},
        "environments": {"configMapKeyRef": {"name": "quote-bot", "key": "environments.yaml"}},
    },
    "AgentexAccount": {
        "endpoint": "https://api.example.com",
        "accountID": "acct-1",
        "apiKeySecretRef": {"name": "agentex", "key": "api-key"},
    },
}
SPECS["ClusterAgentexAccount"] = SPECS["AgentexAccount"]


def an_object(kind: str, name: str = "quote-bot", **spec: Any) -> Object:
    """An object of this kind; a member of its spec is replaced, or removed by None."""
    members = {**deepcopy(SPECS[kind]), **spec}
    return {
        "apiVersion": "agentex.scale.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {key: value for key, value in members.items() if value is not None},
    }


def as_stored(obj: Object, **metadata: Any) -> Object:
    """The object with the metadata that an API server gives it."""
    given = {
        "namespace": "team-a",
        "uid": "11111111-2222-3333-4444-555555555555",
        "generation": 1,
        "resourceVersion": "7",
        "creationTimestamp": "2026-11-24T03:00:00Z",
    }
    return {**obj, "metadata": {**obj["metadata"], **given, **metadata}}
