"""How a model of the API is written: its configuration, its CEL rules, and the names of a kind.

A model is a frozen pydantic dataclass: it reads and writes the API server's JSON (camelCase), and mypy checks its
fields (`dataclasses.replace` too). `kubectl explain` shows the descriptions of its fields; the API server enforces its
bounds and its `x-kubernetes-validations` (see crds.py).
"""

import dataclasses
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

GROUP: Final = "agentex.scale.com"
VERSION: Final = "v1alpha1"
CATEGORY: Final = "agentex"

ModelT = TypeVar("ModelT")
Rule = dict[str, str]  # an entry of x-kubernetes-validations
RuleReason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one kind, and whether its objects live in a namespace."""

    kind: str
    plural: str
    singular: str
    short: str
    namespaced: bool = True


def yaml_name(field: str) -> str:
    """The name of a field in YAML: camelCase, with ID in capitals (`account_id` is `accountID`)."""
    return re.sub(r"(?<=[a-z])Id$", "ID", to_camel(field))


def model(*rules: Rule | tuple[Rule, ...]) -> ConfigDict:
    """The configuration of a model, with the CEL rules that the API server checks on the whole object."""
    every = [dict(one) for given in rules for one in (given if isinstance(given, tuple) else (given,))]
    extra: dict[str, Any] = {"x-kubernetes-validations": every} if every else {}
    return ConfigDict(alias_generator=yaml_name, populate_by_name=True, extra="ignore", json_schema_extra=extra)


def rule(expression: str, message: str, field: str | None = None, reason: RuleReason = "FieldValueInvalid") -> Rule:
    """A CEL rule; its message is what the user reads when the API server refuses the object.

    `field`: the path of the member that the error names, for a rule on an object. A rule on a scalar has none:
    Kubernetes refuses a `fieldPath` there, and the error names the scalar itself.
    """
    return {"rule": expression, "message": message, "reason": reason} | ({"fieldPath": f".{field}"} if field else {})


def exactly_one(*fields: str) -> tuple[Rule, ...]:
    """The rules that exactly one of these members is set."""
    message = f"set exactly one of {_or(fields)}"
    return (rule(_any_of(fields), message, fields[0], "FieldValueRequired"), *_no_second(fields, message))


def at_most_one(*fields: str) -> tuple[Rule, ...]:
    """The rules that at most one of these members is set."""
    return _no_second(fields, f"set at most one of {_or(fields)}")


def _no_second(fields: tuple[str, ...], message: str) -> tuple[Rule, ...]:
    """For each member but the first, the rule that none before it is set: then the error names the second one."""
    return tuple(rule(f"!has(self.{field}) || !({_any_of(fields[:number])})", message, field, "FieldValueForbidden")
                 for number, field in enumerate(fields) if number)


def _any_of(fields: tuple[str, ...]) -> str:
    return " || ".join(f"has(self.{field})" for field in fields)


def immutable(field: str, instead: str) -> Rule:
    """The rule that the member cannot be changed, added or removed; its message says what to do instead."""
    unchanged = (f"has(self.{field}) == has(oldSelf.{field})"
                 f" && (!has(self.{field}) || self.{field} == oldSelf.{field})")
    return rule(unchanged, f"{field} cannot be changed, added or removed: {instead}", field, "FieldValueForbidden")


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def adapter(kind: type[ModelT]) -> TypeAdapter[ModelT]:
    """The adapter that reads and writes values of this model; one is made for each model."""
    return _adapter(kind)


_adapter: Final[Callable[[Any], TypeAdapter[Any]]] = cache(TypeAdapter)
