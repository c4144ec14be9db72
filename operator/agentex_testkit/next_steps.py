"""The judge of messages: whether the next step that a condition names can be taken where the condition appears."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from agentex_testkit.api_server import Object

CRDS: Final = Path(__file__).resolve().parents[2] / "crds"
_FIELD: Final = re.compile(r"\bspec(?:\.[A-Za-z][A-Za-z0-9]*|\.\d+)+")
_OBJECT: Final = re.compile(
    r"\b(ConfigMap|Secret|AgentBuild|AgentDeployment|AgentexAccount|ClusterAgentexAccount) '([^']+)'")
_KIND: Final = re.compile(r"\b(AgentBuild|AgentDeployment|AgentexAccount|ClusterAgentexAccount)\b")
_JOINED: Final = re.compile(
    r"[^.!?…:`] (?:Add|Ask|Change|Check|Correct|Create|Delete|Edit|Give|Keep|Make|Name|Publish|Put|Raise|Remove|"
    r"Replace|Restore|Run|Set|Write) ")
_CREATES: Final = re.compile(r"\b[Cc]reate (it|one|an?|this)\b")
_OTHER_OBJECT: Final = re.compile(r"\b(anew|another|immutable|create)\b")


@cache
def _schema_of(kind: str) -> Mapping[str, Any]:
    """The schema of a custom resource."""
    crd = yaml.safe_load((CRDS / f"agentex.scale.com_{kind.lower()}s.yaml").read_text())
    schema: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _spec_of(kind: str) -> Mapping[str, Any]:
    """The schema of the spec of a custom resource."""
    spec: Mapping[str, Any] = _schema_of(kind)["properties"]["spec"]
    return spec


def has_field(kind: str, path: str) -> bool:
    """Whether the kind has a field of this path, for example `spec.source.http.url`; a number is an item of a list."""
    found: Any = _spec_of(kind)
    for part in path.split(".")[1:]:
        found = found.get("items") if part.isdigit() else (found.get("properties") or {}).get(part)
        if found is None:
            return False
    return True


def immutable_fields(kind: str) -> frozenset[str]:
    """The fields whose value the API server lets nobody change."""
    rules = [(path, rule) for path, schema in (("", _schema_of(kind)), (".spec", _spec_of(kind)))
             for rule in schema.get("x-kubernetes-validations", [])]
    return frozenset(f"{path}{field}".removeprefix(".") for path, rule in rules
                     if (field := rule["fieldPath"]) and f"self{field} == oldSelf{field}" in rule["rule"])


def faults(obj: Object, others: Iterable[Object]) -> list[str]:
    """All reasons why a next step in the conditions of `obj` cannot be taken; `others`: the objects of the cluster."""
    known = {(one["kind"], one["metadata"]["name"]): one for one in others}
    names = _names_within_reach(obj, known)
    messages = {one["message"] for one in (obj.get("status") or {}).get("conditions", [])}
    return [f"{fault}: {message}" for message in messages for fault in _faults(obj, message, names)]


def _faults(obj: Object, message: str, names: frozenset[str]) -> Iterator[str]:
    if message[-1:] not in ".!?…":
        yield "it does not end as a sentence"
    if _JOINED.search(message) or ".." in message.replace("../", ""):
        yield "two sentences are not joined by one full stop"
    yield from (f"no such field as {path}" for path in _unknown_fields(obj["kind"], message))
    yield from (f"{path} is immutable" for path in _impossible_edits(obj["kind"], message))
    yield from (f"{kind} {name} is not within reach of the resource" for kind, name in _OBJECT.findall(message)
                if name not in names)
    if obj["metadata"].get("deletionTimestamp") and _CREATES.search(message):
        yield "nothing can be created in a namespace that is being deleted"


def _unknown_fields(kind: str, message: str) -> list[str]:
    """The fields that neither the resource has nor an object whose kind the message names."""
    kinds = {kind, *_KIND.findall(message)}
    return [path for path in _FIELD.findall(message) if not any(has_field(one, path) for one in kinds)]


def _impossible_edits(kind: str, message: str) -> list[str]:
    """The immutable fields of a message that has no word of another object in the same sentence."""
    sentences = re.split(r"(?<=[.!?]) ", message)
    return [path for one in sentences for path in _FIELD.findall(one)
            if ".".join(path.split(".")[:2]) in immutable_fields(kind) and not _OTHER_OBJECT.search(one)]


def _names_within_reach(obj: Object, known: Mapping[tuple[str, str], Object]) -> frozenset[str]:
    """The names in the spec and the recorded account of a resource, and in the specs of what they name."""
    names = frozenset(_names_in(obj.get("spec"))) | frozenset(_names_in((obj.get("status") or {}).get("account")))
    reached = names | {"default", obj["metadata"]["name"]}
    further = [one for (_, name), one in known.items() if name in reached]
    return reached | frozenset(name for one in further for name in _names_in(one.get("spec")))


def _names_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("name"), str):
            yield value["name"]
        for one in value.values():
            yield from _names_in(one)
