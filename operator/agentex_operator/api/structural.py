"""From a model's JSON schema to a structural schema, the only form that the API server accepts (ecosystem.md §3.1)."""

from collections.abc import Callable
from typing import Any, Final

from pydantic.json_schema import JsonSchemaValue

from agentex_operator.api.schema import adapter

Schema = JsonSchemaValue
FIRST: Final = ("type", "format", "description", "default", "enum")
LAST: Final = ("required", "properties", "items", "x-kubernetes-validations")
FORMATS: Final = frozenset({"date-time", "int32", "int64"})
UNKNOWN_TO_KUBERNETES: Final = frozenset({"title", "examples", "deprecated", "readOnly", "writeOnly", "propertyNames"})
FORBIDDEN: Final = frozenset({"anyOf", "oneOf", "allOf", "not", "prefixItems", "uniqueItems", "patternProperties",
                              "exclusiveMinimum", "exclusiveMaximum", "discriminator"})


def structural(kind: type[Any], *, defaults: bool = True) -> Schema:
    """The structural schema of a model; for a status without defaults, as only the operator writes it.

    Raises TypeError for a model that no structural schema can express.
    """
    root = adapter(kind).json_schema(by_alias=True)
    return _Conversion(root.pop("$defs", {}), defaults=defaults).schema(root, kind.__name__, ())


class _Conversion:
    """Converts a JSON schema, from the root down; `path` is for error messages."""

    def __init__(self, definitions: dict[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def schema(self, given: Schema, path: str, within: tuple[str, ...]) -> Schema:
        schema, within = self._inlined(given, path, within)
        schema = _enumerated(_with_known_words(schema))
        _check_expressible(schema, path)
        children: Callable[[Schema, str], Schema] = lambda child, name: self.schema(child, f"{path}.{name}", within)  # noqa: E731
        return _ordered(self._with_fitting_default(_with_children(schema, children)))

    def _inlined(self, schema: Schema, path: str, within: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """The schema with references and optional types replaced by their targets; keys beside a reference win."""
        schema = _without_null(schema, path)
        if "$ref" not in schema:
            return schema, within
        name = schema["$ref"].removeprefix("#/$defs/")
        if name in within:
            raise TypeError(f"{path}: {name} contains itself")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return self._inlined({**self._definitions[name], **beside}, path, (*within, name))

    def _with_fitting_default(self, schema: Schema) -> Schema:
        """The schema with its default: of an object an empty one, as its members have their own; of a list none."""
        default = schema.pop("default", None)
        if default is None or default == [] or not self._defaults:
            return schema
        return {**schema, "default": {} if "properties" in schema else default}


def _without_null(schema: Schema, path: str) -> Schema:
    """`X | None` as an X that may be absent: the API server drops an explicit null."""
    if "anyOf" not in schema:
        return schema
    alternatives = [one for one in schema["anyOf"] if one.get("type") != "null"]
    if len(alternatives) != 1:
        raise TypeError(f"{path}: a union needs an object with a member per variant, and a rule for exactly one")
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**alternatives[0], **beside}


def _with_known_words(schema: Schema) -> Schema:
    known = {key: value for key, value in schema.items() if key not in UNKNOWN_TO_KUBERNETES}
    if known.get("format") not in FORMATS:
        known.pop("format", None)
    return known


def _enumerated(schema: Schema) -> Schema:
    constant = schema.pop("const", None)
    return schema if constant is None else {**schema, "enum": [constant]}


def _check_expressible(schema: Schema, path: str) -> None:
    if wrong := FORBIDDEN & schema.keys():
        raise TypeError(f"{path}: {', '.join(sorted(wrong))} cannot be said in a structural schema")
    if "type" not in schema:
        raise TypeError(f"{path}: it has no type")
    if schema["type"] == "object" and "properties" not in schema and not isinstance(
            schema.get("additionalProperties"), dict):
        raise TypeError(f"{path}: an object needs properties, or a schema for its values")


def _with_children(schema: Schema, child: Callable[[Schema, str], Schema]) -> Schema:
    changed = dict(schema)
    if "properties" in schema:
        changed.pop("additionalProperties", None)  # the API server prunes unknown members anyway
        changed["properties"] = {name: child(one, name) for name, one in schema["properties"].items()}
    elif "additionalProperties" in schema:
        changed["additionalProperties"] = child(schema["additionalProperties"], "*")
    elif "items" in schema:
        changed["items"] = child(schema["items"], "[]")
    return changed


def _ordered(schema: Schema) -> Schema:
    """The schema with its keys in one order, for readers."""
    between = sorted(schema.keys() - {*FIRST, *LAST})
    return {key: schema[key] for key in (*FIRST, *between, *LAST) if key in schema}
