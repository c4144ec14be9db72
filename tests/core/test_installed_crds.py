"""What a schema lacks, and what a stored object lost."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.api import crds
from agentex_operator.core import installed_crds
from agentex_testkit.fake_cluster import schema as api_server

Schema = dict[str, Any]
SCHEMAS = {model.names.kind: crds.schema(model)["properties"] for model in crds.COLUMNS}


def fields(schema: Schema, path: str, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The path of each field, and the keys that lead to the schema of the field."""
    for name, inner in (schema.get("properties") or {}).items():
        yield f"{path}.{name}", (*keys, "properties", name)
        yield from fields(inner, f"{path}.{name}", (*keys, "properties", name))
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]", (*keys, "items"))


PLACES = [(kind, part, *place) for kind, parts in SCHEMAS.items() for part in ("status", "spec")
          for place in fields(parts[part], part)]


@given(st.sampled_from(PLACES))
def test_each_field_that_a_crd_lacks_is_named(where: tuple[str, str, str, tuple[str, ...]]) -> None:
    kind, part, path, keys = where
    own = SCHEMAS[kind][part]
    served = copy.deepcopy(own)
    holder = served
    for key in keys[:-1]:
        holder = holder[key]
    del holder[keys[-1]]

    assert list(installed_crds.missing_fields(own, served, part)) == [path]


def test_the_own_crds_lack_nothing_and_newer_ones_neither() -> None:
    for parts in SCHEMAS.values():
        for part in ("status", "spec"):
            newer = {**parts[part], "properties": {**parts[part]["properties"], "newer": {"type": "string"}}}
            assert list(installed_crds.missing_fields(parts[part], newer, part)) == []
            preserving = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            assert list(installed_crds.missing_fields(parts[part], preserving, part)) == []


NAMES = st.sampled_from("abcd")
VALUES = st.recursive(st.integers() | st.booleans(), lambda inner: st.lists(inner, max_size=2)
                      | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
SHAPES: st.SearchStrategy[Schema] = st.recursive(st.just({}), lambda inner: st.fixed_dictionaries({
    "properties": st.dictionaries(NAMES, inner, max_size=3), "items": inner}), max_leaves=6)


@given(st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4), SHAPES)
def test_a_value_has_lost_something_exactly_if_the_api_server_pruned_it(value: Schema, shape: Schema) -> None:
    stored = api_server.pruned(shape, value)

    assert bool(list(installed_crds.lost_fields(value, stored, "status"))) == (stored != value)


def test_a_message_names_few_fields_and_the_next_step() -> None:
    message = installed_crds.outdated("AgentBuild", [f"status.f{n}" for n in range(5)])

    assert "status.f0, status.f1, status.f2 and 2 more fields. Install the CRDs" in message
