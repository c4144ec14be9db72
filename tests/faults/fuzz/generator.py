"""Generate random specs from the schemas of the CRDs, valid ones and ones that are broken in a few places.

The seed determines the object: `a_fuzzed("AgentBuild", 17)` is the same on every machine. No address in an object leads
out of this machine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.fuzz.inputs import ANNOTATIONS, HOSTILE, LABELS, LONG, MEANT, NAMES, NUMBERS, WRONG, YAML_TEXTS
from tests.faults.specs.crd_schema import Schema, at_most_one_of, one_of, span, spec_schema, words

from agentex_testkit.api_server import GROUP, Object

LONGEST_BY_CHANCE = 300
OFTEN, SOMETIMES, SELDOM, RARELY = 0.85, 0.3, 0.06, 0.02
IN_THE_WAY = ("suspend", "cancel", "accountRef")  # what keeps everything else from happening
BREACHES = (0, 0, 0, 0, 0, 0, 1, 1, 1, 2)
VALIDATION = ("Strict", "Warn", "Ignore")
Path = tuple[Any, ...]


@dataclass(frozen=True)
class Fuzzed:
    """One object, the field validation to ask the API server for, and in how many places it was broken."""

    obj: Object
    validation: str
    breaches: int


def a_fuzzed(kind: str, seed: int) -> Fuzzed:
    """The object of this seed."""
    dice = random.Random(f"{kind} {seed}")  # noqa: S311 - chance that repeats is the point
    spec, breaches = _agreeing(_Maker(kind, dice).value(spec_schema(kind), ())), dice.choice(BREACHES)
    for _ in range(breaches):
        spec = broken(spec, dice)
    obj = {"apiVersion": GROUP, "kind": kind, "metadata": _metadata(kind, seed, dice), "spec": spec}
    if dice.random() < SELDOM:
        obj["status"] = {"phase": "Ready", "buildID": "mine", "observedGeneration": 7, "conditions": dice.choice(WRONG)}
    return Fuzzed(obj, dice.choice(VALIDATION), breaches)


def _agreeing(spec: Object) -> Object:
    """The spec without the members that its other members forbid."""
    if "image" in spec.get("source", ()):
        return {key: one for key, one in spec.items() if key not in ("platform", "buildArgs")}
    if "fromBuild" in spec.get("manifest", ()) and "buildRef" not in spec:
        return {**spec, "manifest": {"inline": YAML_TEXTS[0]}}
    return spec


def _metadata(kind: str, seed: int, dice: random.Random) -> Object:
    """A unique name; seldom a name that is not allowed."""
    metadata: Object = {"name": f"f-{kind[5:].lower()}-{seed}"}
    if dice.random() < SELDOM:
        metadata["name"] = dice.choice(NAMES)(metadata["name"])
    if dice.random() < SELDOM:
        metadata["annotations"] = {dice.choice(ANNOTATIONS): dice.choice([*HOSTILE, *LONG])}
    if dice.random() < SELDOM:
        metadata["labels"] = dict([dice.choice(LABELS)])
    return metadata


# --- in order -------------------------------------------------------------------------------------------------------


class _Maker:
    """Makes values that a schema allows, as far as the schema says."""

    def __init__(self, kind: str, dice: random.Random) -> None:
        self._meant, self._dice = MEANT[kind], dice

    def value(self, schema: Schema, path: tuple[str, ...]) -> Any:
        """A value for the place at this path: one with a meaning, or any."""
        meant = self._meant.get(".".join(path))
        if meant and self._dice.random() < OFTEN:
            return self._dice.choice(meant)
        make: dict[str, Callable[[Schema, tuple[str, ...]], Any]] = {
            "object": self._object, "array": self._array, "string": self._string}
        if schema["type"] in make:
            return make[schema["type"]](schema, path)
        if schema["type"] == "integer":
            return self._dice.choice((schema["minimum"], schema["maximum"], schema["minimum"] + 1))
        return self._dice.choice(words(schema))

    def _object(self, schema: Schema, path: tuple[str, ...]) -> Any:
        if "additionalProperties" in schema:
            keys = [self._dice.choice(LABELS)[0] for _ in range(self._dice.randrange(4))]
            return {key: self.value(schema["additionalProperties"], (*path, "*")) for key in keys}
        return {name: self.value(schema["properties"][name], (*path, name)) for name in self._members(schema)}

    def _members(self, schema: Schema) -> Iterator[str]:
        """The required members, one of each choice, and some of the others."""
        required, either, neither = schema.get("required", ()), one_of(schema), at_most_one_of(schema)
        chosen = {*required, *([self._dice.choice(either)] if either else ()), *self._at_most_one(neither)}
        for name in schema["properties"]:
            chance = SELDOM if name in IN_THE_WAY else SOMETIMES if name not in (*either, *neither) else 0
            if name in chosen or self._dice.random() < chance:
                yield name

    def _at_most_one(self, names: Sequence[str]) -> Sequence[str]:
        return [self._dice.choice(names)] if names and self._dice.random() < OFTEN else ()

    def _array(self, schema: Schema, path: tuple[str, ...]) -> Any:
        most = schema["maxItems"] if self._dice.random() < RARELY else 3
        items = [self.value(schema["items"], (*path, "[]")) for _ in range(self._dice.randrange(most + 1))]
        keys = schema.get("x-kubernetes-list-map-keys")
        return list({one[keys[0]]: one for one in items}.values()) if keys else items

    def _string(self, schema: Schema, path: tuple[str, ...]) -> Any:
        if "enum" in schema:
            return self._dice.choice(schema["enum"])
        if times := span(schema):
            return self._dice.choice(times)
        least, most = schema.get("minLength", 0), schema.get("maxLength", LONGEST_BY_CHANCE)
        pattern = re.compile(schema.get("pattern", "(?s).*"))
        texts = (*HOSTILE, *LONG) if self._dice.random() < SELDOM else HOSTILE
        fitting = [text[:most] for text in texts if len(text) >= least and pattern.search(text[:most])]
        return self._dice.choice([*fitting, *self._meant.get(".".join(path), ("a" * least,))])


# --- broken ---------------------------------------------------------------------------------------------------------


def broken(spec: Any, dice: random.Random) -> Any:
    """The spec, broken in one place."""
    path = dice.choice(list(_places(spec, ())))
    return _changed(spec, path, dice.choice((_gone, _another, _more, _longer, _far, _deep)), dice)


def _places(value: Any, path: Path) -> Iterator[Path]:
    """The paths of all values in it, the innermost first."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from _places(one, (*path, key))
    yield path


