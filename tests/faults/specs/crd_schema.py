"""The properties of a spec, read from the generated CRDs: each with its schema, and whether it may change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Json = Any
Schema = Mapping[str, Any]

CRDS = Path(__file__).resolve().parents[3] / "crds"
KINDS = ("AgentBuild", "AgentDeployment", "AgentexAccount", "ClusterAgentexAccount")
ITEM, VALUE = "[]", "*"
MEMBER = re.compile(r"has\(self\.(\w+)\)")
FIXED_PRESENCE = re.compile(r"has\(self\.(\w+)\) == has\(oldSelf\.\1\)")
BETWEEN = re.compile(r"duration between (\S+) and (\S+)$")


@dataclass(frozen=True)
class Property:
    """One property of a spec. `path` names it: members, `[]` for the items of a list, `*` for the values of a map."""

    kind: str
    path: tuple[str, ...]
    schema: Schema
    required: bool
    frozen: bool = False  # it, or something it is part of, cannot be changed
    anchored: bool = False  # it cannot be added or removed

    @property
    def name(self) -> str:
        """The property as a person writes it: `source.configMapKeyRef.key`, `buildArgs[].name`."""
        return ".".join(self.path).replace(f".{ITEM}", ITEM)

    @property
    def is_leaf(self) -> bool:
        """Whether the property has a value of its own, not only members."""
        return "properties" not in self.schema


@cache
def object_schema(kind: str) -> Schema:
    """The schema of a whole object of this kind, as the API server has it."""
    (crd,) = (one for one in map(_load, sorted(CRDS.glob("*.yaml"))) if one["spec"]["names"]["kind"] == kind)
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def spec_schema(kind: str) -> Schema:
    """The schema of the spec of this kind."""
    schema: Schema = object_schema(kind)["properties"]["spec"]
    return schema


@cache
def properties(kind: str) -> tuple[Property, ...]:
    """Every property below the spec, parents first."""
    return tuple(_below(Property(kind, (), spec_schema(kind), required=True)))


def words(schema: Schema) -> tuple[Json, ...]:
    """The values that an enum or a boolean may have; empty for another type."""
    if schema.get("type") != "boolean":
        return tuple(schema.get("enum", ()))
    return (True,) if any(rule == "self" for rule in _rules(schema)) else (True, False)


def leaves(kind: str) -> tuple[Property, ...]:
    """The properties that have values of their own."""
    return tuple(one for one in properties(kind) if one.is_leaf)


def one_of(schema: Schema) -> tuple[str, ...]:
    """The members of which exactly one must be there; empty where no rule says so."""
    return _choice(schema, "set exactly one of ")


def at_most_one_of(schema: Schema) -> tuple[str, ...]:
    """The members of which at most one may be there."""
    return _choice(schema, "set at most one of ")


def _choice(schema: Schema, says: str) -> tuple[str, ...]:
    """The members in the rules whose message begins so."""
    rules = (one["rule"] for one in schema.get("x-kubernetes-validations", ()) if one["message"].startswith(says))
    return tuple(dict.fromkeys(member for rule in rules for member in MEMBER.findall(rule)))


def _rules(schema: Schema) -> list[str]:
    return [one["rule"] for one in schema.get("x-kubernetes-validations", ())]


def span(schema: Schema) -> tuple[str, str] | None:
    """The shortest and the longest duration that the rule allows; None where there is no such rule."""
    said = (one["message"] for one in schema.get("x-kubernetes-validations", ()))
    return next(((found[1], found[2]) for found in map(BETWEEN.search, said) if found), None)


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.CSafeLoader)


def _below(parent: Property) -> Iterator[Property]:
    for step, schema, required in _children(parent.schema):
        frozen, anchored = _fixed(_rules(parent.schema), step)
        if not parent.path:
            frozen |= _fixed(_rules(object_schema(parent.kind)), f"spec.{step}")[0]
        child = Property(parent.kind, (*parent.path, step), schema, required, frozen or parent.frozen, anchored)
        yield child
        yield from _below(child)


def _children(schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    required = schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        yield name, child, name in required
    if "items" in schema:
        yield ITEM, schema["items"], True
    if "additionalProperties" in schema:
        yield VALUE, schema["additionalProperties"], True


def _fixed(rules: list[str], member: str) -> tuple[bool, bool]:
    """Whether a rule about the old self holds the member's value, and whether one holds its presence."""
    return (any(f"self.{member} == oldSelf.{member}" in rule for rule in rules),
            any(member in FIXED_PRESENCE.findall(rule) for rule in rules))
