"""What the CustomResourceDefinitions of a cluster lack: whole kinds, and fields that the API server would not store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentex_operator.api.structural import Schema

INSTALL: Final = ("Install the CRDs of the operator's version: kubectl apply --server-side -f crds/, or upgrade the "
                  "Helm release.")
PRESERVES: Final = "x-kubernetes-preserve-unknown-fields"
MOST_NAMES: Final = 3  # fields that a message names


def not_served(kind: str) -> str:
    """The sentence about a kind whose CRD is missing; `INSTALL` is its next step."""
    return f"The cluster does not serve the kind {kind}: its CustomResourceDefinition is missing."


def outdated(kind: str, fields: Sequence[str]) -> str:
    """What is wrong with a CRD that lacks these fields, and the next step."""
    more = len(fields) - MOST_NAMES
    named = ", ".join(fields[:MOST_NAMES]) + (f" and {more} more fields" if more > 0 else "")
    return f"The CustomResourceDefinition of {kind} is older than the operator, and does not store {named}. {INSTALL}"


def missing_fields(own: Schema, served: Schema, path: str) -> Iterator[str]:
    """The paths of the fields of the operator's own schema that the served schema would prune, outermost only."""
    if served.get(PRESERVES) or served == own:
        return
    there = _members(served)
    for name, schema in _members(own).items():
        inner = f"{path}{name}" if name.startswith("[") else f"{path}.{name}"
        found = there.get(name, there.get("[*]"))
        if found is None:
            yield inner
        else:
            yield from missing_fields(schema, found, inner)


def _members(schema: Schema) -> Mapping[str, Schema]:
    """The schemas of the members by name; `[]` stands for the items of a list, `[*]` for the values of a map."""
    found: dict[str, Schema] = dict(schema.get("properties") or {})
    for key, name in (("items", "[]"), ("additionalProperties", "[*]")):
        if isinstance(schema.get(key), Mapping):
            found[name] = schema[key]
    return found


def lost_fields(written: object, stored: object, path: str) -> Iterator[str]:
    """The paths of the values that were written, and that the stored value lacks, outermost only."""
    if isinstance(written, Mapping):
        found = stored if isinstance(stored, Mapping) else {}
        for name, value in written.items():
            if value is not None and name not in found:
                yield f"{path}.{name}"
            elif value is not None:
                yield from lost_fields(value, found[name], f"{path}.{name}")
    elif isinstance(written, list | tuple) and isinstance(stored, list) and len(stored) == len(written):
        for before, after in zip(written, stored, strict=True):
            yield from lost_fields(before, after, f"{path}[]")