Breach = Callable[[Any, random.Random], Any]
GONE = object()


def _changed(value: Any, path: Path, breach: Breach, dice: random.Random) -> Any:
    if not path:
        found = breach(value, dice)
        return {} if found is GONE else found
    key, *rest = path
    inner = breach(value[key], dice) if not rest else _changed(value[key], tuple(rest), breach, dice)
    if isinstance(value, list):
        return [*value[:key], *([] if inner is GONE else [inner]), *value[key + 1:]]
    return {name: inner if name == key else one for name, one in value.items() if name != key or inner is not GONE}


def _gone(_value: Any, _dice: random.Random) -> Any:
    return GONE


def _another(_value: Any, dice: random.Random) -> Any:
    """A value of any type, or a malicious text."""
    return dice.choice([*WRONG, *HOSTILE])


def _more(value: Any, dice: random.Random) -> Any:
    """The value with something added: an unknown member, a repeated item, more text."""
    if isinstance(value, dict):
        return {**value, dice.choice(("x-unknown", "namespace", "", "é\n", "__proto__", "$ref")): dice.choice(WRONG)}
    if isinstance(value, list):
        return [*value, *(value[:1] or [dice.choice(WRONG)])]
    return f"{value}{dice.choice(HOSTILE)}"


def _longer(value: Any, dice: random.Random) -> Any:
    many = (2, 101, 1000) if len(repr(value)) < LONGEST_BY_CHANCE else (2,)
    return dice.choice(LONG) if isinstance(value, str) else [value] * dice.choice(many)


def _far(_value: Any, dice: random.Random) -> Any:
    return dice.choice(NUMBERS)


def _deep(value: Any, dice: random.Random) -> Any:
    """The value, wrapped in lists or objects once or very often."""
    for _ in range(dice.choice((1, 3, 200))):
        value = [value] if dice.random() < 0.5 else {"a": value}
    return value
