"""Validation of a source's spec, and the errors of a spec that cannot be used."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from agentex_operator.api.schema import adapter
from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import InvalidInput

ModelT = TypeVar("ModelT")


def validated(model: type[ModelT], value: object, member: str) -> ModelT:
    """The value as this model. Raises InvalidInput(InvalidSpec) with the first problem and its place in the spec."""
    with guard.raising(lambda error: InvalidInput(reasons.INVALID_SPEC, f"{_problem(error, member)}. Correct it.")):
        return adapter(model).validate_python(value)


def _problem(error: Exception, member: str) -> str:
    if not isinstance(error, ValidationError):
        return f"spec.source.{member}: it has a value that cannot be read"
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, ('spec.source', member, *first['loc'])))}: {first['msg']}"


def no_context() -> InvalidInput:
    """The error for a source without a build context."""
    return InvalidInput(reasons.INVALID_SPEC, "The source has no build context. Set spec.source.configMapKeyRef, "
                                              "spec.source.secretKeyRef or spec.source.http.")
