"""The CustomResourceDefinitions, generated from the models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

import yaml

from agentex_operator.api.account import AgentexAccount, ClusterAgentexAccount
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.api.metadata import Resource
from agentex_operator.api.schema import CATEGORY, GROUP, VERSION, Names
from agentex_operator.api.structural import Schema, structural

HEADER: Final = "# Made from operator/agentex_operator/api by `make crds`. Do not edit.\n"
UNTOUCHED: Final = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}  # a message may contain ${...}


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; `wide` ones appear with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The column as the CRD has it."""
        return {"name": self.name, "type": self.type, "jsonPath": self.path} | ({"priority": 1} if self.wide else {})


def _ready(part: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{part}'


FIRST: Final = (Column("Ready", _ready("status")), Column("Reason", _ready("reason")))
AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")
MESSAGE: Final = Column("Message", _ready("message"), wide=True)
ACCOUNT: Final = (Column("Account", ".spec.accountID"), Column("Endpoint", ".spec.endpoint"))
THROTTLED: Final = Column("Throttled", ".status.throttled", "boolean", wide=True)
COLUMNS: Final[dict[type[Resource], tuple[Column, ...]]] = {
    AgentBuild: (Column("Image", ".spec.image.name"), Column("Tag", ".status.image.tag"), AGE,
                 Column("Build-ID", ".status.buildID", wide=True),
                 Column("Account", ".status.account.name", wide=True), MESSAGE),
    # The type `date` would show how long ago a moment was, and of a moment to come `<invalid>`.
    AgentDeployment: (Column("Build", ".spec.buildRef.name"), Column("Environment", ".spec.environment"),
                      Column("Expires", ".status.expiresAt"), AGE,
                      Column("Deployment-ID", ".status.deploymentID", wide=True),
                      Column("Namespace", ".status.namespace", wide=True), MESSAGE),
    AgentexAccount: (*ACCOUNT, AGE, THROTTLED, MESSAGE),
    ClusterAgentexAccount: (*ACCOUNT, Column("Default", ".spec.default", "boolean"), AGE, THROTTLED, MESSAGE),
}
SELECTABLE: Final[dict[type[Resource], tuple[str, ...]]] = {
    AgentBuild: (".spec.agentName", ".status.buildID"),
    AgentDeployment: (".spec.buildRef.name", ".status.agentName"),
    AgentexAccount: (".spec.accountID",),
    ClusterAgentexAccount: (".spec.accountID",),
}


def crds() -> dict[str, str]:
    """The YAML of every CRD, by the name of its file."""
    return {f"{GROUP}_{kind.names.plural}.yaml": _as_yaml(definition(kind)) for kind in COLUMNS}


def write_crds(directory: Path) -> None:
    """Write every CRD into a directory that exists."""
    for name, text in crds().items():
        (directory / name).write_text(text, encoding="utf-8")


def definition(kind: type[Resource]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    names = kind.names
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}", "annotations": dict(UNTOUCHED)},
        "spec": {
            "group": GROUP,
            "names": _names(names),
            "scope": "Namespaced" if names.namespaced else "Cluster",
            "versions": [_version(kind)],
        },
    }


def _names(names: Names) -> dict[str, Any]:
    return {
        "kind": names.kind,
        "listKind": f"{names.kind}List",
        "plural": names.plural,
        "singular": names.singular,
        "shortNames": [names.short],
        "categories": [CATEGORY],
    }


def _version(kind: type[Resource]) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.as_dict() for column in (*FIRST, *COLUMNS[kind])],
        "selectableFields": [{"jsonPath": path} for path in SELECTABLE[kind]],
        "schema": {"openAPIV3Schema": schema(kind)},
    }


def schema(kind: type[Resource]) -> Schema:
    """The structural schema of the whole object; observedGeneration is -1 until the operator has seen it (R1)."""
    parts = get_type_hints(kind)
    status, whole = structural(parts["status"], defaults=False), structural(kind)
    rules = whole.get("x-kubernetes-validations")
    return {
        "type": "object",
        "description": whole["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always `{GROUP}/{VERSION}`."},
            "kind": {"type": "string", "description": f"Always `{kind.names.kind}`."},
            "metadata": {"type": "object"},
            "spec": structural(parts["spec"]),
            "status": {**status, "default": {"observedGeneration": -1}},
        },
    } | ({"x-kubernetes-validations": rules} if rules else {})


def _as_yaml(crd: dict[str, Any]) -> str:
    text: str = yaml.dump(crd, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
    return HEADER + text


class _Plain(yaml.SafeDumper):
    """Writes no anchors, and text of several lines as a block."""

    def ignore_aliases(self, _value: Any) -> bool:
        """Always True: no value is written as an alias."""
        return True

    def represent_scalar(self, tag: str, value: Any, style: str | None = None) -> yaml.ScalarNode:
        """The node of a value, with text of several lines as a block."""
        lines = isinstance(value, str) and "\n" in value
        return super().represent_scalar(tag, value, "|" if lines else style)
