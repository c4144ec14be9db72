"""Values for a property, derived from its schema, and how a value is put into a spec.

Right values are accepted and lead to a wanted end; refused ones are refused by the API server. Bad ones (accepted, and
answered with a condition) depend on the meaning of the property: see edited_properties.py.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.faults.specs.crd_schema import ITEM, VALUE, Json, Property, Schema, span, words


class _Absent:
    """The property is not there."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()
Values = dict[str, Any]


# --- derived from the schema ----------------------------------------------------------------------------------------


def right(one: Property) -> Values:
    """Every word of an enum, both booleans, the ends of a range and their neighbours; absent where it is optional."""
    schema = one.schema
    found = _words(schema) or _numbers(schema) or _spans(schema)
    return {"absent": ABSENT, **found} if found and not one.required else found


def _words(schema: Schema) -> Values:
    return {str(word).lower() if isinstance(word, bool) else str(word): word for word in words(schema)}


def _numbers(schema: Schema) -> Values:
    if schema.get("type") != "integer":
        return {}
    low, high = schema["minimum"], schema["maximum"]
    return {str(number): number for number in (low, low + 1, high - 1, high)}


def _spans(schema: Schema) -> Values:
    return {text: text for text in span(schema) or ()}


def refused(one: Property) -> Values:
    """Values that break the schema in one way each: type, length, pattern, range, word, span; absent where it is
    required.
    """
    schema = one.schema
    wrong = {"another type": _of_another_type(schema), **_too_short_or_long(schema), **_out_of_range(schema)}
    wrong |= {"no such word": "nonsense"} if "enum" in schema else {}
    wrong |= {"false": False} if words(schema) == (True,) else {}
    wrong |= {"against the pattern": "\n \x1b[31m"} if "pattern" in schema else {}
    wrong |= {"no time at all": "0s", "endless": "9999999h", "no duration": "soon"} if span(schema) else {}
    return wrong | ({"absent": ABSENT} if one.required and one.path[-1] not in (ITEM, VALUE) else {})


def _of_another_type(schema: Schema) -> Json:
    return {"string": {"a": 1}, "array": "text", "object": "text"}.get(schema["type"], "text")


def _too_short_or_long(schema: Schema) -> Values:
    wrong: Values = {"empty": ""} if schema.get("minLength") else {}
    wrong |= {"too long": "a" * (schema["maxLength"] + 1)} if "maxLength" in schema and "enum" not in schema else {}
    if "maxItems" in schema:
        wrong["too many"] = [_an_item(schema, number) for number in range(schema["maxItems"] + 1)]
    return wrong


def _an_item(schema: Schema, number: int) -> Json:
    """A valid item."""
    items = schema["items"]
    if items["type"] != "object":
        return f"item-{number}"
    return {name: (part.get("enum") or [f"item{number}"])[0] for name, part in items["properties"].items()
            if name in items.get("required", ())}


def _out_of_range(schema: Schema) -> Values:
    if schema.get("type") != "integer":
        return {}
    low, high = schema["minimum"], schema["maximum"]
    return {"below": low - 1, "above": high + 1, "huge": 2**63, "half": low + 0.5}


# --- into a spec ----------------------------------------------------------------------------------------------------


def put(spec: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """The spec with this value there; ABSENT takes it away. An empty path merges members, ABSENT ones taken away."""
    changed = copy.deepcopy(dict(spec))
    if not path:
        merged = changed | value
        return {key: one for key, one in merged.items() if one is not ABSENT}
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[_key(holder, step)] if step in (ITEM, VALUE) else holder.setdefault(step, {})
    last = _key(holder, path[-1])
    if value is not ABSENT:
        holder[last] = value
    else:
        holder.pop(last, None)
    return changed


def _key(holder: Any, step: str) -> Any:
    """The index of the first item of a list; the first key of a map."""
    if step == ITEM:
        return 0
    return next(iter(holder)) if step == VALUE else step


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """The value with `{word}` replaced in every text; other braces stay."""
    if isinstance(value, str):
        for word, text in words.items():
            value = value.replace(f"{{{word}}}", text)
        return value
    if isinstance(value, Mapping):
        return {key: filled(one, words) for key, one in value.items()}
    return [filled(one, words) for one in value] if isinstance(value, list) else value


def reordered(value: Any) -> Any:
    """The same value, its maps written in another order."""
    if isinstance(value, Mapping):
        return {key: reordered(value[key]) for key in reversed(list(value))}
    return [reordered(one) for one in value] if isinstance(value, list) else value
