"""A CRD's structural schema applied to an object: prune what it does not know, fill in defaults, say what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,),
    "boolean": (bool,), "integer": (int,), "number": (int, float),
}

LIMITS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum",
                    "maximum", "pattern"})
BOUNDS = ((str, ("minLength", "maxLength")), (list, ("minItems", "maxItems")),
          (dict, ("minProperties", "maxProperties")))


def copied(value: Any) -> Any:
    """Return a copy of a JSON value, all the way down."""
    return json.loads(json.dumps(value))


def pruned(schema: Schema, value: Any) -> Any:
    """Return a copy of the value without nulls, and without the members that the schema does not name."""
    if isinstance(value, dict) and not schema.get(PRESERVE):
        known = {key: _member(schema, key) for key, member in value.items() if member is not None}
        return {key: pruned(member, value[key]) for key, member in known.items() if member is not None}
    if isinstance(value, list):
        return [pruned(schema.get("items", {PRESERVE: True}), item) for item in value]
    return copied(value) if isinstance(value, dict) else value


def defaults_of(schema: Schema) -> Schema:
    """Return the part of a schema that leads to defaults; empty where there is none."""
    found = {key: part for key in ("items", "additionalProperties")
             if isinstance(schema.get(key), Mapping) and (part := defaults_of(schema[key]))}
    members = {key: part for key, member in _properties(schema).items() if (part := defaults_of(member))}
    own = {"default": schema["default"]} if "default" in schema else {}
    return {**found, **own, **({"properties": members} if members else {})}


def fill_in(defaults: Schema, value: Any) -> None:
    """Add to the value every default that it lacks; `defaults` is what `defaults_of` returns."""
    if isinstance(value, dict):
        known = _properties(defaults)
        value.update({key: copied(member["default"]) for key, member in known.items()
                      if "default" in member and key not in value})
        for key in value if "additionalProperties" in defaults else known.keys() & value.keys():
            fill_in(_member(defaults, key), value[key])
    if isinstance(value, list) and "items" in defaults:
        for item in value:
            fill_in(defaults["items"], item)


def errors(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """Yield one sentence for each rule that the value breaks. Only the rules named in the package are known."""
    kind = schema.get("type")
    if kind is not None and not _is_a(kind, value):
        yield f"{path}: Invalid value: must be of type {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: Unsupported value: {value!r}"
    yield from _bounds(schema, value, path)
    if isinstance(value, dict):
        yield from _member_errors(schema, value, path)
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from errors(schema.get("items", {}), item, f"{path}[{number}]")


def _member_errors(schema: Schema, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{path}.{key}: Required value"
    for key, member in value.items():
        yield from errors(_member(schema, key) or {}, member, f"{path}.{key}")


def _bounds(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if LIMITS.isdisjoint(schema):
        return
    size = len(value) if isinstance(value, str | list | dict) else value
    low, high = next((bound for kind, bound in BOUNDS if isinstance(value, kind)), ("minimum", "maximum"))
    if not schema.get(low, size) <= size <= schema.get(high, size):
        yield f"{path}: Invalid value: must be between {schema.get(low)} and {schema.get(high)}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{path}: Invalid value: must match {schema['pattern']}"


def _is_a(kind: str, value: Any) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _properties(schema: Schema) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("properties", {})
    return found


def _member(schema: Schema, key: str) -> Any:
    """The schema of a member; None of one that the schema does not know."""
    if key in _properties(schema):
        return _properties(schema)[key]
    if isinstance(schema.get("additionalProperties"), Mapping):
        return schema["additionalProperties"]
    return {PRESERVE: True} if schema.get(PRESERVE) else None
