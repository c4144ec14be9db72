"""`kubectl explain` is the manual: what the description of every property of every CRD has to say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from agentex_operator.api.crds import crds
from agentex_operator.api.scalars import DURATION_PATTERN

Schema = dict[str, Any]
ABSENT = re.compile(r"[Oo]mitted|[Ww]ithout|[Dd]efault|[Ss]et exactly one of|[Ss]et this or")


class Property(NamedTuple):
    """A property of a CRD: its path, its schema, and that of the object that it is a member of."""

    path: str
    schema: Schema
    parent: Schema

    @property
    def description(self) -> str:
        """What `kubectl explain` says of the property."""
        return str(self.schema.get("description", ""))


def walk(schema: Schema, path: str) -> Iterator[Property]:
    """Every property within a schema."""
    for name, child in schema.get("properties", {}).items():
        yield Property(f"{path}.{name}", child, schema)
        yield from walk(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from walk(schema[name], f"{path}[]")


def rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Every CEL rule within a schema, with the path of the field that it is about."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"{path}{rule.get('fieldPath', '')}", rule["rule"]
    for name, child in schema.get("properties", {}).items():
        yield from rules(child, f"{path}.{name}")


SCHEMAS: dict[str, Schema] = {
    crd["spec"]["names"]["singular"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for crd in map(yaml.safe_load, crds().values())}
PROPERTIES = [one for name, schema in SCHEMAS.items() for one in walk(schema, name)]
IN_SPECS = [one for one in PROPERTIES if one.path.split(".")[1] == "spec"]


def test_a_default_is_told() -> None:
    silent = [one.path for one in IN_SPECS if "default" in one.schema and not tells_default(one)]

    assert silent == []


def tells_default(one: Property) -> bool:
    default = one.schema["default"]
    told = "" if isinstance(default, dict) else default if isinstance(default, str) else json.dumps(default)
    return "default" in one.description.lower() and told in one.description


def test_what_holds_without_an_optional_member_is_told() -> None:
    assert [one.path for one in IN_SPECS if not tells_absence(one)] == []


def tells_absence(one: Property) -> bool:
    """Whether the property must be given, or its description, or that of its object, says what holds without it."""
    name = one.path.rpartition(".")[2]
    choice = re.search("exactly one of [^.:;]*", one.parent.get("description", ""))
    return (name in one.parent.get("required", ()) or bool(ABSENT.search(one.description))
            or (choice is not None and name in choice[0]))


def test_durations_tell_their_units_and_times_their_format() -> None:
    durations = [one for one in PROPERTIES if one.schema.get("pattern") == DURATION_PATTERN]
    times = [one for one in IN_SPECS if one.schema.get("format") == "date-time"]

    assert durations
    assert times
    assert [one.path for one in durations if "h, m, s and ms" not in one.description] == []
    assert [one.path for one in times if "RFC 3339" not in one.description] == []


def test_the_bounds_of_a_number_are_told() -> None:
    bounded = [one for one in IN_SPECS if one.schema["type"] == "integer"]

    assert bounded
    assert [one.path for one in bounded if f"{one.schema['minimum']} to {one.schema['maximum']}"
            not in one.description] == []


def test_the_values_of_an_enum_are_told() -> None:
    assert [one.path for one in PROPERTIES for value in one.schema.get("enum", ()) if str(value) not in
            one.description] == []


def test_what_cannot_be_changed_is_told_and_nothing_else() -> None:
    immutable = {path for name, schema in SCHEMAS.items() for path, rule in rules(schema, name) if "oldSelf" in rule}

    assert {one.path for one in PROPERTIES if "mmutable" in one.description} == immutable


def test_each_reference_is_told_by_its_own_example() -> None:
    references = [one for one in IN_SPECS if one.path.endswith("Ref") and "accountRef" not in one.path]
    members = [(one.path, name, member["description"]) for one in references
               for name, member in one.schema["properties"].items()]

    assert [path for path, _, said in members if not re.search("for example `[^`]+`", said)] == []
    assert [path for path, name, said in members if name == "name" and kind_in(path) not in said] == []
    assert [path for path, _, said in members if "ConfigMap or Secret" in said or "object" in said] == []
    for kind in SCHEMAS:
        told = [said for path, _, said in members if path.startswith(f"{kind}.")]
        assert len(told) == len(set(told))


def kind_in(path: str) -> str:
    """The kind that a reference names, as the name of the reference says it."""
    name = path.rpartition(".")[2]
    return "ConfigMap" if name.startswith("configMap") else "AgentBuild" if name == "buildRef" else "Secret"


def test_the_phase_is_told_to_be_unstable() -> None:
    phases = [one.description for one in PROPERTIES if one.path.endswith(".status.phase")]

    assert len(phases) == len(SCHEMAS)
    assert all("Unstable" in said and "conditions" in said for said in phases)
