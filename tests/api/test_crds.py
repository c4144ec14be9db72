"""The CRDs: as committed, as structural as the API server demands, and readable with `kubectl explain`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
import yaml
from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.crds import crds, write_crds
from agentex_operator.api.schema import RuleReason, model
from agentex_operator.api.structural import structural

COMMITTED = Path(__file__).parents[2] / "crds"
STATUS_PAGE = Path(__file__).parents[2] / "docs" / "status.md"
Schema = dict[str, Any]

GENERATED = crds()
ALL = {name: yaml.safe_load(text) for name, text in GENERATED.items()}
KINDS = pytest.mark.parametrize("crd", ALL.values(), ids=lambda crd: crd["spec"]["names"]["kind"])


def schema_of(crd: Schema) -> Schema:
    found: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema in a schema, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from walk(schema[name], f"{path}[]")


def test_the_committed_files_are_the_generated_ones() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}

    assert committed == GENERATED, "run `make crds` and commit the result"


def test_crds_can_be_written_into_any_directory(tmp_path: Path) -> None:
    write_crds(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == set(ALL)


def test_short_names_are_those_of_the_manual() -> None:
    names = {crd["spec"]["names"]["plural"]: crd["spec"]["names"]["shortNames"] for crd in ALL.values()}

    assert names == {"agentbuilds": ["ab"], "agentdeployments": ["ad"], "agentexaccounts": ["aga"],
                     "clusteragentexaccounts": ["caga"]}


@KINDS
def test_every_property_is_described_in_a_sentence(crd: Schema) -> None:
    mute = [path for path, schema in walk(schema_of(crd))
            if path and not path.endswith("[]") and path != ".metadata"
            and not schema.get("description", "").endswith(".")]

    assert mute == []


@KINDS
def test_every_kind_is_described_with_an_example_of_itself(crd: Schema) -> None:
    example = yaml.safe_load(schema_of(crd)["description"].partition("For example:")[2])

    assert example["kind"] == crd["spec"]["names"]["kind"]


@KINDS
def test_a_reference_to_a_key_is_called_by_the_kind_of_its_object(crd: Schema) -> None:
    members = {path.rpartition(".")[2]: schema for path, schema in walk(schema_of(crd)["properties"]["spec"])}
    keyed = {name for name, schema in members.items() if {"name", "key"} <= schema.get("properties", {}).keys()}

    assert keyed
    assert all(re.fullmatch(r"configMapKeyRef|secretKeyRef|[a-z][A-Za-z]*SecretRef", name) for name in keyed), keyed
    assert all(members[name]["required"] == ["name", "key"] for name in keyed)


@KINDS
def test_every_list_map_and_text_is_bounded(crd: Schema) -> None:
    bound = {"array": "maxItems", "string": "maxLength"}
    loose = [path for path, schema in walk(schema_of(crd)["properties"]["spec"])
             if (word := bound.get(schema["type"])) and word not in schema and not {"enum", "format"} & schema.keys()]
    loose += [path for path, schema in walk(schema_of(crd)) if "additionalProperties" in schema
              and "maxProperties" not in schema]

    assert loose == []


@KINDS
def test_a_crd_has_only_keys_of_a_structural_schema(crd: Schema) -> None:
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "title", "uniqueItems", "prefixItems", "not"}
    wrong = [path for path, schema in walk(schema_of(crd)) if forbidden & schema.keys() or "type" not in schema]

    assert wrong == []


@KINDS
def test_an_object_with_properties_has_no_additional_properties(crd: Schema) -> None:
    both = {"properties", "additionalProperties"}
    wrong = [path for path, schema in walk(schema_of(crd)) if both <= schema.keys()]

    assert wrong == []


@KINDS
def test_a_new_object_is_not_mistaken_for_a_reconciled_one(crd: Schema) -> None:
    assert schema_of(crd)["properties"]["status"]["default"] == {"observedGeneration": -1}


@KINDS
def test_only_the_operator_writes_the_status_so_nothing_in_it_has_a_default(crd: Schema) -> None:
    inside = list(walk(schema_of(crd)["properties"]["status"]))[1:]

    assert [path for path, schema in inside if "default" in schema] == []


@KINDS
def test_every_rule_has_a_message_and_a_reason_and_names_its_field(crd: Schema) -> None:
    rules = [(path, schema, rule) for path, schema in walk(schema_of(crd))
             for rule in schema.get("x-kubernetes-validations", ())]

    assert rules
    assert [path for path, schema, rule in rules if not (rule["message"] and names_a_field(schema, rule))] == []
    assert {rule.get("reason") for _, _, rule in rules} <= set(get_args(RuleReason))


def names_a_field(schema: Schema, rule: dict[str, str]) -> bool:
    """Whether the error of the rule names a member of the object, or the scalar, which can have no path."""
    if schema["type"] != "object":
        return schema["type"] != "array" and "fieldPath" not in rule
    start, *members = rule.get("fieldPath", "no path").split(".")
    for member in members:
        schema = schema.get("properties", {}).get(member, {})
    return start == "" and bool(members) and "type" in schema


@KINDS
def test_no_enum_has_one_value_as_its_message_would_not_say_so(crd: Schema) -> None:
    assert [path for path, schema in walk(schema_of(crd)) if len(schema.get("enum", (1, 2))) < 2] == []


@KINDS
def test_the_columns_are_documented(crd: Schema) -> None:
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    usual, wide = (" ".join(one["name"].upper() for one in columns if ("priority" in one) is only_wide)
                   for only_wide in (False, True))

    assert f"| {crd['spec']['names']['kind']} | {usual} | {wide} |" in STATUS_PAGE.read_text(encoding="utf-8")


@KINDS
def test_flux_leaves_its_text_alone(crd: Schema) -> None:
    assert crd["metadata"]["annotations"] == {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}


@pytest.mark.parametrize("text", GENERATED.values(), ids=GENERATED)
def test_a_crd_fits_into_the_annotation_of_kubectl_apply(text: str) -> None:
    assert len(text) < 200_000


@dataclass(frozen=True, kw_only=True, config=model())
class Either:
    """A union that no structural schema can say."""

    value: Annotated[int | str, Field(description="One or the other.")]


@dataclass(frozen=True, kw_only=True, config=model())
class Tree:
    """A model that contains itself."""

    child: Annotated[Tree | None, Field(description="Another one.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class Loose:
    """A model with an object of any shape."""

    anything: Annotated[dict[str, Any], Field(description="Whatever.")]


@pytest.mark.parametrize(("kind", "why"), [
    (Either, "a union"), (Tree, "Tree contains itself"), (Loose, "an object needs properties"),
])
def test_a_model_that_cannot_be_a_structural_schema_is_refused(kind: type[Any], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        structural(kind)
