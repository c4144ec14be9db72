"""Each CEL rule of the CRDs on a real API server: it refuses an example, and the error names the field and says why.

A new rule needs an example in REFUSED or UNCHANGEABLE of test_admission.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml
from tests.api.conftest import CRDS, User
from tests.api.objects import Object
from tests.api.test_admission import REFUSED, UNCHANGEABLE

KINDS = ("AgentBuild", "AgentDeployment", "AgentexAccount", "ClusterAgentexAccount")
WORDS = {"FieldValueInvalid": "Invalid value: .*: ", "FieldValueForbidden": "Forbidden: ",
         "FieldValueRequired": "Required value: ", "FieldValueDuplicate": "Duplicate value: .*: "}


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


def examples(kind: str, objects: Iterable[Object]) -> Iterator[Object]:
    """The objects of this kind; for the cluster kind of accounts those of the other kind, which has the same rules."""
    of = "AgentexAccount" if kind == "ClusterAgentexAccount" else kind
    yield from ({**obj, "kind": kind} for obj in objects if obj["kind"] == of)


def listed(objects: Iterable[Object]) -> str:
    """The objects as one file, each with a name of its own."""
    items = [{**obj, "metadata": {"name": f"example-{number}"}} for number, obj in enumerate(objects)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


@pytest.mark.parametrize("kind", KINDS)
def test_each_rule_refuses_an_example_and_names_its_field_its_reason_and_its_message(user: User, kind: str) -> None:
    invalid = listed(examples(kind, (obj for obj, _ in REFUSED.values())))
    before = listed(examples(kind, (obj for obj, _, _ in UNCHANGEABLE.values())))
    after = listed(examples(kind, (obj for _, obj, _ in UNCHANGEABLE.values())))

    said = user.kubectl("create", "--dry-run=server", "--validate=false", "-f", "-", body=invalid)
    user.kubectl("create", "-f", "-", body=before)
    said += user.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", body=after)
    user.kubectl("delete", "-f", "-", body=before)

    assert [error for error in errors(kind) if not re.search(error, said)] == [], said
