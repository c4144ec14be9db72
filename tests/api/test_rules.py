"""Each CEL rule of the CRDs on a real API server: it refuses an example, and the error names the field and says why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.api.conftest import CRDS, User
from tests.api.objects import Object, an_object

KINDS = ("AgentBuild", "AgentDeployment", "AgentexAccount", "ClusterAgentexAccount")
WORDS = {"FieldValueInvalid": "Invalid value: .*: ", "FieldValueForbidden": "Forbidden: ",
         "FieldValueRequired": "Required value: ", "FieldValueDuplicate": "Duplicate value: .*: "}
HTTP = {"url": "https://files.example.com/a.tar.gz", "digest": "sha256:" + "0" * 64}
KEY = {"name": "quote-bot", "key": "k"}
IMAGE = {"url": "registry.example.com/quote-bot:v1"}
REFUSED: dict[str, list[Object]] = {
    "AgentBuild": [
        {"agentName": None}, {"agentID": "agent-7"},
        {"source": {}}, {"source": {"configMapKeyRef": KEY, "secretKeyRef": KEY}},
        {"source": {"secretKeyRef": KEY, "http": HTTP}},
        {"source": {"http": HTTP, "image": IMAGE}}, {"source": {"image": {"url": "quote-bot"}}},
        {"source": {"image": IMAGE}, "platform": "linux/arm64"},
        {"source": {"image": IMAGE}, "buildArgs": [{"name": "A", "value": ""}]},
        {"image": {"name": "Quote"}}, {"image": {"name": "quote", "tag": "-v1"}},
        {"context": {"path": ".."}}, {"context": {"manifest": "/m"}}, {"context": {"mountPath": "a/.."}},
        {"timeout": "48h"},
    ],
    "AgentDeployment": [
        {"buildRef": None}, {"buildID": "b-1"}, {"image": {"name": "q", "tag": "v1"}},
        {"buildRef": None, "buildID": "b-1"}, {"buildRef": None, "image": {"name": "Quote", "tag": "-v1"}},
        {"manifest": {}}, {"manifest": {"inline": "x", "configMapKeyRef": KEY}}, {"manifest": {"fromBuild": False}},
        {"manifest": {"inline": "x", "fromBuild": True}},
        {"environments": {}}, {"environments": {"inline": "x", "configMapKeyRef": KEY}},
        {"preview": {"ttl": "1h", "expiresAt": "2027-01-31T18:00:00Z"}}, {"preview": {"ttl": "0s"}},
        {"preview": {"expiresAt": "0001-01-01T00:00:00+14:00"}}, {"progressDeadline": "48h"},
    ],
    "AgentexAccount": [{"pollInterval": "10ms"}],
    "ClusterAgentexAccount": [{"pollInterval": "10ms"}],
}
EDITED: dict[str, list[Object]] = {
    "AgentBuild": [{"agentName": "other"}, {"agentName": None, "agentID": "agent-7"}, {"accountRef": {"name": "a"}}],
    "AgentDeployment": [{"accountRef": {"name": "a"}}, {"preview": {}}],
    "AgentexAccount": [{"endpoint": "https://b.example.com"}, {"accountID": "acct-2"}],
    "ClusterAgentexAccount": [{"endpoint": "https://b.example.com"}, {"accountID": "acct-2"}],
}


def rules(schema: Any, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every rule in a schema, with the path of the field that its error names."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"{path}{rule.get('fieldPath', '')}".removeprefix("."), rule
    for name, child in schema.get("properties", {}).items():
        yield from rules(child, f"{path}.{name}")


def errors(kind: str) -> list[str]:
    """What the API server says when it refuses an object of this kind by a rule, as regular expressions."""
    crd = yaml.safe_load((CRDS / f"agentex.scale.com_{kind.lower()}s.yaml").read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return [f"{re.escape(path)}: {WORDS[rule['reason']]}{re.escape(rule['message'])}"
            for path, rule in rules(schema, "")]


def listed(kind: str, specs: list[Object]) -> str:
    objects = [an_object(kind, **spec) for spec in specs]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_a_rule_refuses_is_told_the_field_the_reason_and_the_message(user: User, kind: str) -> None:
    user.apply(an_object(kind, "edited"))
    said = user.kubectl("create", "--dry-run=server", "-f", "-", body=listed(kind, REFUSED[kind]))
    said += "".join(user.would_apply(an_object(kind, "edited", **spec)) for spec in EDITED[kind])
    user.kubectl("delete", kind, "edited")

    assert [error for error in errors(kind) if not re.search(error, said)] == [], said
