"""A CRD's structural schema applied to an object: prune what it does not know, fill in defaults, say what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
ANYTHING: Schema = {PRESERVE: True}
NONE: Schema = {}
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
    if isinstance(value, list):
        items = schema.get("items", ANYTHING)
        return [pruned(items, item) for item in value]
    if not isinstance(value, dict):
        return value
    if schema.get(PRESERVE):
        return copied(value)
    kept = {key: (_member(schema, key), member) for key, member in value.items() if member is not None}
    return {key: pruned(known, member) for key, (known, member) in kept.items() if known is not None}


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
        members = _properties(defaults)
        for key, member in members.items():
            if key not in value and "default" in member:
                value[key] = copied(member["default"])
            if key in value:
                fill_in(member, value[key])
        if "additionalProperties" in defaults:
            for key in value.keys() - members.keys():
                fill_in(defaults["additionalProperties"], value[key])
    elif isinstance(value, list) and "items" in defaults:
        for item in value:
            fill_in(defaults["items"], item)


class Rules:
    """What a schema demands of a value. Only the rules named in the package are known."""

    __slots__ = ("_is_limited", "_items", "_members", "_other_members", "_required", "_schema", "_types")

    def __init__(self, schema: Schema) -> None:
        """Read the schema once, for the many values that it is held against."""
        items, others = schema.get("items"), schema.get("additionalProperties")
        self._schema = schema
        self._types = TYPES[schema["type"]] if "type" in schema else None
        self._is_limited = not LIMITS.isdisjoint(schema)
        self._required: Sequence[str] = schema.get("required", ())
        self._members = {key: Rules(member) for key, member in _properties(schema).items()}
        self._other_members = Rules(others) if isinstance(others, Mapping) else None
        self._items = Rules(items) if items else None

    def errors(self, value: Any) -> list[str]:
        """Return one sentence for each rule that the value breaks; each begins with the path below the value."""
        if self._types is not None and not self._is_a_type(value):
            return [f": Invalid value: must be of type {self._schema['type']}"]
        found = self._own_errors(value)
        if isinstance(value, dict):
            found += self._member_errors(value)
        elif isinstance(value, list) and self._items is not None:
            found += [f"[{number}]{error}" for number, item in enumerate(value) for error in self._items.errors(item)]
        return found

    def _is_a_type(self, value: Any) -> bool:
        """Whether the value has the type that the schema names; a boolean is no number."""
        types = self._types or ()
        return isinstance(value, types) and (bool in types or not isinstance(value, bool))

    def _own_errors(self, value: Any) -> list[str]:
        allowed = self._schema.get("enum")
        found = [] if allowed is None or value in allowed else [f": Unsupported value: {value!r}"]
        return [*found, *_bounds(self._schema, value)] if self._is_limited else found

    def _member_errors(self, value: Mapping[str, Any]) -> list[str]:
        found = [f".{key}: Required value" for key in self._required if key not in value]
        for key, member in value.items():
            rules = self._members.get(key, self._other_members)
            if rules is not None:
                found += [f".{key}{error}" for error in rules.errors(member)]
        return found


def _bounds(schema: Schema, value: Any) -> Iterator[str]:
    size = len(value) if isinstance(value, str | list | dict) else value
    low, high = next((bound for kind, bound in BOUNDS if isinstance(value, kind)), ("minimum", "maximum"))
    if not schema.get(low, size) <= size <= schema.get(high, size):
        yield f": Invalid value: must be between {schema.get(low)} and {schema.get(high)}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f": Invalid value: must match {schema['pattern']}"


def _properties(schema: Schema) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("properties", NONE)
    return found


def _member(schema: Schema, key: str) -> Any:
    """The schema of a member; None of one that the schema does not know."""
    found = _properties(schema).get(key)
    if found is not None:
        return found
    others = schema.get("additionalProperties")
    return others if isinstance(others, Mapping) else None
